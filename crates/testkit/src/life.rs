//! How pods begin and end: the part of the kubelet. Must not live here: which pods there should be (`workload`).
//!
//! Source of the order of a deletion: Kubernetes "Termination of Pods": endpoints change at once, then preStop, then SIGTERM, then,
//! when the grace period is over, SIGKILL.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, watch};

use crate::{
    addr,
    cluster::Inner,
    error::Error,
    event::Event,
    listen::Listening,
    pod::{EndpointStats, Phase, Termination},
    pod_core::{Knobs, PodCore, Stage},
    spec::Spec,
};

/// Starts a pod at `ip`, or at an address of its own. It becomes ready after the workload's start-up time.
pub(crate) fn start(
    inner: &Arc<Inner>,
    spec: &Spec,
    name: String,
    ordinal: Option<u32>,
    ip: Option<Ipv4Addr>,
) -> Result<Arc<PodCore>, Error> {
    // The pod's sockets belong to the cluster's runtime, whichever one this is called on.
    let _runtime = inner.runtime.enter();
    let mut tables = inner.registry.tables();
    if let Some(there) = tables.find(&spec.name, &name) {
        let ip = there.ip;
        return Err(Error::PodExists { pod: name, ip });
    }
    let ip = match ip {
        None => tables.addresses()?.allocate()?,
        Some(ip) if tables.addresses()?.claim(ip)? => ip,
        Some(ip) => {
            let pod = tables.pod_at(ip).map_or("?", |pod| &pod.name).to_owned();
            return Err(Error::AddressInUse { ip, pod });
        }
    };
    let pod = Arc::new(PodCore {
        name,
        workload: spec.name.clone(),
        ordinal,
        governing: spec.governing(),
        ip,
        v6: (inner.registry.settings.dual_stack).then(|| addr::fictional_v6(ip)),
        ports: spec.port_numbers(),
        uid: tables.uid(),
        phase: watch::Sender::new(Phase::Pending),
        stage: watch::Sender::new(Stage::Serving),
        closed: watch::Sender::new(false),
        stats: watch::Sender::new(EndpointStats::default()),
        knobs: watch::Sender::new(Knobs::default()),
        chunks: Semaphore::new(0),
    });
    let listening = match Listening::bind(&pod, &spec.app, tables.lock()?) {
        Ok(listening) => listening,
        Err(error) => {
            tables.addresses()?.release(ip);
            return Err(error);
        }
    };
    tables.insert(Arc::clone(&pod));
    drop(tables);
    inner.registry.changed();
    inner.hub.send(|| Event::PodStarted(pod.reference()));
    let serving = listening.serve(Arc::clone(&pod), spec.app.clone(), spec.termination);
    inner.spawn(serving);
    let startup = spec.startup;
    if startup.is_zero() {
        inner.enter(&pod, Phase::Ready);
    } else {
        let (owner, pod) = (Arc::clone(inner), Arc::clone(&pod));
        inner.spawn(async move {
            tokio::time::sleep(startup).await;
            if pod.phase() == Phase::Pending {
                owner.enter(&pod, Phase::Ready);
            }
        });
    }
    Ok(pod)
}

/// Begins the pod's deletion, which then goes on by itself.
pub(crate) fn terminate(inner: &Arc<Inner>, pod: &Arc<PodCore>, termination: Termination) {
    if !inner.enter(pod, Phase::Terminating) {
        return;
    }
    let (owner, pod) = (Arc::clone(inner), Arc::clone(pod));
    inner.spawn(async move {
        tokio::select! {
            () = drain(&owner, &pod, termination) => {}
            () = pod.reaches(Stage::Closed) => {}
        }
        remove(&owner, &pod).await;
    });
}

async fn drain(inner: &Inner, pod: &PodCore, termination: Termination) {
    wait(termination.pre_stop).await;
    if !advance(pod, Stage::Draining) {
        return;
    }
    inner.hub.send(|| Event::PodDraining(pod.reference()));
    if !termination.stop_accepting {
        return wait(termination.grace).await;
    }
    tokio::select! {
        () = wait(termination.grace) => {}
        () = closed(pod) => {}
    }
}

/// The process dies: all sockets are closed when this returns. DNS still lists the pod if it listed it before.
pub(crate) async fn crash(inner: &Inner, pod: &PodCore) {
    advance(pod, Stage::Closed);
    closed(pod).await;
    match pod.phase() {
        Phase::Ready => inner.enter(pod, Phase::Crashed),
        _ => inner.enter(pod, Phase::NotReady),
    };
}

/// Closes what is still open and forgets the pod.
pub(crate) async fn remove(inner: &Inner, pod: &PodCore) {
    advance(pod, Stage::Closed);
    closed(pod).await;
    if pod.phase() != Phase::Gone {
        inner.registry.tables().remove(pod);
        inner.enter(pod, Phase::Gone);
    }
}

/// Sockets only ever go on to the next stage. `false`: the pod was there already.
fn advance(pod: &PodCore, to: Stage) -> bool {
    pod.stage.send_if_modified(|now| {
        let moves = *now < to;
        *now = to.max(*now);
        moves
    })
}

async fn closed(pod: &PodCore) {
    // The sender is `pod`, so it cannot go away meanwhile.
    let _ = pod.closed.subscribe().wait_for(|closed| *closed).await;
}

/// Simulated time of a pod's life. WHY not always `sleep`: a zero sleep still waits for the next timer tick.
async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
