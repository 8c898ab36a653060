//! What a benchmark leaves behind: rows, and targets computed from them. Written as JSON, and read
//! back by the page of all results.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Deserializer, Serialize};

/// The results of one benchmark.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Results {
    /// The name of the benchmark.
    pub bench: String,
    /// The implementation that ratios refer to.
    pub baseline: String,
    /// Where they were measured.
    pub machine: Machine,
    /// The command that repeats the measurement.
    pub command: String,
    /// All figures.
    pub rows: Vec<Row>,
    /// What was to be reached.
    pub targets: Vec<Target>,
}

/// One figure.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub implementation: String,
    /// What it had to do.
    pub case: String,
    /// The kind of figure: `time`, `instructions`, `p99`, ...
    pub metric: String,
    /// The median, if there were several rounds. JSON has no NaN and writes null.
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    /// Of the value: `ns`, `1/s`, ...; empty for counts and ratios.
    pub unit: String,
    /// The lower end of the middle half of the rounds, if there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the middle half of the rounds, if there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// What was to be reached.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Target {
    /// In words.
    pub name: String,
    /// Computed from the rows; `None` if a row it needs was not measured.
    pub value: Option<f64>,
    /// The condition on the value.
    pub bound: String,
    /// Whether the value meets the condition; `None` if it was not measured.
    pub holds: Option<bool>,
}

/// The machine of a measurement, as far as it is known.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Machine {
    cpus: Option<usize>,
    model: Option<String>,
    rustc: Option<String>,
}

impl Machine {
    /// Describes this machine.
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let rustc = Command::new("rustc").arg("--version").output().ok();
        Self {
            cpus: thread::available_parallelism().ok().map(usize::from),
            model: model.and_then(|line| Some(line.split_once(": ")?.1.to_owned())),
            rustc: rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = self.cpus.map(|cpus| format!("{cpus} CPUs"));
        let known = [cpus, self.model.clone(), self.rustc.clone()];
        let known: Vec<_> = known.into_iter().flatten().collect();
        f.write_str(&known.join(", "))
    }
}

fn null_is_nan<'de, D: Deserializer<'de>>(json: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let json = r#"{
            "bench": "pool", "baseline": "hand-written", "command": "cargo bench --bench pool",
            "machine": { "cpus": 2, "model": null, "rustc": "rustc 1.95.0" },
            "rows": [
                { "implementation": "ours", "case": "1 task", "metric": "time", "value": 10.0,
                  "unit": "ns", "low": 9.0, "high": 12.0 },
                { "implementation": "ours", "case": "1 task", "metric": "lag", "value": null,
                  "unit": "" }
            ],
            "targets": [{ "name": "fast", "value": null, "bound": "<= 3", "holds": null }]
        }"#;
        let results: Results = serde_json::from_str(json).unwrap();
        assert_eq!(results.machine.to_string(), "2 CPUs, rustc 1.95.0");
        assert_eq!((results.rows[0].low, results.rows[1].low), (Some(9.0), None));
        assert!(results.rows[1].value.is_nan());
        let written: serde_json::Value = serde_json::to_value(&results).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }
}
