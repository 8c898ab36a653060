//! The command line of a benchmark program: options of all programs, and options that one adds.

use std::path::PathBuf;
use std::process;

/// An option that one benchmark adds.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// With the dashes: `--pods`.
    pub name: &'static str,
    /// The name of its value in the help; `None` if it takes no value.
    pub value: Option<&'static str>,
    /// One line.
    pub help: &'static str,
}

/// The options given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// Files for the results, as JSON.
    pub json: Vec<PathBuf>,
    /// Fewer and shorter rounds: a quick run, not a measurement.
    pub quick: bool,
    /// Only runs operations, and measures nothing: [`Callgrind`](super::Callgrind) counts from
    /// outside.
    pub operations: Option<Operations>,
    own: Vec<(&'static str, String)>,
}

/// The task of a run under callgrind.
#[derive(Debug, PartialEq, Eq)]
pub struct Operations {
    /// The implementation that runs.
    pub implementation: String,
    /// The case.
    pub case: String,
    /// The number of operations.
    pub count: usize,
}

impl Operations {
    /// An option of the harness itself, so not in the help.
    pub(super) const OPTION: &'static str = "--operations";
}

impl Args {
    /// Reads the arguments of this process. Ends it after help, and after an argument that is not
    /// understood.
    pub fn from_env(own: &[Own]) -> Self {
        match Self::parse(std::env::args().skip(1), own) {
            Ok(Some(args)) => args,
            Ok(None) => {
                println!("{}", help(own));
                process::exit(0)
            }
            Err(error) => {
                eprintln!("error: {error}\n\n{}", help(own));
                process::exit(2)
            }
        }
    }

    /// Returns `None` if help was asked for.
    fn parse(args: impl IntoIterator<Item = String>, own: &[Own]) -> Result<Option<Self>, String> {
        let mut parsed = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = |what: &str| args.next().ok_or(format!("`{arg}` needs a value: {arg} {what}"));
            match arg.as_str() {
                "--help" | "-h" => return Ok(None),
                "--json" => parsed.json.push(value("FILE")?.into()),
                "--quick" => parsed.quick = true,
                // cargo adds this to every benchmark.
                "--bench" => {}
                Operations::OPTION => {
                    let (implementation, case, count) = (value("IMPLEMENTATION")?, value("CASE")?, value("COUNT")?);
                    let count = count
                        .parse()
                        .map_err(|_| format!("`{count}` is not a number of operations"))?;
                    parsed.operations = Some(Operations {
                        implementation,
                        case,
                        count,
                    });
                }
                _ => match own.iter().find(|own| own.name == arg) {
                    Some(Own { name, value: None, .. }) => parsed.own.push((name, String::new())),
                    Some(Own {
                        name,
                        value: Some(what),
                        ..
                    }) => parsed.own.push((name, value(what)?)),
                    None => return Err(format!("this benchmark does not take `{arg}`")),
                },
            }
        }
        Ok(Some(parsed))
    }

    /// Returns whether one of the benchmark's own options was given.
    pub fn has(&self, name: &str) -> bool {
        self.own.iter().any(|(given, _)| *given == name)
    }

    /// Returns the value of one of the benchmark's own options; the last one given counts.
    pub fn value_of(&self, name: &str) -> Option<&str> {
        let given = self.own.iter().rev().find(|(given, _)| *given == name);
        given.map(|(_, value)| value.as_str())
    }
}

fn help(own: &[Own]) -> String {
    let common = [
        ("--json FILE".to_owned(), "write the results to FILE"),
        (
            "--quick".to_owned(),
            "fewer and shorter rounds: a quick run, not a measurement",
        ),
    ];
    let own = own.iter().map(|own| {
        let value = own.value.map(|value| format!(" {value}")).unwrap_or_default();
        (format!("{}{value}", own.name), own.help)
    });
    let lines = common.into_iter().chain(own);
    let lines = lines.map(|(option, help)| format!("\n  {option:<20} {help}"));
    format!("options:{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[Own] = &[
        Own {
            name: "--pods",
            value: Some("N"),
            help: "how many pods",
        },
        Own {
            name: "--slow",
            value: None,
            help: "one pod is slow",
        },
    ];

    fn parse(line: &str) -> Result<Option<Args>, String> {
        Args::parse(line.split_whitespace().map(str::to_owned), OWN)
    }

    fn parsed(line: &str) -> Args {
        parse(line).expect("understood").expect("not help")
    }

    #[test]
    fn what_all_benchmarks_take() {
        let args = parsed("--json a.json --bench --quick --json b.json");
        assert_eq!(args.json, ["a.json", "b.json"].map(PathBuf::from));
        assert!(args.quick);
        assert_eq!(parsed("--bench"), Args::default());
        assert_eq!(parse("--quick --help"), Ok(None));
    }

    #[test]
    fn what_one_benchmark_adds() {
        let args = parsed("--pods 3 --slow --pods 6");
        assert_eq!(args.value_of("--pods"), Some("6"));
        assert!(args.has("--slow") && !parsed("").has("--slow"));
        let help = help(OWN);
        assert!(help.contains("--pods N") && help.contains("--json FILE"), "{help}");
    }

    #[test]
    fn a_run_for_callgrind_names_implementation_case_and_count() {
        let operations = parsed("--operations bb8 alone 500").operations;
        let (implementation, case) = ("bb8".to_owned(), "alone".to_owned());
        assert_eq!(
            operations,
            Some(Operations {
                implementation,
                case,
                count: 500
            })
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("--jsno a", "`--jsno`"),
            ("--json", "--json FILE"),
            ("--pods", "--pods N"),
            ("--operations a b c", "`c`"),
            ("pool", "`pool`"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
