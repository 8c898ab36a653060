//! What a benchmark reports: rows, and targets computed from them; as JSON and as text.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use serde_json::{Value, json};

use super::table::table;
use super::{Args, Spread};

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Who.
    pub contender: String,
    /// Doing what.
    pub case: String,
    /// What was measured: `time`, `instructions`, `p99`, ...
    pub metric: String,
    /// The median, if there were several rounds.
    pub value: f64,
    /// Of the value: `ns`, `1/s`, ...; empty for counts and ratios.
    pub unit: String,
    /// The middle half of the rounds, if there were several.
    pub middle_half: Option<(f64, f64)>,
}

/// What was to be reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// In words.
    pub name: String,
    /// From the rows; `None`: a row it needs was not measured.
    pub value: Option<f64>,
    /// What the value has to obey.
    pub bound: Bound,
    /// Whether it does; `None`: not measured.
    pub holds: Option<bool>,
}

/// What a value has to obey.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Below(f64),
    /// This or more.
    AtLeast(f64),
}

impl Bound {
    fn admits(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::Below(bound) => value < bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::Below(bound) => write!(f, "< {bound}"),
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
        }
    }
}

/// The rows and targets of one benchmark.
#[derive(Debug)]
pub struct Report {
    bench: &'static str,
    limit: &'static str,
    rows: Vec<Row>,
    targets: Vec<Target>,
}

impl Report {
    /// Of the benchmark of this name; the contender `limit` is what the others' ratios refer to.
    pub fn new(bench: &'static str, limit: &'static str) -> Self {
        Self {
            bench,
            limit,
            rows: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Adds one figure, measured once.
    pub fn add(&mut self, contender: &str, case: &str, metric: &str, value: f64, unit: &str) {
        self.push(contender, case, metric, value, unit, None);
    }

    /// Adds one figure, measured in several rounds.
    pub fn add_spread(&mut self, contender: &str, case: &str, metric: &str, spread: Spread, unit: &str) {
        let middle_half = Some((spread.low, spread.high));
        self.push(contender, case, metric, spread.median, unit, middle_half);
    }

    fn push(
        &mut self,
        contender: &str,
        case: &str,
        metric: &str,
        value: f64,
        unit: &str,
        middle_half: Option<(f64, f64)>,
    ) {
        let [contender, case, metric, unit] = [contender, case, metric, unit].map(str::to_owned);
        self.rows.push(Row {
            contender,
            case,
            metric,
            value,
            unit,
            middle_half,
        });
    }

    /// The figure of a row, if it was measured.
    pub fn value(&self, contender: &str, case: &str, metric: &str) -> Option<f64> {
        let row = |row: &&Row| row.contender == contender && row.case == case && row.metric == metric;
        self.rows.iter().find(row).map(|row| row.value)
    }

    /// How many times `other`'s figure `contender`'s is, if both were measured.
    pub fn ratio(&self, contender: &str, other: &str, case: &str, metric: &str) -> Option<f64> {
        Some(self.value(contender, case, metric)? / self.value(other, case, metric)?)
    }

    /// Adds a target; its value is computed from the rows, with [`value`](Self::value) and [`ratio`](Self::ratio).
    pub fn target(&mut self, name: &str, value: Option<f64>, bound: Bound) {
        let holds = value.map(|value| bound.admits(value));
        self.targets.push(Target {
            name: name.to_owned(),
            value,
            bound,
            holds,
        });
    }

    /// Prints the tables and the targets, and writes the JSON asked for. Ends the process if that cannot be written.
    pub fn finish(&self, args: &Args) {
        print!("{}", table(&self.rows, self.limit));
        print!("{}", self.verdict());
        for file in &args.json {
            if let Err(error) = write(file, &format!("{:#}\n", self.to_json())) {
                eprintln!("error: cannot write the results to {}: {error}", file.display());
                process::exit(1);
            }
            println!("results: {}", file.display());
        }
    }

    fn verdict(&self) -> String {
        let lines = self.targets.iter().map(|target| {
            let value = target
                .value
                .map_or("not measured".to_owned(), |value| format!("{value:.3}"));
            let holds = target.holds.map_or("-", |holds| if holds { "yes" } else { "NO" });
            format!("  {holds:<4} {} (wanted {}, is {value})\n", target.name, target.bound)
        });
        let lines: String = lines.collect();
        if lines.is_empty() {
            lines
        } else {
            format!("targets\n{lines}\n")
        }
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut json = json!({
                "contender": row.contender, "case": row.case, "metric": row.metric, "value": row.value, "unit": row.unit,
            });
            if let Some((low, high)) = row.middle_half {
                json["low"] = low.into();
                json["high"] = high.into();
            }
            json
        });
        let targets = self.targets.iter().map(|target| {
            json!({
                "name": target.name, "value": target.value, "bound": target.bound.to_string(), "holds": target.holds,
            })
        });
        json!({
            "bench": self.bench,
            "limit": self.limit,
            "machine": machine(),
            "command": command(self.bench, env::args().skip(1)),
            "rows": rows.collect::<Vec<_>>(),
            "targets": targets.collect::<Vec<_>>(),
        })
    }
}

