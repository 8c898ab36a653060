//! `cargo xtask deny` and `cargo xtask semver`: what we depend on, and what depends on us.
//!
//! Both need a program that takes minutes to build, so they are used where they are installed, and
//! named in the summary where not. On GitHub each has a job that installs it.

use std::process::Command;

use crate::cargo::{cargo, root};
use crate::steps::Run;

/// Licences, sources, versions and advisories of all dependencies, by `deny.toml`.
pub(crate) fn deny(run: &mut Run) {
    if run.is_over() {
        return;
    }
    if !is_installed("deny") {
        return run.skip("licences, sources and advisories of the dependencies: no cargo-deny here (cargo install --locked cargo-deny)");
    }
    run.step(
        "licences, sources and versions of the dependencies",
        &mut cargo(["deny", "--all-features", "check", "bans", "licenses", "sources"]),
    );
    if !succeeds(&mut cargo(["deny", "fetch", "db"])) {
        return run.skip("advisories: their database cannot be reached from here");
    }
    run.step(
        "advisories",
        &mut cargo(["deny", "--all-features", "check", "--disable-fetch", "advisories"]),
    );
}

/// The public API against that of the last release.
pub(crate) fn semver(run: &mut Run) {
    if run.is_over() {
        return;
    }
    let Some(tag) = last_release() else {
        return run.skip("the API against the last release: no tag v* here");
    };
    if !is_installed("semver-checks") {
        return run.skip(
            "the API against the last release: no cargo-semver-checks here (cargo install --locked cargo-semver-checks)",
        );
    }
    let mut check = cargo(["semver-checks", "--workspace", "--all-features", "--baseline-rev"]);
    run.step("the API against the last release", check.arg(tag));
}

fn last_release() -> Option<String> {
    let mut describe = Command::new("git");
    describe.args(["describe", "--tags", "--abbrev=0", "--match", "v*"]);
    let described = describe.current_dir(root()).output().ok()?;
    let tag = String::from_utf8(described.stdout).ok()?.trim().to_owned();
    (described.status.success() && !tag.is_empty()).then_some(tag)
}

fn is_installed(subcommand: &str) -> bool {
    succeeds(&mut cargo([subcommand, "--version"]))
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
