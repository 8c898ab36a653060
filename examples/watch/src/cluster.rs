//! The life of the embedded cluster, whose pods answer at different speeds.

use std::time::Duration;

use demo_support::{Embedded, Log, PODS};
use headless_testkit::{Error, Event};

use crate::script;

/// Starts the cluster.
pub(crate) async fn start(log: &Log) -> Result<Embedded, Error> {
    let embedded = Embedded::start().await?;
    for pod in embedded.web.pods() {
        set_speed(&embedded, pod.name());
    }
    let text = format!("a StatefulSet of {PODS} pods, and a headless Service");
    log.add("cluster", text);
    Ok(embedded)
}

/// Plays the script until it is dropped, and reports each pod's life.
pub(crate) async fn play(embedded: Embedded, log: Log) {
    let mut events = embedded.cluster.events();
    let reported = async {
        while let Some(event) = events.next().await {
            report(&embedded, &event, &log);
        }
    };
    tokio::select! {
        () = reported => {}
        outcome = script::play(&embedded, &log) => match outcome {
            Ok(()) => {}
            Err(error) => {
                log.add("cluster", format!("the script ends: {error}"));
                // The cluster goes on as it is.
                std::future::pending().await
            }
        }
    }
}

fn report(embedded: &Embedded, event: &Event, log: &Log) {
    let what = match event {
        Event::PodReady(pod) => {
            set_speed(embedded, &pod.name);
            "is ready: DNS lists it"
        }
        Event::PodUnready(_) => "is not ready: DNS no longer lists it",
        Event::PodCrashed(_) => "is dead: connections are refused, DNS goes on listing it",
        Event::PodTerminating(_) => "terminates: it serves, DNS no longer lists it",
        Event::PodGone(_) => "is gone",
        _ => return,
    };
    if let Some(pod) = event.pod() {
        log.add("cluster", format!("{} ({}) {what}", pod.name, pod.ip));
    }
}

/// Each ordinal has a speed of its own: 20 ms, 35 ms, 50 ms and again.
fn set_speed(embedded: &Embedded, pod: &str) {
    let ordinal = embedded.web.pod(pod).ok().and_then(|pod| pod.ordinal());
    let latency = 20 + 15 * u64::from(ordinal.unwrap_or(0) % 3);
    embedded.set_latency(pod, Duration::from_millis(latency));
}