/// As one types it, without what says nothing about the figures: a word of cargo's own, and where they are written.
fn command(bench: &str, args: impl IntoIterator<Item = String>) -> String {
    let peers = if cfg!(feature = "peers") {
        " --features peers"
    } else {
        ""
    };
    let mut words = vec![format!(
        "cargo bench --manifest-path benches/Cargo.toml{peers} --bench {bench} --"
    )];
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {}
            "--json" => drop(args.next()),
            _ if arg.contains(' ') => words.push(format!("{arg:?}")),
            _ => words.push(arg),
        }
    }
    words.join(" ").trim_end_matches(" --").to_owned()
}

fn machine() -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map(|(_, model)| model);
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let cpus = std::thread::available_parallelism().ok().map(usize::from);
    json!({ "cpus": cpus, "model": model, "rustc": rustc })
}

/// Where plots go: `target/bench`.
pub fn output_dir() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    // A relative folder is below the workspace, not below this package, where programs are started.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
    workspace.join(target).join("bench")
}

/// Writes a file, and makes its folder first.
pub(super) fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("pool", "limit");
        let spread = Spread {
            median: 10.0,
            low: 9.0,
            high: 12.0,
        };
        report.add_spread("limit", "alone", "time", spread, "ns");
        report.add("ours", "alone", "time", 25.0, "ns");
        report
    }

    #[test]
    fn ratios_are_of_the_same_case_and_metric() {
        let mut report = report();
        report.add("limit", "crowd", "time", 50.0, "ns");
        assert_eq!(report.ratio("ours", "limit", "alone", "time"), Some(2.5));
        assert_eq!(report.ratio("ours", "limit", "crowd", "time"), None);
        assert_eq!(report.value("ours", "alone", "p99"), None);
    }

    #[test]
    fn a_target_holds_within_its_bound_and_is_open_without_its_rows() {
        let mut report = report();
        let ratio = report.ratio("ours", "limit", "alone", "time");
        for (bound, holds) in [
            (Bound::AtMost(2.5), true),
            (Bound::Below(2.5), false),
            (Bound::AtLeast(2.5), true),
            (Bound::AtLeast(2.6), false),
        ] {
            report.target("ratio", ratio, bound);
            let target = report.targets.last().expect("just added");
            assert_eq!(target.holds, Some(holds), "{bound}");
        }
        report.target(
            "instructions",
            report.value("ours", "alone", "instructions"),
            Bound::AtMost(1.0),
        );
        assert_eq!(report.targets.last().and_then(|it| it.holds), None);
        let verdict = report.verdict();
        for said in [
            "yes  ratio (wanted <= 2.5, is 2.500)",
            "NO   ratio (wanted < 2.5",
            "instructions (wanted <= 1, is not measured)",
        ] {
            assert!(verdict.contains(said), "{said} in {verdict}");
        }
    }

    #[test]
    fn the_command_can_be_typed_again_on_another_machine() {
        let said = |line: &[&str]| command("pool", line.iter().map(|&arg| arg.to_owned()));
        let cargo = said(&["--bench"]);
        assert!(
            cargo.starts_with("cargo bench ") && cargo.ends_with(" --bench pool"),
            "{cargo}"
        );
        let options = said(&["--json", "/tmp/pool.json", "--quick", "--case", "1 task", "--bench"]);
        assert_eq!(options, format!("{cargo} -- --quick --case \"1 task\""));
    }

    #[test]
    fn the_json_has_rows_targets_and_the_machine() {
        let mut report = report();
        report.target("fast", Some(2.5), Bound::AtMost(3.0));
        report.target("small", None, Bound::AtMost(3.0));
        let json = report.to_json();
        assert_eq!((&json["bench"], &json["limit"]), (&"pool".into(), &"limit".into()));
        assert!(json["machine"]["cpus"].as_u64() > Some(0), "{json}");
        assert!(json["command"].is_string());
        let limit = json!({
            "contender": "limit", "case": "alone", "metric": "time", "value": 10.0, "unit": "ns", "low": 9.0, "high": 12.0,
        });
        let ours = json!({ "contender": "ours", "case": "alone", "metric": "time", "value": 25.0, "unit": "ns" });
        assert_eq!(json["rows"], json!([limit, ours]));
        let fast = json!({ "name": "fast", "value": 2.5, "bound": "<= 3", "holds": true });
        let small = json!({ "name": "small", "value": null, "bound": "<= 3", "holds": null });
        assert_eq!(json["targets"], json!([fast, small]));
    }
}
