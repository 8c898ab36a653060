//! Everything that was measured, and how it ends: the promises and totals, or one JSON object.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chart::{seconds, thousands};
use crate::dig::Dig;
use crate::discovered::Discovered;
use crate::promises::Promise;
use crate::rollout::Change;
use crate::tally::{PodTally, Tally};

/// The embedded cluster's whole story.
pub(crate) struct Report {
    pub(crate) dns: Vec<Dig>,
    pub(crate) discovered: Discovered,
    pub(crate) round_robin: Tally,
    pub(crate) power_of_two: Tally,
    pub(crate) role_aware: Tally,
    pub(crate) scale_up: Change,
    pub(crate) rolling_restart: Change,
    pub(crate) elapsed: Duration,
}

impl Report {
    pub(crate) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        let changes = [&self.scale_up.tally, &self.rolling_restart.tally];
        self.policies().map(|(_, tally)| tally).into_iter().chain(changes)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.tallies().map(|tally| tally.failed).sum()
    }

    fn policies(&self) -> [(&'static str, &Tally); 3] {
        [
            ("round_robin", &self.round_robin),
            ("power_of_two", &self.power_of_two),
            ("role_aware", &self.role_aware),
        ]
    }

    /// The promises, the totals, and what went wrong.
    pub(crate) fn to_text(&self, promises: &[Promise]) -> String {
        let mut lines = Vec::new();
        for promise in promises {
            let mark = if promise.kept { "✓" } else { "✗" };
            lines.push(format!("  {mark} {:<52}{:>22}", promise.text, promise.measured));
        }
        let requests: u64 = self.tallies().map(|tally| tally.requests).sum();
        lines.push(String::new());
        let first = [&self.scale_up.first_answers[..], &self.rolling_restart.first_answers].concat();
        let totals = [
            ("requests", thousands(requests)),
            ("failed", thousands(self.failed())),
            ("first answer of a new pod after", range(&first)),
            (
                "last answer of a removed pod after",
                range(&self.rolling_restart.last_answers),
            ),
            ("the whole story took", seconds(self.elapsed)),
        ];
        lines.extend(totals.map(|(what, value)| format!("  {what:<36}{value}")));
        lines.extend(
            self.tallies()
                .flat_map(|tally| &tally.errors)
                .map(|error| format!("  ! {error}")),
        );
        lines.join("\n")
    }

    pub(crate) fn to_json(&self, promises: &[Promise]) -> Value {
        let mut discovered = self.discovered.to_json();
        discovered["dns"] = self.dns.iter().map(Dig::to_json).collect();
        let policies = self
            .policies()
            .map(|(name, tally)| (name.to_owned(), requests_json(tally)));
        let latencies = self
            .policies()
            .map(|(name, tally)| (name.to_owned(), latency_json(tally)));
        let roles = self.role_aware.by_pod();
        let roles = roles.iter().map(|(pod, counted)| {
            let methods = json!({ "reads": counted.reads, "writes": counted.writes });
            (pod.clone(), methods)
        });
        let promises = promises.iter();
        let promises = promises.map(|it| json!({ "promise": it.text, "kept": it.kept, "measured": it.measured }));
        json!({
            "discovered": discovered,
            "policies": Value::from_iter(policies),
            "latency_ms": Value::from_iter(latencies),
            "roles": Value::from_iter(roles),
            "scale_up": self.scale_up.to_json(),
            "rolling_restart": self.rolling_restart.to_json(),
            "requests": self.tallies().map(|tally| tally.requests).sum::<u64>(),
            "failed": self.failed(),
            "errors": self.tallies().flat_map(|tally| tally.errors.clone()).collect::<Vec<_>>(),
            "promises": promises.collect::<Vec<_>>(),
            "seconds": self.elapsed.as_secs_f64(),
        })
    }
}

impl Dig {
    fn to_json(&self) -> Value {
        json!({
            "question": self.question,
            "status": self.status,
            "answers": self.answers,
            "additional": self.additional,
        })
    }
}

impl Change {
    fn to_json(&self) -> Value {
        let times = |rows: &[(String, Duration)]| {
            let rows = rows.iter().map(|(pod, time)| (pod.clone(), json!(time.as_secs_f64())));
            Value::from_iter(rows)
        };
        json!({
            "requests": self.tally.requests,
            "failed": self.tally.failed,
            "seconds": self.tally.elapsed().as_secs_f64(),
            "new_pod_took_requests_after_seconds": times(&self.first_answers),
            "removed_pod_took_none_after_seconds": times(&self.last_answers),
        })
    }
}

/// Pod → requests.
pub(crate) fn requests_json(tally: &Tally) -> Value {
    tally
        .counts()
        .into_iter()
        .map(|(pod, count)| (pod, json!(count)))
        .collect()
}

/// Pod → percentiles, and `all`.
pub(crate) fn latency_json(tally: &Tally) -> Value {
    let millis = |counted: &PodTally, rank| counted.percentile(rank).as_micros() as f64 / 1000.0;
    let mut rows: BTreeMap<_, _> = tally.by_pod().into_iter().collect();
    rows.insert("all".to_owned(), tally.all());
    let percentiles = |counted| json!({ "p50": millis(counted, 0.50), "p99": millis(counted, 0.99) });
    rows.iter()
        .map(|(pod, counted)| (pod.clone(), percentiles(counted)))
        .collect()
}

/// `0.51 to 1.02 s`.
fn range(rows: &[(String, Duration)]) -> String {
    let times = || rows.iter().map(|row| row.1);
    match (times().min(), times().max()) {
        (Some(least), Some(most)) => format!("{:.2} to {}", least.as_secs_f64(), seconds(most)),
        _ => "never".to_owned(),
    }
}
