//! What is done to the embedded cluster, scene by scene, again and again.

use std::time::Duration;

use demo_support::{Embedded, Log, PODS};
use headless_testkit::{Address, Error, Fault, Roll};
use tokio::time::sleep;

/// The time in which the effect of a scene can be read.
const PAUSE: Duration = Duration::from_secs(5);
/// The first scene comes soon: until then there is little to see.
const PROLOGUE: Duration = Duration::from_millis(700);
/// Longer than the back-off needs to grow.
const DNS_DEAD: Duration = Duration::from_secs(8);
/// Shorter than it takes until "no such name" is accepted.
const DNS_DENIES: Duration = Duration::from_secs(4);
/// Long enough that the dead pod is noticed.
const CRASH: Duration = Duration::from_secs(6);

/// Plays all scenes, over and over. Returns only when one cannot be played.
pub(crate) async fn play(embedded: &Embedded, log: &Log) -> Result<(), Error> {
    let web = &embedded.web;
    let say = |text: &str| log.add("cluster", format!("* {text}"));
    sleep(PROLOGUE).await;
    loop {
        say("scale from 3 to 5 pods");
        web.scale(PODS + 2).await?;
        sleep(PAUSE).await;

        say("DNS fails: SERVFAIL to every question");
        dns_fault(embedded, Fault::ServFail, DNS_DEAD).await;
        say("DNS answers again");
        sleep(PAUSE).await;

        say("DNS denies the Service: NXDOMAIN, while all pods live");
        dns_fault(embedded, Fault::NxDomain, DNS_DENIES).await;
        say("DNS tells the truth again");
        sleep(PAUSE).await;

        say("the process of web-1 dies");
        web.kill("web-1").await?;
        sleep(CRASH).await;
        say("web-1 is restarted, under another address");
        web.replace("web-1", Address::New).await?;
        sleep(PAUSE).await;

        say("scale from 5 to 3 pods");
        web.scale(PODS).await?;
        sleep(PAUSE).await;

        say("a rolling update: each pod is replaced");
        web.roll(Roll::default()).await?;
        sleep(PAUSE).await;
    }
}

async fn dns_fault(embedded: &Embedded, fault: Fault, time: Duration) {
    let fault = embedded.cluster.dns().fail(fault);
    sleep(time).await;
    embedded.cluster.dns().remove(fault);
}
