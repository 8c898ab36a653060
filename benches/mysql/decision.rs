//! The routing decision: all that a read does except for talking to its pod. A pod is chosen, and
//! its idle connection is checked out and returned; no statement is sent. The row of the balancer
//! alone shows what the splitter adds.

use std::time::Duration;

use headless::{Outcome, Route};
use headless_benches::harness::{
    Callgrind, Operations, Report, Spread, interleaved, ns_per_operation, one_thread, so_far,
};
use headless_mysql::{Error, ReadOptions, RouteReason, Splitter};
use tokio::runtime::Runtime;

use crate::implementation::Setup;
use crate::ours::splitter;
use crate::servers::Pods;

pub const CASE: &str = "routing decision";
pub const TIME: &str = "time";
/// The rows of the targets.
pub const TARGETS: [&str; 3] = ["read", "read with a token", "read with max_lag"];
const BALANCER: &str = "the balancer alone";
const WAYS: [&str; 5] = [BALANCER, TARGETS[0], TARGETS[1], TARGETS[2], "write"];

/// A splitter with idle connections, and one way to use it.
struct Decision<'a> {
    way: &'static str,
    db: &'a Splitter,
    token: ReadOptions,
    lag: ReadOptions,
}

impl Decision<'_> {
    async fn run(&self, operations: usize) {
        for _ in 0..operations {
            let decided: Result<(), Error> = match self.way {
                BALANCER => {
                    let lease = self.db.balancer().acquire(Route::read()).await;
                    lease
                        .map(|lease| lease.finish(Outcome::Success))
                        .map_err(Error::NotSent)
                }
                "read" => self.db.read(async |_| Ok(())).await,
                "read with a token" => self.db.read_with(&self.token, async |_| Ok(())).await,
                "read with max_lag" => self.db.read_with(&self.lag, async |_| Ok(())).await,
                _ => self.db.write(async |_| Ok(())).await,
            };
            decided.unwrap();
        }
    }
}

/// Returns all ways, after their first operations, which open connections.
async fn decisions(db: &Splitter) -> Vec<Decision<'_>> {
    let token = ReadOptions::new().sees(db.token().await.unwrap());
    // Until the probes have found the position on the replicas.
    let mut tries = 0;
    loop {
        let why: Result<RouteReason, Error> = db.read_with(&token, async |c| Ok(c.explain().reason)).await;
        if why.unwrap() == RouteReason::HasToken {
            break;
        }
        tries += 1;
        assert!(tries < 10_000, "the replicas never reach the primary's position");
    }
    let lag = ReadOptions::new().max_lag(Duration::from_millis(900));
    let ways = WAYS.map(|way| Decision {
        way,
        db,
        token: token.clone(),
        lag: lag.clone(),
    });
    for way in &ways {
        way.run(100).await;
    }
    ways.into()
}

/// Measures times, allocations and, with callgrind, instructions.
pub fn measure(report: &mut Report, callgrind: Option<Callgrind>, pods: Pods, rounds: usize, operations: usize) {
    let runtime = one_thread();
    let db = runtime.block_on(splitter(Setup::of(pods)));
    let mut ways = runtime.block_on(decisions(&db));
    let times = interleaved(rounds, &mut ways, |it| {
        ns_per_operation(operations, || runtime.block_on(it.run(operations)))
    });
    for (way, times) in ways.iter().zip(times) {
        let name = way.way;
        report.add_spread(name, CASE, TIME, Spread::of(times), "ns");
        report.add(name, CASE, "allocations", allocations(&runtime, way), "");
        if let Some(callgrind) = callgrind {
            callgrind.report(report, name, CASE, &format!("{CASE} {pods}"), operations);
        }
    }
}

/// Returns the least of some tries, because a probe may run during a try.
fn allocations(runtime: &Runtime, way: &Decision<'_>) -> f64 {
    const FEW: usize = 10;
    let tries = (0..20).map(|_| {
        let before = so_far();
        runtime.block_on(way.run(FEW));
        so_far() - before
    });
    tries.min().unwrap() as f64 / FEW as f64
}

/// Runs decisions under callgrind, on the pods that the case names. Returns `false` for another
/// case.
pub fn run(operations: &Operations) -> bool {
    let Some(pods) = operations.case.strip_prefix(CASE) else {
        return false;
    };
    let pods: Pods = pods.trim().parse().unwrap();
    one_thread().block_on(async {
        let db = splitter(Setup::of(pods).counted()).await;
        let ways = decisions(&db).await;
        let way = ways.iter().find(|it| it.way == operations.implementation).unwrap();
        way.run(operations.count).await;
    });
    true
}
