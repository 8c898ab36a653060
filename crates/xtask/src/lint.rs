//! `cargo xtask lint`: formatting, clippy and documentation, with warnings denied.

use crate::cargo::{ALL_BUT_BENCHES, BENCHES, cargo, flags_with};
use crate::steps::Run;

pub(crate) fn run(run: &mut Run) {
    run.step("format", &mut cargo(["fmt", "--all", "--check"]));
    run.step("format of the benches", cargo(["fmt", "--check"]).args(BENCHES));
    for (name, packages) in [("clippy", ALL_BUT_BENCHES), ("clippy of the benches", BENCHES)] {
        let mut clippy = cargo(["clippy", "--all-targets"]);
        clippy.args(packages).args(["--", "-D", "warnings"]);
        run.step(name, &mut clippy);
    }
    let mut documentation = cargo(["doc", "--no-deps"]);
    documentation
        .args(ALL_BUT_BENCHES)
        .env("RUSTDOCFLAGS", flags_with("RUSTDOCFLAGS", "-Dwarnings"));
    run.step("documentation", &mut documentation);
}
