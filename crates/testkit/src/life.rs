//! How pods begin and end: the role of the kubelet. Must not live here: which pods there should be
//! (`workload`).
//!
//! Source of the order of a deletion: Kubernetes "Termination of Pods": endpoints change at once,
//! then preStop, then SIGTERM, then, when the grace period is over, SIGKILL.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
};

use crate::{
    addr,
    cluster::ControlPlane,
    error::Error,
    event::Event,
    listen::Listening,
    pod::{Phase, PodStats, Termination},
    pod_core::{Knobs, PodCore, SocketStage},
    spec::Spec,
};

/// Starts a pod at `ip`, or at an address of its own. It becomes ready after the workload's
/// start-up time.
pub(crate) fn start(
    control: &Arc<ControlPlane>,
    spec: &Spec,
    name: String,
    ordinal: Option<u32>,
    ip: Option<Ipv4Addr>,
) -> Result<Arc<PodCore>, Error> {
    // The pod's sockets belong to the cluster's runtime, whichever one this is called on.
    let _runtime = control.runtime.enter();
    let mut tables = control.registry.tables();
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
        v6: (control.registry.settings.dual_stack).then(|| addr::fictional_v6(ip)),
        ports: spec.port_numbers(),
        uid: tables.uid(),
        phase: watch::Sender::new(Phase::Pending),
        stage: watch::Sender::new(SocketStage::Serving),
        closed: watch::Sender::new(false),
        stats: watch::Sender::new(PodStats::default()),
        knobs: watch::Sender::new(Knobs::default()),
        chunks: Semaphore::new(0),
    });
    let listening = match Listening::bind(&pod, &spec.app, tables.reservation()?) {
        Ok(listening) => listening,
        Err(error) => {
            tables.addresses()?.release(ip);
            return Err(error);
        }
    };
    tables.insert(Arc::clone(&pod));
    drop(tables);
    control.registry.changed();
    control.hub.send(|| Event::PodStarted(pod.reference()));
    let serving = listening.serve(Arc::clone(&pod), spec.app.clone(), spec.termination);
    control.spawn(serving);
    let startup = spec.startup;
    if spec.app.is_external() {
        let (owner, pod) = (Arc::clone(control), Arc::clone(&pod));
        control.spawn(async move { watch_program(&owner, &pod, startup).await });
    } else if startup.is_zero() {
        control.enter(&pod, Phase::Ready);
    } else {
        let (owner, pod) = (Arc::clone(control), Arc::clone(&pod));
        control.spawn(async move {
            tokio::time::sleep(startup).await;
            if pod.phase() == Phase::Pending {
                owner.enter(&pod, Phase::Ready);
            }
        });
    }
    Ok(pod)
}

/// Makes the pod ready when its program accepts connections, and crashed when it has ended.
async fn watch_program(control: &ControlPlane, pod: &PodCore, startup: Duration) {
    let started = async {
        wait(startup).await;
        accepts(pod).await;
    };
    tokio::select! {
        () = started => if pod.phase() == Phase::Pending {
            control.enter(pod, Phase::Ready);
        },
        () = closed(pod) => {}
    }
    closed(pod).await;
    // One that was told to end is terminating, which it stays.
    crash(control, pod).await;
}

/// Waits until each port of the pod accepts a connection.
async fn accepts(pod: &PodCore) {
    const PERIOD: Duration = Duration::from_millis(10);
    let mut ticks = tokio::time::interval(PERIOD);
    for port in &pod.ports {
        while TcpStream::connect((pod.ip, *port)).await.is_err() {
            ticks.tick().await;
        }
    }
}

/// Begins the pod's deletion, which then completes in a task of its own.
pub(crate) fn terminate(control: &Arc<ControlPlane>, pod: &Arc<PodCore>, termination: Termination) {
    if !control.enter(pod, Phase::Terminating) {
        return;
    }
    let (owner, pod) = (Arc::clone(control), Arc::clone(pod));
    control.spawn(async move {
        tokio::select! {
            () = drain(&owner, &pod, termination) => {}
            () = pod.reaches(SocketStage::Closed) => {}
        }
        remove(&owner, &pod).await;
    });
}

async fn drain(control: &ControlPlane, pod: &PodCore, termination: Termination) {
    wait(termination.pre_stop).await;
    if !advance(pod, SocketStage::Draining) {
        return;
    }
    control.hub.send(|| Event::PodDraining(pod.reference()));
    if !termination.stop_accepting {
        return wait(termination.grace).await;
    }
    tokio::select! {
        () = wait(termination.grace) => {}
        () = closed(pod) => {}
    }
}

/// The process dies: all sockets are closed when this returns. DNS still lists the pod if it listed
/// it before.
pub(crate) async fn crash(control: &ControlPlane, pod: &PodCore) {
    advance(pod, SocketStage::Closed);
    closed(pod).await;
    match pod.phase() {
        Phase::Ready | Phase::Crashed => control.enter(pod, Phase::Crashed),
        _ => control.enter(pod, Phase::NotReady),
    };
}

/// Closes what is still open and removes the pod.
pub(crate) async fn remove(control: &ControlPlane, pod: &PodCore) {
    advance(pod, SocketStage::Closed);
    closed(pod).await;
    if pod.phase() != Phase::Gone {
        control.registry.tables().remove(pod);
        control.enter(pod, Phase::Gone);
    }
}

/// Sockets only ever go on to the next stage. `false`: the pod was there already.
fn advance(pod: &PodCore, to: SocketStage) -> bool {
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

/// Simulated time of a pod's life. WHY not always `sleep`: a zero sleep still waits for the next
/// timer tick.
async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
