//! `cargo xtask test`: everything that can be tested here, after installing what it needs.

use crate::cargo::{ALL_BUT_BENCHES, BENCHES, cargo, flags_with, target_dir};
use crate::counts;
use crate::foreign;
use crate::steps::Run;
use crate::tools::{MARIADB, NAME_SERVERS, search_path};

pub(crate) fn run(run: &mut Run) {
    if run.is_over() {
        return; // Nothing is installed for tests that will not run.
    }
    let mut tests = cargo(["test"]);
    tests.args(ALL_BUT_BENCHES);
    tests.env("PATH", search_path());
    NAME_SERVERS.provide(run, &mut tests);
    MARIADB.provide(run, &mut tests);
    foreign::provide(run, &mut tests);
    run.step("tests", &mut tests);
    run.step("tests of the benches", cargo(["test", "--lib", "--bins"]).args(BENCHES));
    loom_models(run);
    counts::run(run, &[]);
}

/// WHY: only these two, and without DNS, because under this flag tokio has no sockets. The core is
/// where the atomics are, and the pool is where the locks are.
///
/// WHY: a target directory of its own, because the flag is part of every crate's fingerprint;
/// sharing one would build everything anew at each change between the two.
fn loom_models(run: &mut Run) {
    let mut models = cargo(["test", "--release", "-p", "headless-core", "-p", "headless"]);
    models
        .args(["--no-default-features", "--lib", "loom"])
        .env("RUSTFLAGS", flags_with("RUSTFLAGS", "--cfg loom"))
        .env("CARGO_TARGET_DIR", target_dir().join("loom"));
    run.step("loom models", &mut models);
}
