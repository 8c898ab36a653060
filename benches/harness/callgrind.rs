//! Instructions per operation, counted by `valgrind --tool=callgrind`: exact where times are not,
//! on any machine.
//!
//! The benchmark program runs itself under callgrind, once with N operations and once with 2 N: the
//! difference is N operations, without the start of the program, the building of pools and the
//! first, slow operations.
//!
//! The kernel's instructions are not counted, and under valgrind reading the clock is one of the
//! kernel's (otherwise it takes tens of nanoseconds, without the kernel). An implementation that
//! often reads it looks cheaper here than in the row `time`.
//!
//! Atomic operations are counted in addition (callgrind's global bus events): those that read,
//! change and write a cache line that other cores may need, such as a reference count up or down,
//! or a lock taken. Plain atomic loads and stores are not among them.

use std::env;
use std::process::{Command, Output};
use std::thread;

use super::args::Operations;
use super::report::Report;

/// A metric: see [`Counts`].
pub const INSTRUCTIONS: &str = "instructions";

/// Counts instructions, where valgrind is installed.
#[derive(Clone, Copy, Debug)]
pub struct Callgrind(());

/// The counts of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    /// All instructions outside the kernel.
    pub instructions: f64,
    /// Those that read, change and write in one: `lock xadd`, `cmpxchg`, `xchg`.
    pub atomics: f64,
}

impl Callgrind {
    /// Returns `None`, and prints why, if valgrind is not installed.
    pub fn find() -> Option<Self> {
        let found = Command::new("valgrind").arg("--version").output();
        if found.is_ok_and(|output| output.status.success()) {
            return Some(Self(()));
        }
        println!("valgrind is not installed: no instructions are counted\n");
        None
    }

    /// Returns the instructions per operation: see [`counts`](Self::counts).
    ///
    /// # Errors
    ///
    /// Those of [`counts`](Self::counts).
    pub fn per_operation(self, implementation: &str, case: &str, count: usize) -> Result<f64, String> {
        Ok(self.counts(implementation, case, count)?.instructions)
    }

    /// Adds the row of instructions per operation to the report, or prints why there is none.
    ///
    /// `place` is the case as the program needs it: `case`, perhaps with addresses of servers.
    pub fn report(self, report: &mut Report, implementation: &str, case: &str, place: &str, count: usize) {
        match self.per_operation(implementation, place, count) {
            Ok(count) => report.add(implementation, case, INSTRUCTIONS, count, ""),
            Err(error) => println!("no instructions of {implementation}: {error}"),
        }
    }

    /// Counts one operation of `implementation` in `case`. The program is called with
    /// [`Operations`], and has to do that many.
    ///
    /// # Errors
    ///
    /// The program failed, or callgrind's summary is missing.
    pub fn counts(self, implementation: &str, case: &str, count: usize) -> Result<Counts, String> {
        let run = |count| self.run(implementation, case, count);
        // At the same time: a busy machine does not change a count.
        let (once, twice) = thread::scope(|scope| {
            let twice = scope.spawn(move || run(2 * count));
            (run(count), twice.join())
        });
        let twice = twice.map_err(|_| "the thread that ran callgrind panicked")??;
        let once = once?;
        let [instructions, atomics] = [0, 1].map(|k| (twice[k] as f64 - once[k] as f64) / count as f64);
        Ok(Counts { instructions, atomics })
    }

    fn run(self, implementation: &str, case: &str, count: usize) -> Result<[u64; 2], String> {
        let program = env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
        let output = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--collect-bus=yes",
                // A child whose `exec` fails would print a summary of its own.
                "--child-silent-after-fork=yes",
                "--callgrind-out-file=/dev/null",
            ])
            .arg(program)
            .args([Operations::OPTION, implementation, case, &count.to_string()])
            .output();
        let Output { status, stderr, .. } = output.map_err(|error| format!("valgrind does not start: {error}"))?;
        let said = String::from_utf8_lossy(&stderr);
        if !status.success() {
            return Err(format!("{implementation}, {case} under callgrind: {status}\n{said}"));
        }
        collected(&said).ok_or(format!("no `Collected` in what callgrind said:\n{said}"))
    }
}

/// The numbers of callgrind's summary: `==123== Collected : 456789 12`.
fn collected(said: &str) -> Option<[u64; 2]> {
    let (_, numbers) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    let mut numbers = numbers.split_whitespace().map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_in_callgrinds_summary() {
        let said = "==7== Events    : Ir Ge\n==7== Collected : 123456 78\n==7== \n==7== I   refs:      123,456\n";
        assert_eq!(collected(said), Some([123_456, 78]));
        assert_eq!(collected("==7== Killed\n"), None);
    }
}
