//! A load on the pods of a server, while they stay, close idle connections, come and go, or die.

use std::time::Duration;

use headless_testkit::{Address, Roll};
use rustix::process::Signal;

use crate::bed::{Bed, Settings, plain};
use crate::calls::{Calls, MayLose, requests};
use crate::servers::{Ability, Server};

/// Requests that are waited for between two changes.
const SOME: u64 = 200;

pub async fn steady_load(server: &Server) {
    let Some(bed) = Bed::start(server, plain(3)).await else {
        return;
    };
    let calls = Calls::start(&bed.client, "/id", Duration::ZERO);
    calls.reach(requests()).await;
    calls.check(&bed, MayLose::Nothing).await;
}

/// Idle connections are closed about when they are used again.
pub async fn keep_alive_race(server: &Server) {
    const IDLE_MS: u32 = 10;
    if !server.can(Ability::ClosesIdle) {
        return;
    }
    let settings = Settings {
        idle_ms: Some(IDLE_MS),
        ..plain(3)
    };
    let Some(bed) = Bed::start(server, settings).await else {
        return;
    };
    let calls = Calls::start(&bed.client, "/id", Duration::from_millis(IDLE_MS.into()));
    calls.reach(requests()).await;
    calls.check(&bed, MayLose::Writes).await;
}

pub async fn rolling_restart(server: &Server) {
    let Some(bed) = Bed::start(server, plain(3)).await else {
        return;
    };
    let path = match server.can(Ability::Slow) {
        true => "/slow?ms=20",
        false => "/id",
    };
    let calls = Calls::start(&bed.client, path, Duration::ZERO);
    calls.more(SOME).await;
    loop {
        bed.set.roll(Roll::default()).await.unwrap();
        calls.more(SOME).await;
        for replicas in [5, 2, 3] {
            bed.set.scale(replicas).await.unwrap();
            calls.more(SOME).await;
        }
        if calls.load.done() >= requests() {
            break;
        }
    }
    calls.check(&bed, MayLose::Nothing).await;
}

pub async fn kill_and_stop(server: &Server) {
    let Some(bed) = Bed::start(server, plain(3)).await else {
        return;
    };
    let calls = Calls::start(&bed.client, "/id", Duration::ZERO);
    while calls.load.done() < requests() {
        calls.more(SOME).await;
        // DNS goes on listing it.
        bed.set.kill("web-1").await.unwrap();
        calls.more(SOME).await;
        bed.set.replace("web-1", Address::New).await.unwrap();
        // While the client takes the new pod for dead, it compares only one of three pairs by load,
        // and all callers would soon wait for the pod that is stopped.
        bed.has_all_pods().await;
        calls.more(SOME).await;
        let pod = bed.set.pod("web-2").unwrap();
        bed.processes.signal(&pod, Signal::STOP);
        calls.more(SOME).await;
        bed.processes.signal(&pod, Signal::CONT);
    }
    calls.more(SOME).await;
    calls.check(&bed, MayLose::WritesAndLogs).await;
}
