//! The command line: what can be asked, and what is said when it cannot be understood.

use std::path::PathBuf;

/// One command with its options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Say what there is.
    Help,
    /// Install what the tests need and run all of them.
    Test { keep_going: bool },
    /// Everything that can be found without running anything.
    Lint { keep_going: bool },
    /// `Lint`, then `Test`.
    Ci { keep_going: bool },
    /// Every feature of a package alone.
    Features,
    /// The scenarios at their full length.
    Soak { keep_going: bool },
    /// The types of other crates in public signatures.
    PublicTypes,
    /// The documentation as docs.rs shows it.
    Docs,
    /// The packages as they would be published.
    Package,
    /// The licences, sources, versions and advisories of the dependencies.
    Deny,
    /// The public API against the last release.
    Semver,
    /// The scenarios against servers of others, with many requests.
    Foreign,
    /// Instructions of the hot path against what was recorded; `rest` goes to the program that
    /// counts.
    Counts { rest: Vec<String> },
    /// One benchmark or all of them; results also go to `json`, and `rest` to the benchmark itself.
    Bench {
        name: Option<String>,
        json: Option<PathBuf>,
        rest: Vec<String>,
    },
    /// Real database pods to try things on; `request` goes to the program that has them.
    Mysql { request: Vec<String> },
}

pub(crate) const HELP: &str = "\
The project's commands. Usage: cargo xtask <COMMAND>

  test  [--keep-going]      install what the tests need (Knot DNS, dnsmasq, MariaDB, valgrind and HTTP servers, where apt-get
                            and root allow it, and packages from PyPI and Maven Central, below target/foreign), then run all tests:
                            unit tests, scenarios, doctests, README, the loom models, and `counts`
  lint  [--keep-going]      cargo fmt --check and clippy, warnings denied, then `features`, `public-types`, `docs`, `package` (without
                            building), `deny` and `semver`
  ci    [--keep-going]      lint, then test
  soak  [--keep-going]      the scenarios at full length, in release mode, which takes hours: a million requests to pods that close
                            at any byte, 100,000 to pods that close after each answer, rolling restarts, chaos, and `foreign`
  features                  check every feature of a package alone, none of them, and every pair
  docs                      build the documentation with the settings of docs.rs
  public-types              list the types of other crates in public signatures; fails where one is not allowed
  package                   publish all packages in a dry run, each built from its archive
  deny                      check licences, sources, versions and advisories of the dependencies (needs cargo-deny)
  semver                    compare the public API with the last release (needs cargo-semver-checks, and a tag)
  bench [NAME] [--json FILE] [--quick] [-- ARGS]
                            run one benchmark, or all, and write target/bench/index.html, the page of all results so far;
                            the results also go to FILE (of all: to FILE.NAME, before its extension); --quick is a glance
                            where a measurement takes minutes; ARGS go to the benchmark
  counts [--record]         count the instructions per pick and per acquire; fails where they are not within 10 % of what
                            was recorded by the same compiler; --record makes what is counted the record
  foreign                   run the scenarios against HTTP servers of others with 100000 requests under each load
  mysql up                  install MariaDB where it is missing, start a primary and two replicas, keep them until `down`
  mysql down | status | kill N | start N | pause N | lag N SECONDS | promote N | help
                            end them, look at them, do something to one of them: from another terminal
  help                      this text

--keep-going runs the remaining steps after one has failed; the command fails all the same.
HEADLESS_SKIP_KNOT=1, HEADLESS_SKIP_MARIADB=1, HEADLESS_SKIP_FOREIGN=1 and HEADLESS_SKIP_VALGRIND=1 keep `test` from installing
name servers, MariaDB, HTTP servers, or valgrind by apt-get: what needs them is left out where they are missing. Servers in Python
and Java are still built, with packages from PyPI and Maven Central, where Python with venv, or a JDK and Maven, are there.";

