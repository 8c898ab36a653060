//! The command line: what can be asked, and what is said when it cannot be understood.

/// One command with its options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Say what there is.
    Help,
    /// Install what the tests need and run all of them.
    Test { keep_going: bool },
    /// Formatting, clippy, documentation.
    Lint { keep_going: bool },
    /// `Lint`, then `Test`.
    Ci { keep_going: bool },
    /// One benchmark or all of them; `rest` goes to the benchmark itself.
    Bench { name: Option<String>, rest: Vec<String> },
}

pub(crate) const HELP: &str = "\
The project's commands. Usage: cargo xtask <COMMAND>

  test  [--keep-going]      install what the tests need (Knot DNS, where apt-get and root allow it), then run all tests:
                            unit tests, scenarios, doctests, README, and the loom models
  lint  [--keep-going]      cargo fmt --check, clippy and rustdoc, warnings denied
  ci    [--keep-going]      lint, then test
  bench [NAME] [-- ARGS]    run one benchmark, or all; ARGS go to the benchmark
  help                      this text

--keep-going runs the remaining steps after one has failed; the command fails all the same.
HEADLESS_SKIP_KNOT=1 installs nothing: without Knot DNS on this machine, the scenarios against it are left out.";

impl Command {
    /// The command of an argument list (without the program's name); else a sentence that says what was not understood.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = args.into_iter();
        let Some(command) = args.next() else {
            return Err("no command given".into());
        };
        match command.as_str() {
            "help" | "--help" | "-h" => Ok(Self::Help),
            "bench" => Self::bench(args),
            "test" | "lint" | "ci" => Self::with_options(&command, args),
            unknown => Err(format!("there is no command `{unknown}`")),
        }
    }

    /// Whether the steps after a failed one are run.
    pub(crate) fn keeps_going(&self) -> bool {
        match *self {
            Self::Test { keep_going } | Self::Lint { keep_going } | Self::Ci { keep_going } => keep_going,
            Self::Help | Self::Bench { .. } => false,
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
            _ => Self::Ci { keep_going },
        })
    }

    fn bench(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut name = None;
        let mut args = args;
        for arg in args.by_ref() {
            match arg.as_str() {
                "--" => break,
                "--help" | "-h" => return Ok(Self::Help),
                option if option.starts_with('-') => {
                    return Err(format!(
                        "`bench` does not take `{option}`; the benchmark's own arguments come after `--`"
                    ));
                }
                _ if name.is_some() => return Err(format!("`bench` takes one name; `{arg}` is a second one")),
                _ => name = Some(arg),
            }
        }
        Ok(Self::Bench {
            name,
            rest: args.collect(),
        })
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
    }

    #[test]
    fn a_benchmark_gets_what_follows_the_dashes() {
        let name = Some("pick".to_owned());
        let rest = vec!["--quick".to_owned(), "p2c".to_owned()];
        assert_eq!(parse("bench pick -- --quick p2c"), Ok(Command::Bench { name, rest }));
        let all = Command::Bench {
            name: None,
            rest: Vec::new(),
        };
        assert_eq!(parse("bench"), Ok(all));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("tset", "`tset`"),
            ("", "no command"),
            ("test quickly", "`quickly`"),
            ("bench --quick", "`--quick`"),
            ("bench a b", "`b`"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
