//! One benchmark's JSON, read back. What it means is said where it is written: `harness/report.rs`.

use headless_benches::harness::Row;
use serde_json::Value;

/// The results of one benchmark.
#[derive(Debug, Default)]
pub struct Results {
    pub bench: String,
    /// The contender that ratios refer to.
    pub limit: String,
    pub command: String,
    pub machine: String,
    pub rows: Vec<Row>,
    pub targets: Vec<Target>,
    /// SVG that the benchmark wrote besides, and its name.
    pub plots: Vec<(String, String)>,
    /// They are of an earlier run: the last one failed.
    pub outdated: bool,
}

/// What was to be reached.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    pub value: Option<f64>,
    pub bound: String,
    /// `None`: not measured.
    pub holds: Option<bool>,
}

impl Results {
    /// Without plots, and not outdated.
    ///
    /// # Errors
    ///
    /// What is wrong with `json`.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let rows = list(&json, "rows")?.iter().map(row);
        let targets = list(&json, "targets")?.iter().map(|target| {
            Ok(Target {
                name: text(target, "name")?,
                value: target["value"].as_f64(),
                bound: text(target, "bound")?,
                holds: target["holds"].as_bool(),
            })
        });
        Ok(Self {
            bench: text(&json, "bench")?,
            limit: text(&json, "limit")?,
            command: text(&json, "command")?,
            machine: machine(&json["machine"]),
            rows: rows.collect::<Result<_, String>>()?,
            targets: targets.collect::<Result<_, String>>()?,
            plots: Vec::new(),
            outdated: false,
        })
    }

    /// Only a look.
    pub fn quick(&self) -> bool {
        self.command.split(' ').any(|word| word == "--quick")
    }
}

fn row(json: &Value) -> Result<Row, String> {
    Ok(Row {
        contender: text(json, "contender")?,
        case: text(json, "case")?,
        metric: text(json, "metric")?,
        // JSON has no infinity and no NaN: they were written as null.
        value: json["value"].as_f64().unwrap_or(f64::NAN),
        unit: text(json, "unit")?,
        middle_half: json["low"].as_f64().zip(json["high"].as_f64()),
    })
}

fn machine(json: &Value) -> String {
    let cpus = json["cpus"].as_u64().map(|cpus| format!("{cpus} CPUs"));
    let known = |key: &str| json[key].as_str().map(str::to_owned);
    let known: Vec<_> = [cpus, known("model"), known("rustc")].into_iter().flatten().collect();
    if known.is_empty() {
        "unknown".to_owned()
    } else {
        known.join(", ")
    }
}

fn text(json: &Value, key: &str) -> Result<String, String> {
    json[key].as_str().map(str::to_owned).ok_or(format!("no text `{key}`"))
}

fn list<'a>(json: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    json[key].as_array().ok_or(format!("no list `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_harness_writes_is_read() {
        let results = Results::from_json(
            r#"{ "bench": "pool", "limit": "by hand", "command": "cargo bench --bench pool -- --quick",
                 "machine": { "cpus": 2, "model": null, "rustc": "rustc 1.95.0" },
                 "rows": [{ "contender": "ours", "case": "1 task", "metric": "time", "value": 10, "unit": "ns", "low": 9, "high": 12 },
                          { "contender": "ours", "case": "1 task", "metric": "lag", "value": null, "unit": "" }],
                 "targets": [{ "name": "fast", "value": null, "bound": "<= 3", "holds": null }] }"#,
        );
        let results = results.unwrap();
        assert_eq!(results.machine, "2 CPUs, rustc 1.95.0");
        assert!(results.quick());
        assert_eq!(results.rows[0].middle_half, Some((9.0, 12.0)));
        assert!(results.rows[1].value.is_nan() && results.rows[1].middle_half.is_none());
        assert_eq!((results.targets[0].value, results.targets[0].holds), (None, None));
    }
}
