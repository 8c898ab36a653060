//! Running steps: each is announced in one line and timed, the first failure ends the run unless
//! told otherwise, and at the end the summary repeats everything that was left out.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// The exit code of a step that found nothing to do here, and has said why: it has not failed, but
/// the summary tells. The number is that of automake's tests.
const LEFT_OUT: i32 = 77;

/// One run of a command: the steps so far, and what was left out.
#[derive(Debug)]
pub(crate) struct Run {
    keep_going: bool,
    done: Vec<Done>,
    skipped: Vec<String>,
}

#[derive(Debug)]
struct Done {
    name: String,
    took: Duration,
    /// Why it failed.
    failure: Option<String>,
}

impl Run {
    pub(crate) fn new(keep_going: bool) -> Self {
        Self {
            keep_going,
            done: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Runs one command as a step; says whether it succeeded.
    ///
    /// After a failure nothing more is run, unless told to keep going.
    pub(crate) fn step(&mut self, name: &str, command: &mut Command) -> bool {
        if self.is_over() {
            return false;
        }
        println!("==> {name}: {}", shown(command));
        let begin = now();
        let failure = match command.status() {
            Ok(status) if status.success() => None,
            Ok(status) if status.code() == Some(LEFT_OUT) => {
                self.skip(&format!("{name}: the step left itself out, and said why"));
                return true;
            }
            Ok(status) => Some(status.to_string()),
            Err(error) => Some(format!("could not start: {error}")),
        };
        let succeeded = failure.is_none();
        self.done.push(Done {
            name: name.to_owned(),
            took: begin.elapsed(),
            failure,
        });
        succeeded
    }

    /// Runs a part of this program as a step; says whether it succeeded. Otherwise as
    /// [`step`](Self::step).
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<(), String>) -> bool {
        if self.is_over() {
            return false;
        }
        println!("==> {name}");
        let begin = now();
        let failure = check().err();
        if let Some(why) = &failure {
            eprintln!("{why}");
        }
        let succeeded = failure.is_none();
        self.done.push(Done {
            name: name.to_owned(),
            took: begin.elapsed(),
            failure,
        });
        succeeded
    }

    /// A failure has ended this run.
    pub(crate) fn is_over(&self) -> bool {
        !self.keep_going && self.done.iter().any(|step| step.failure.is_some())
    }

    /// Notes what is not run and why; said now and again at the end, so that it is not
    /// taken for tested.
    pub(crate) fn skip(&mut self, what: &str) {
        println!("==> SKIPPED: {what}");
        self.skipped.push(what.to_owned());
    }

    /// Prints what was run, how long it took and what was left out; says whether all steps
    /// succeeded.
    pub(crate) fn summary(&self) -> bool {
        println!("\n{}", self.to_table());
        self.done.iter().all(|step| step.failure.is_none())
    }

    fn to_table(&self) -> String {
        let width = self.done.iter().map(|step| step.name.len()).max().unwrap_or(0);
        let mut table = String::from("summary");
        for Done { name, took, failure } in &self.done {
            let result = match failure {
                None => "ok".to_owned(),
                Some(why) => format!("FAILED ({})", why.lines().next().unwrap_or_default()),
            };
            // Writing to a String does not fail.
            let _ = write!(table, "\n  {name:width$}  {:>7.1} s  {result}", took.as_secs_f64());
        }
        for what in &self.skipped {
            let _ = write!(table, "\n  SKIPPED: {what}");
        }
        if self.is_over() {
            table.push_str("\n  Stopped at the first failure; --keep-going runs the rest too.");
        }
        table
    }
}

/// The command as one would type it, with the environment it is given.
fn shown(command: &Command) -> String {
    let environment = command.get_envs().filter_map(|(key, value)| {
        // PATH is only ever extended; printing it would hide the rest.
        let value = value.filter(|_| key != "PATH")?;
        Some(format!("{}={:?}", key.display(), value.display().to_string()))
    });
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    let words = words.map(|word| word.display().to_string());
    environment.chain(words).collect::<Vec<_>>().join(" ")
}

#[expect(
    clippy::disallowed_methods,
    reason = "steps take real time; there is no runtime here"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_ends_the_run() {
        let mut run = Run::new(false);
        assert!(run.step("good", &mut Command::new("true")));
        assert!(!run.step("bad", &mut Command::new("false")));
        assert!(!run.step("never", &mut Command::new("true")));
        let table = run.to_table();
        assert!(table.contains("bad") && table.contains("FAILED"), "{table}");
        assert!(!table.contains("never"), "{table}");
        assert!(!run.summary());
    }

    #[test]
    fn keeping_going_runs_all_and_still_fails() {
        let mut run = Run::new(true);
        assert!(!run.step("bad", &mut Command::new("/no/such/program")));
        assert!(run.step("good", &mut Command::new("true")));
        assert!(run.to_table().contains("could not start"));
        assert!(!run.summary());
    }

    #[test]
    fn what_was_left_out_is_repeated_at_the_end() {
        let mut run = Run::new(false);
        run.skip("the scenarios against a mirror");
        assert!(run.to_table().contains("SKIPPED: the scenarios against a mirror"));
        assert!(run.summary(), "leaving out is not failing");
    }

    #[test]
    fn a_step_that_leaves_itself_out_has_not_failed_and_is_told_of() {
        let mut run = Run::new(false);
        assert!(run.step("counts", Command::new("sh").args(["-c", "exit 77"])));
        let table = run.to_table();
        assert!(table.contains("SKIPPED: counts") && !table.contains("ok"), "{table}");
        assert!(run.summary());
    }

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command
            .env("RUSTFLAGS", "--cfg loom")
            .env("PATH", "/sbin")
            .args(["test", "--lib"]);
        assert_eq!(shown(&command), "RUSTFLAGS=\"--cfg loom\" cargo test --lib");
    }
}
