//! The recorded counts, `recorded.json`, and the comparison of new counts with them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The largest change of a count, as a part of the recorded one.
const TOLERANCE: f64 = 0.1;

/// The compiler of the code. Counts of two compilers differ for no other reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    version: String,
    target: String,
}

impl Compiler {
    /// Returns the compiler that cargo uses here.
    ///
    /// # Errors
    ///
    /// `rustc` does not name its version and host.
    pub fn here() -> Result<Self, String> {
        let output = Command::new("rustc").arg("-vV").output();
        let output = output.map_err(|error| format!("rustc does not start: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        Self::from_version(&said).ok_or(format!("`rustc -vV` names no version and host:\n{said}"))
    }

    fn from_version(said: &str) -> Option<Self> {
        let version = said.lines().next()?.to_owned();
        let target = said.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        Some(Self { version, target })
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.version, self.target)
    }
}

/// Instructions per operation, of each case.
#[derive(Debug, PartialEq)]
pub struct Record {
    pub compiler: Compiler,
    counts: BTreeMap<String, f64>,
}

/// Returns the file of the recorded counts.
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts/recorded.json")
}

impl Record {
    /// Creates an empty record.
    pub fn new(compiler: Compiler) -> Self {
        let counts = BTreeMap::new();
        Self { compiler, counts }
    }

    pub fn add(&mut self, case: String, count: f64) {
        // Less than a tenth of an instruction is noise, and must not change the record.
        self.counts.insert(case, (10.0 * count).round() / 10.0);
    }

    /// # Errors
    ///
    /// The file cannot be read, or is no record.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let json = serde_json::from_str(&text).ok();
        json.and_then(|json| Self::from_json(&json))
            .ok_or(format!("{} is no record: cargo xtask counts --record", file.display()))
    }

    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), String> {
        let written = fs::write(file, format!("{:#}\n", self.to_json()));
        written.map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    fn from_json(json: &Value) -> Option<Self> {
        let text = |key: &str| Some(json[key].as_str()?.to_owned());
        let compiler = Compiler {
            version: text("rustc")?,
            target: text("target")?,
        };
        let counts = json["instructions"].as_object()?.iter();
        let counts = counts.map(|(case, count)| Some((case.clone(), count.as_f64()?)));
        let counts = counts.collect::<Option<_>>()?;
        Some(Self { compiler, counts })
    }

    fn to_json(&self) -> Value {
        let Compiler { version, target } = &self.compiler;
        json!({ "rustc": version, "target": target, "instructions": self.counts })
    }

    /// Returns a line per case, and the number of cases that are not as recorded: changed too much,
    /// new, or gone.
    pub fn against(&self, now: &Self) -> (String, usize) {
        let mut text = line("instructions per operation", "recorded", "now", "change");
        let mut off = 0;
        let mut cases: Vec<_> = self.counts.keys().chain(now.counts.keys()).collect();
        cases.sort();
        cases.dedup();
        for case in cases {
            let (recorded, now) = (self.counts.get(case), now.counts.get(case));
            let change = recorded.zip(now).map(|(recorded, now)| now / recorded - 1.0);
            let is_off = change.is_none_or(|change| change.abs() > TOLERANCE);
            off += usize::from(is_off);
            let shown = |count: Option<&f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
            let change = change.map_or(String::new(), |change| format!("{:+.1} %", 100.0 * change));
            text += &line(case, &shown(recorded), &shown(now), &change);
            text += if is_off { "  NO" } else { "" };
        }
        (text, off)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instructions per operation, {}:", self.compiler)?;
        self.counts
            .iter()
            .try_for_each(|(case, count)| write!(f, "\n  {case:<44}{count:>10.1}"))
    }
}

/// Returns a line; it begins with a line break.
fn line(case: &str, recorded: &str, now: &str, change: &str) -> String {
    let mut line = String::new();
    // Writing to a String does not fail.
    let _ = write!(line, "\n  {case:<44}{recorded:>10}{now:>10}{change:>10}");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(counts: &[(&str, f64)]) -> Record {
        let said =
            "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        let mut record = Record::new(Compiler::from_version(said).expect("understood"));
        for (case, count) in counts {
            record.add((*case).to_owned(), *count);
        }
        record
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let written = record(&[("pick, 3 pods", 100.04), ("acquire, 3 pods", 250.0)]);
        assert_eq!(Record::from_json(&written.to_json()), Some(written));
        assert_eq!(Record::from_json(&json!({ "rustc": "1" })), None);
    }

    #[test]
    fn the_compiler_is_its_version_and_its_target() {
        let here = record(&[]).compiler;
        assert_eq!(
            here.to_string(),
            "rustc 1.95.0 (59807616e 2026-04-14), x86_64-unknown-linux-gnu"
        );
        assert_eq!(Compiler::from_version("rustc 1.95.0\n"), None);
    }

    #[test]
    fn ten_percent_more_or_fewer_is_as_recorded_and_beyond_is_not() {
        let recorded = record(&[("pick", 100.0)]);
        for (now, off) in [(100.0, 0), (109.9, 0), (90.1, 0), (110.2, 1), (89.8, 1)] {
            let (table, found) = recorded.against(&record(&[("pick", now)]));
            assert_eq!(found, off, "{now}: {table}");
            assert_eq!(table.contains("NO"), off > 0, "{now}: {table}");
        }
    }

    #[test]
    fn a_case_of_one_side_only_is_not_as_recorded() {
        let (table, off) = record(&[("old", 1.0), ("both", 1.0)]).against(&record(&[("new", 1.0), ("both", 1.0)]));
        assert_eq!(off, 2, "{table}");
    }
}
