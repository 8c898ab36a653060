//! The order in which pods start and end, as the StatefulSet and Deployment controllers have it.
//!
//! Source: Kubernetes StatefulSet documentation ("Deployment and Scaling Guarantees", "Rolling
//! Updates"); a Deployment here has `maxSurge: 1, maxUnavailable: 0`. Must not live here: how one
//! pod begins and ends (`life`).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    cluster::ControlPlane,
    error::Error,
    event::WAIT_LIMIT,
    life, names,
    pod::Phase,
    pod_core::PodCore,
    spec::{Kind, Spec},
    workload::{Address, Roll},
};

/// Bound of the wait for an external program: a virtual machine on a busy computer.
const PROGRAM_LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn scale(control: &Arc<ControlPlane>, spec: &Spec, replicas: u32) -> Result<(), Error> {
    let pods = alive(control, spec);
    let (missing, mut surplus): (Vec<(String, Option<u32>)>, Vec<_>) = match spec.kind {
        Kind::StatefulSet { start } => {
            let have: BTreeSet<_> = pods.iter().filter_map(|pod| pod.ordinal).collect();
            let wanted = start..start + replicas;
            let missing = wanted.clone().filter(|k| !have.contains(k));
            let is_surplus = |pod: &Arc<PodCore>| !pod.ordinal.is_some_and(|k| wanted.contains(&k));
            (
                missing.map(|k| (format!("{}-{k}", spec.name), Some(k))).collect(),
                pods.into_iter().filter(is_surplus).collect(),
            )
        }
        Kind::Deployment => {
            let replicas = replicas as usize;
            let hash = template_hash(control, &pods);
            let missing = pods.len()..replicas;
            (
                missing.map(|_| (generated(control, spec, &hash), None)).collect(),
                pods.into_iter().skip(replicas).collect(),
            )
        }
    };
    let mut started = Vec::new();
    for (name, ordinal) in missing {
        let leaving = control.registry.tables().find(&spec.name, &name);
        if let Some(leaving) = leaving {
            gone(&leaving).await;
        }
        let pod = life::start(control, spec, name, ordinal, None)?;
        if !spec.parallel {
            ready(spec, &pod).await?;
        }
        started.push(pod);
    }
    for pod in started {
        ready(spec, &pod).await?;
    }
    surplus.reverse();
    for pod in &surplus {
        life::terminate(control, pod, spec.termination);
        if !spec.parallel {
            gone(pod).await;
        }
    }
    for pod in &surplus {
        gone(pod).await;
    }
    Ok(())
}

pub(crate) async fn roll(control: &Arc<ControlPlane>, spec: &Spec, roll: Roll) -> Result<(), Error> {
    let mut pods = alive(control, spec);
    if spec.kind == Kind::Deployment {
        let hash = template_hash(control, &[]);
        for old in pods {
            let name = generated(control, spec, &hash);
            let new = life::start(control, spec, name, None, None)?;
            ready(spec, &new).await?;
            end(control, spec, &old).await;
        }
        return Ok(());
    }
    pods.retain(|pod| pod.ordinal.is_some_and(|k| k >= roll.partition));
    for old in pods.into_iter().rev() {
        end(control, spec, &old).await;
        let ip = (roll.address == Address::Same).then_some(old.ip);
        let new = life::start(control, spec, old.name.clone(), old.ordinal, ip)?;
        ready(spec, &new).await?;
    }
    Ok(())
}

/// Deletes a pod and waits until it is gone.
pub(crate) async fn end(control: &Arc<ControlPlane>, spec: &Spec, pod: &Arc<PodCore>) {
    life::terminate(control, pod, spec.termination);
    gone(pod).await;
}

/// Waits until a new pod is ready, or was ready, or is gone again.
pub(crate) async fn ready(spec: &Spec, pod: &PodCore) -> Result<(), Error> {
    let waited = match spec.app.is_external() {
        true => spec.startup + PROGRAM_LIMIT,
        false => spec.startup + WAIT_LIMIT,
    };
    let mut phase = pod.phase.subscribe();
    let begun = phase.wait_for(|phase| *phase != Phase::Pending);
    match tokio::time::timeout(waited, begun).await {
        Ok(_) if spec.app.is_external() && *pod.closed.borrow() => Err(Error::ProgramEnded {
            pod: pod.name.clone(),
            ip: pod.ip,
        }),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::NotSeen {
            what: format!("pod {} to become ready", pod.name),
            waited,
        }),
    }
}

/// Bounded by the pod's own termination, which runs in a task of its own.
async fn gone(pod: &PodCore) {
    let mut phase = pod.phase.subscribe();
    let _ = phase.wait_for(|phase| *phase == Phase::Gone).await;
}

/// The pods that count as replicas. A terminating one still has its name and address, but does not
/// count.
fn alive(control: &ControlPlane, spec: &Spec) -> Vec<Arc<PodCore>> {
    let tables = control.registry.tables();
    let pods = tables.pods(&spec.name).iter();
    let alive = pods.filter(|pod| pod.phase() != Phase::Terminating);
    alive.cloned().collect()
}

/// The hash in the pods' names, or a new one if there is no pod: a rolled Deployment has a new pod
/// template.
fn template_hash(control: &ControlPlane, pods: &[Arc<PodCore>]) -> String {
    let named = pods.last().and_then(|pod| pod.name.rsplit('-').nth(1));
    match named {
        Some(hash) => hash.to_owned(),
        None => names::suffix(&mut control.registry.tables().rng, 10),
    }
}

/// A name without an ordinal: DNS clients must not take a Deployment for a StatefulSet.
fn generated(control: &ControlPlane, spec: &Spec, hash: &str) -> String {
    loop {
        let suffix = names::suffix(&mut control.registry.tables().rng, 5);
        let name = format!("{}-{hash}-{suffix}", spec.name);
        if names::ordinal(&format!("{}-{hash}", spec.name), &name).is_none() {
            return name;
        }
    }
}
