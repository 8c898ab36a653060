//! `cargo xtask bench`: the measurements in `benches`, one or all.

use crate::cargo::cargo;
use crate::steps::Run;

pub(crate) fn run(run: &mut Run, name: Option<&str>, rest: &[String]) {
    let mut bench = cargo(["bench", "-p", "headless-benches"]);
    // A pattern, not `--benches`: that runs the unit tests of the library too, which know no benchmark's arguments.
    bench.args(["--bench", name.unwrap_or("*"), "--"]).args(rest);
    run.step(name.unwrap_or("all benchmarks"), &mut bench);
}
