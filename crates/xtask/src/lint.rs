//! `cargo xtask lint`: formatting, clippy and documentation, with warnings denied.

use crate::cargo::{cargo, flags_with};
use crate::steps::Run;

pub(crate) fn run(run: &mut Run) {
    run.step("format", &mut cargo(["fmt", "--all", "--check"]));
    run.step(
        "clippy",
        &mut cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]),
    );
    run.step(
        "documentation",
        cargo(["doc", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", flags_with("RUSTDOCFLAGS", "-Dwarnings")),
    );
}