impl Command {
    /// The command of an argument list (without the program's name); else a sentence that says what
    /// was not understood.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = args.into_iter();
        let Some(command) = args.next() else {
            return Err("no command given".into());
        };
        match command.as_str() {
            "help" | "--help" | "-h" => Ok(Self::Help),
            "bench" => Self::bench(args),
            "counts" => Ok(Self::Counts { rest: args.collect() }),
            "mysql" => Ok(Self::Mysql {
                request: args.collect(),
            }),
            "features" => Self::alone(Self::Features, args),
            "docs" => Self::alone(Self::Docs, args),
            "public-types" => Self::alone(Self::PublicTypes, args),
            "package" => Self::alone(Self::Package, args),
            "deny" => Self::alone(Self::Deny, args),
            "semver" => Self::alone(Self::Semver, args),
            "foreign" => Self::alone(Self::Foreign, args),
            "test" | "lint" | "ci" | "soak" => Self::with_options(&command, args),
            unknown => Err(format!("there is no command `{unknown}`")),
        }
    }

    /// Whether the steps after a failed one are run. A benchmark's failure says nothing of the next
    /// one, and belongs into the report.
    pub(crate) fn keeps_going(&self) -> bool {
        match *self {
            Self::Test { keep_going }
            | Self::Lint { keep_going }
            | Self::Ci { keep_going }
            | Self::Soak { keep_going } => keep_going,
            Self::Bench { .. } => true,
            _ => false,
        }
    }

    fn alone(command: Self, mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        match args.next() {
            None => Ok(command),
            Some(arg) if arg == "--help" || arg == "-h" => Ok(Self::Help),
            Some(arg) => Err(format!("this command takes no arguments, not even `{arg}`")),
        }
    }

    fn with_options(command: &str, args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut keep_going = false;
        for arg in args {
            match arg.as_str() {
                "--keep-going" => keep_going = true,
                "--help" | "-h" => return Ok(Self::Help),
                unknown => return Err(format!("`{command}` does not take `{unknown}`")),
            }
        }
        Ok(match command {
            "test" => Self::Test { keep_going },
            "lint" => Self::Lint { keep_going },
            "soak" => Self::Soak { keep_going },
            _ => Self::Ci { keep_going },
        })
    }

    fn bench(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut name = None;
        let mut json = None;
        let mut rest = Vec::new();
        let mut args = args;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--" => break,
                "--help" | "-h" => return Ok(Self::Help),
                "--quick" => rest.push(arg),
                "--json" => match args.next() {
                    Some(file) => json = Some(PathBuf::from(file)),
                    None => return Err("`--json` needs a file: --json FILE".into()),
                },
                option if option.starts_with('-') => {
                    return Err(format!(
                        "`bench` does not take `{option}`; the benchmark's own arguments come after `--`"
                    ));
                }
                _ if name.is_some() => return Err(format!("`bench` takes one name; `{arg}` is a second one")),
                _ => name = Some(arg),
            }
        }
        rest.extend(args);
        Ok(Self::Bench { name, json, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn commands_and_options() {
        assert_eq!(parse("test"), Ok(Command::Test { keep_going: false }));
        assert_eq!(parse("ci --keep-going"), Ok(Command::Ci { keep_going: true }));
        assert_eq!(parse("lint --help"), Ok(Command::Help));
        assert_eq!(parse("package"), Ok(Command::Package));
    }

    #[test]
    fn a_benchmark_gets_what_follows_the_dashes() {
        assert_eq!(parse("bench"), Ok(bench(None, None, &[])));
        let pods = bench(Some("pick"), None, &["--pods", "3"]);
        assert_eq!(parse("bench pick -- --pods 3"), Ok(pods));
    }

    #[test]
    fn what_all_benchmarks_take_needs_no_dashes() {
        let quick = bench(Some("pool"), Some("out.json"), &["--quick"]);
        assert_eq!(parse("bench pool --quick --json out.json"), Ok(quick));
        let all = bench(None, Some("out.json"), &["--quick", "--json", "theirs"]);
        assert_eq!(parse("bench --json out.json --quick -- --json theirs"), Ok(all));
    }

    #[test]
    fn what_counts_instructions_gets_its_own_options() {
        let rest = vec!["--record".to_owned()];
        assert_eq!(parse("counts --record"), Ok(Command::Counts { rest }));
    }

    fn bench(name: Option<&str>, json: Option<&str>, rest: &[&str]) -> Command {
        Command::Bench {
            name: name.map(str::to_owned),
            json: json.map(PathBuf::from),
            rest: rest.iter().map(|arg| (*arg).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_asked_of_the_database_is_passed_on() {
        let request = ["kill", "1"].map(str::to_owned).to_vec();
        assert_eq!(parse("mysql kill 1"), Ok(Command::Mysql { request }));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("tset", "`tset`"),
            ("", "no command"),
            ("test quickly", "`quickly`"),
            ("bench --pods 3", "`--pods`"),
            ("features tls-ring", "`tls-ring`"),
            ("bench pool --json", "--json FILE"),
            ("bench a b", "`b`"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
