#![doc = include_str!("../README.md")]
//!
//! Nothing in a test has to sleep: operations return when they are done, [`Cluster::events`] tells
//! what happened, and each waiting helper gives up after 10 s with an error that says what did not
//! happen. A seed makes shuffles and generated names repeat.
//!
//! Several clusters can live at once, in threads and processes: each reserves a /16 of 127.0.0.0/8
//! for itself. Linux only, because other systems do not answer on all of 127.0.0.0/8.
//!
//! What is not simulated: ClusterIP Services, network policies, several namespaces, probes, and
//! IPv6 sockets.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod addr;
mod app;
mod cluster;
mod cluster_builder;
mod dns;
mod error;
mod event;
mod fault;
mod http;
mod life;
mod listen;
mod lock;
#[cfg(feature = "mariadb")]
pub mod mariadb;
mod names;
mod pod;
mod pod_core;
mod raw;
mod registry;
mod rollout;
mod service;
mod spec;
mod workload;

pub use self::{
    app::App,
    cluster::Cluster,
    cluster_builder::ClusterBuilder,
    dns::{BareSrv, Dns, FaultId, Query, RecordType, Transport},
    error::Error,
    event::{Event, Events, PodRef},
    fault::{Failure, Fault, FaultRule, ForgedAnswer},
    pod::{Phase, Pod, PodStats, RequestInFlight, Termination},
    raw::{RawConnection, RawPod, RawRequest, RawStats},
    service::ServiceBuilder,
    spec::WorkloadBuilder,
    workload::{Address, Roll, Workload},
};
