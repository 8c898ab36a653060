//! `cargo xtask lint`: formatting, clippy, every feature alone, documentation, public types,
//! packages and dependencies; warnings are errors.

use crate::cargo::{ALL_BUT_BENCHES, BENCHES, cargo};
use crate::steps::Run;
use crate::{dependencies, documentation, features, packages};

pub(crate) fn run(run: &mut Run) {
    run.step("format", &mut cargo(["fmt", "--all", "--check"]));
    run.step("format of the benches", cargo(["fmt", "--check"]).args(BENCHES));
    for (name, packages) in [("clippy", ALL_BUT_BENCHES), ("clippy of the benches", BENCHES)] {
        let mut clippy = cargo(["clippy", "--all-targets"]);
        clippy.args(packages).args(["--", "-D", "warnings"]);
        run.step(name, &mut clippy);
    }
    features::run(run);
    // In this order: both are kept in one folder, and the pages are worth keeping.
    documentation::public_types(run);
    documentation::pages(run);
    packages::check(run);
    dependencies::deny(run);
    dependencies::semver(run);
}
