//! `cargo xtask counts`: the check of the hot path's cost, `benches/counts`.

use crate::cargo::{BENCHES, cargo};
use crate::steps::Run;
use crate::tools::VALGRIND;

/// Without the benches' default features: it needs none of their clients, and builds in a fraction
/// of the time.
pub(crate) fn run(run: &mut Run, rest: &[String]) {
    if run.is_over() {
        return; // Nothing is installed for a step that will not run.
    }
    if let Some(why) = VALGRIND.missing() {
        return run.skip(&format!(
            "instructions of the hot path, which {} counts: {why}",
            VALGRIND.name
        ));
    }
    let mut counts = cargo(["run", "--profile", "bench", "--no-default-features"]);
    counts.args(BENCHES).args(["--bin", "counts", "--"]).args(rest);
    run.step("instructions of the hot path", &mut counts);
}
