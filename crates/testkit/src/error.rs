//! What can go wrong while a cluster is built or changed.
//!
//! Each text says what was asked, what was found, and what to do. Faults injected on purpose are
//! not errors: they are in [`fault`](crate::fault).

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// An operation on the cluster that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Every /16 block of loopback addresses is held by another cluster.
    #[error(
        "no free 127.A.0.0/16 block: all {tried} blocks tried have their lock port 127.A.0.53:{port}/udp taken \
         (last: {source}); drop clusters that are no longer needed, or run in a network namespace of its own"
    )]
    NoFreeBlock {
        /// Number of blocks tried.
        tried: usize,
        /// The UDP port that stands for the lock.
        port: u16,
        /// What the system said to the last attempt.
        source: io::Error,
    },
    /// A socket could not be bound.
    #[error("cannot listen on {addr} for {what}: {source}; choose another port, or stop the program that holds it")]
    Bind {
        /// What the socket was for.
        what: String,
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no pod of that name now.
    #[error("workload {workload} has no pod {pod}; it has [{have}]")]
    UnknownPod {
        /// The workload that was asked.
        workload: String,
        /// The name asked for.
        pod: String,
        /// The names it has, separated by commas.
        have: String,
    },
    /// A pod of that name is still there.
    #[error("pod {pod} already exists at {ip}; evict it first, or use `replace`")]
    PodExists {
        /// The pod's name.
        pod: String,
        /// Its address.
        ip: Ipv4Addr,
    },
    /// The address belongs to a pod that still lives.
    #[error("address {ip} is still used by pod {pod}; evict that pod first")]
    AddressInUse {
        /// The address asked for.
        ip: Ipv4Addr,
        /// The pod that has it.
        pod: String,
    },
    /// The address is not one of this cluster's pod addresses.
    #[error("address {ip} is outside the cluster's pod range {range}; use an address this cluster gave out earlier")]
    OutsideBlock {
        /// The address asked for.
        ip: Ipv4Addr,
        /// The pod range.
        range: String,
    },
    /// All pod addresses are in use.
    #[error("all {capacity} pod addresses of the cluster are in use; start a second cluster")]
    AddressesExhausted {
        /// Number of addresses in the block.
        capacity: usize,
    },
    /// A workload or Service of that name is already there.
    #[error("{kind} {name} already exists in this cluster; choose another name")]
    Duplicate {
        /// "workload" or "service".
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A name that Kubernetes would refuse, or that does not fit the workload.
    #[error("{name:?} cannot be a {kind}: {reason}")]
    InvalidName {
        /// What it was meant to name.
        kind: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An external program ended by itself before its pod was ready.
    #[error("the program of pod {pod} ended before it accepted connections at {ip}; see what it has printed")]
    ProgramEnded {
        /// The pod's name.
        pod: String,
        /// Its address.
        ip: Ipv4Addr,
    },
    /// The event waited for did not come in time.
    #[error("waited {waited:?} for {what}, and it did not happen; check that something triggers it")]
    NotSeen {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// The cluster was dropped.
    #[error("the cluster was dropped: all its pods and its DNS server are gone; keep the Cluster value alive")]
    Stopped,
}
