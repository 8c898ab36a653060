//! Collects the results of a benchmark, prints them, and writes them as JSON.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process;

use super::args::Args;
use super::results::{Machine, Results, Row, Target};
use super::rounds::Spread;
use super::table::tables;

/// A condition on a value.
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
    baseline: &'static str,
    rows: Vec<Row>,
    targets: Vec<Target>,
}

impl Report {
    /// Creates an empty report. Ratios refer to the implementation `baseline`.
    pub fn new(bench: &'static str, baseline: &'static str) -> Self {
        let (rows, targets) = (Vec::new(), Vec::new());
        Self {
            bench,
            baseline,
            rows,
            targets,
        }
    }

    /// Adds one figure, measured once.
    pub fn add(&mut self, implementation: &str, case: &str, metric: &str, value: f64, unit: &str) {
        let [implementation, case, metric, unit] = [implementation, case, metric, unit].map(str::to_owned);
        self.rows.push(Row {
            implementation,
            case,
            metric,
            value,
            unit,
            low: None,
            high: None,
        });
    }

    /// Adds one figure, measured in several rounds.
    pub fn add_spread(&mut self, implementation: &str, case: &str, metric: &str, spread: Spread, unit: &str) {
        self.add(implementation, case, metric, spread.median, unit);
        if let Some(row) = self.rows.last_mut() {
            (row.low, row.high) = (Some(spread.low), Some(spread.high));
        }
    }

    /// Returns the figure of a row, if it was measured.
    pub fn value(&self, implementation: &str, case: &str, metric: &str) -> Option<f64> {
        let row = |row: &&Row| row.implementation == implementation && row.case == case && row.metric == metric;
        self.rows.iter().find(row).map(|row| row.value)
    }

    /// Returns the ratio of two implementations' figures, if both were measured.
    pub fn ratio(&self, implementation: &str, other: &str, case: &str, metric: &str) -> Option<f64> {
        Some(self.value(implementation, case, metric)? / self.value(other, case, metric)?)
    }

    /// Adds a target. Its value is computed from the rows, with [`value`](Self::value) and
    /// [`ratio`](Self::ratio).
    pub fn target(&mut self, name: &str, value: Option<f64>, bound: Bound) {
        self.targets.push(Target {
            name: name.to_owned(),
            value,
            bound: bound.to_string(),
            holds: value.map(|value| bound.admits(value)),
        });
    }

    /// Prints the tables and the targets, and writes the JSON asked for. Ends the process if that
    /// cannot be written.
    pub fn finish(self, args: &Args) {
        for table in tables(&self.rows, self.baseline) {
            print!("{table}");
        }
        print!("{}", self.summary());
        let results = self.into_results();
        for file in &args.json {
            if let Err(error) = write(file, &results) {
                eprintln!("error: cannot write the results to {}: {error}", file.display());
                process::exit(1);
            }
            println!("results: {}", file.display());
        }
    }

    fn summary(&self) -> String {
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

    fn into_results(self) -> Results {
        Results {
            bench: self.bench.to_owned(),
            baseline: self.baseline.to_owned(),
            machine: Machine::here(),
            command: command(self.bench, env::args().skip(1)),
            rows: self.rows,
            targets: self.targets,
        }
    }
}

/// The command that repeats this run, without a word of cargo's own and without the files of the
/// results.
fn command(bench: &str, args: impl IntoIterator<Item = String>) -> String {
    let peers = if cfg!(feature = "peers") {
        " --features peers"
    } else {
        ""
    };
    let cargo = format!("cargo bench --manifest-path benches/Cargo.toml{peers} --bench {bench} --");
    let mut words = vec![cargo];
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

fn write(file: &Path, results: &Results) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, serde_json::to_string_pretty(results)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("pool", "baseline");
        let spread = Spread {
            median: 10.0,
            low: 9.0,
            high: 12.0,
        };
        report.add_spread("baseline", "alone", "time", spread, "ns");
        report.add("ours", "alone", "time", 25.0, "ns");
        report
    }

    #[test]
    fn ratios_are_of_the_same_case_and_metric() {
        let mut report = report();
        report.add("baseline", "crowd", "time", 50.0, "ns");
        assert_eq!(report.ratio("ours", "baseline", "alone", "time"), Some(2.5));
        assert_eq!(report.ratio("ours", "baseline", "crowd", "time"), None);
        assert_eq!(report.value("ours", "alone", "p99"), None);
        assert_eq!((report.rows[0].low, report.rows[0].high), (Some(9.0), Some(12.0)));
    }

    #[test]
    fn a_target_holds_within_its_bound_and_is_open_without_its_rows() {
        let mut report = report();
        let ratio = report.ratio("ours", "baseline", "alone", "time");
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
        let missing = report.value("ours", "alone", "instructions");
        report.target("instructions", missing, Bound::AtMost(1.0));
        assert_eq!(report.targets.last().and_then(|it| it.holds), None);
        let summary = report.summary();
        for line in [
            "yes  ratio (wanted <= 2.5, is 2.500)",
            "NO   ratio (wanted < 2.5",
            "instructions (wanted <= 1, is not measured)",
        ] {
            assert!(summary.contains(line), "{line} in {summary}");
        }
    }

    #[test]
    fn the_command_can_be_typed_again_on_another_machine() {
        let command = |line: &[&str]| command("pool", line.iter().map(|&arg| arg.to_owned()));
        let cargo = command(&["--bench"]);
        assert!(
            cargo.starts_with("cargo bench ") && cargo.ends_with(" --bench pool"),
            "{cargo}"
        );
        let options = ["--json", "/tmp/pool.json", "--quick", "--case", "1 task", "--bench"];
        assert_eq!(command(&options), format!("{cargo} -- --quick --case \"1 task\""));
    }
}
