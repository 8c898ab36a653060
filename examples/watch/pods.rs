//! The rows of the table: each pod that takes requests, and each that left with requests under way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headless::{Endpoint, EndpointKey, EndpointStats, Stats};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Since when each pod is known here. DNS does not tell the age of a pod, and a pod under a new address is a new one.
#[derive(Default)]
pub(crate) struct Ages(Mutex<HashMap<EndpointKey, Instant>>);

/// One pod.
pub(crate) struct Row {
    pod: Option<String>,
    ordinal: Option<u32>,
    address: String,
    state: &'static str,
    age: Duration,
    in_flight: usize,
    /// What only the pods that take requests have.
    pool: Option<Pool>,
}

struct Pool {
    latency: Option<Duration>,
    busy: usize,
    idle: usize,
    connecting: usize,
    opened: u64,
}

/// The title of each column, with its width; negative: to the left.
const COLUMNS: [(&str, isize); 10] = [
    ("pod", -14),
    ("ord", 3),
    ("address", -21),
    ("state", -8),
    ("in flight", 9),
    ("latency", 9),
    ("conns busy", 10),
    ("idle", 4),
    ("opened", 6),
    ("age", 8),
];

impl Ages {
    /// All rows: those that take requests in their order, then those that drain. Call it often: a pod's age begins when it is
    /// seen here first.
    pub(crate) fn rows(&self, stats: &Stats) -> Vec<Row> {
        let now = Instant::now();
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = stats.endpoints.iter().map(|pod| &pod.endpoint);
        let seen: Vec<_> = listed
            .chain(stats.draining.iter().map(|(endpoint, _)| endpoint))
            .collect();
        let old = std::mem::take(&mut *ages);
        for endpoint in seen {
            let since = old.get(endpoint.key()).copied().unwrap_or(now);
            ages.insert(endpoint.key().clone(), since);
        }
        let age = |endpoint: &Endpoint| ages.get(endpoint.key()).map_or(Duration::ZERO, |since| now - *since);
        let listed = stats.endpoints.iter().map(|pod| Row::listed(pod, age(&pod.endpoint)));
        let draining = stats
            .draining
            .iter()
            .map(|(endpoint, requests)| Row::new(endpoint, "draining", *requests, age(endpoint)));
        listed.chain(draining).collect()
    }
}

impl Row {
    fn new(endpoint: &Endpoint, state: &'static str, in_flight: usize, age: Duration) -> Self {
        Self {
            pod: endpoint.pod().map(ToString::to_string),
            ordinal: endpoint.ordinal().map(|ordinal| ordinal.get()),
            address: endpoint.addr().to_string(),
            state,
            age,
            in_flight,
            pool: None,
        }
    }

    fn listed(pod: &EndpointStats, age: Duration) -> Self {
        let state = if pod.unhealthy { "unhealthy" } else { "ready" };
        let in_flight = usize::try_from(pod.in_flight).unwrap_or(usize::MAX);
        Self {
            pool: Some(Pool {
                latency: pod.latency,
                busy: pod.pool.busy,
                idle: pod.pool.idle,
                connecting: pod.pool.connecting,
                opened: pod.pool.opened,
            }),
            ..Self::new(&pod.endpoint, state, in_flight, age)
        }
    }

    pub(crate) fn to_line(&self) -> String {
        let of_pool =
            |number: fn(&Pool) -> usize| self.pool.as_ref().map_or_else(dash, |pool| number(pool).to_string());
        let latency = self.pool.as_ref().and_then(|pool| pool.latency);
        line([
            self.pod.clone().unwrap_or_else(dash),
            self.ordinal.map_or_else(dash, |ordinal| ordinal.to_string()),
            self.address.clone(),
            self.state.to_owned(),
            self.in_flight.to_string(),
            latency.map_or_else(dash, |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0)),
            of_pool(|pool| pool.busy + pool.connecting),
            of_pool(|pool| pool.idle),
            of_pool(|pool| usize::try_from(pool.opened).unwrap_or(usize::MAX)),
            format!("{:.1} s", self.age.as_secs_f64()),
        ])
    }

    pub(crate) fn to_json(&self) -> Value {
        let pool = self.pool.as_ref();
        json!({
            "pod": self.pod,
            "ordinal": self.ordinal,
            "address": self.address,
            "state": self.state,
            "in_flight": self.in_flight,
            "latency_ms": pool.and_then(|pool| pool.latency).map(|time| time.as_secs_f64() * 1000.0),
            "connections": pool.map(|pool| {
                json!({ "busy": pool.busy, "idle": pool.idle, "connecting": pool.connecting, "opened": pool.opened })
            }),
            "age_seconds": self.age.as_secs_f64(),
        })
    }
}

/// The titles of the columns.
pub(crate) fn header() -> String {
    line(COLUMNS.map(|(title, _)| title.to_owned()))
}

fn line(cells: [String; COLUMNS.len()]) -> String {
    let cells = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| {
        let columns = width.unsigned_abs();
        if width < 0 {
            format!("{cell:<columns$}")
        } else {
            format!("{cell:>columns$}")
        }
    });
    cells.collect::<Vec<_>>().join("  ")
}

fn dash() -> String {
    "-".to_owned()
}
