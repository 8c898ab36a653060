//! The documentation as docs.rs shows it, and as data: which types of other crates our public
//! signatures show.
//!
//! Both need options of rustdoc that are not stable. `rustdoc.sh` turns them on for rustdoc alone:
//! in the environment of cargo itself the switch would have the dependencies built anew.

use crate::cargo::{ALL_BUT_BENCHES, cargo, flags_with, root, target_dir};
use crate::packages::PUBLISHED;
use crate::steps::Run;

/// With the flags of `[package.metadata.docs.rs]`; warnings are errors.
pub(crate) fn pages(run: &mut Run) {
    run.step("documentation", &mut documentation("--cfg docsrs -Dwarnings"));
}

/// WHY: a program of its own reads the JSON, an example of this package, so that the commands need
/// no library to start.
pub(crate) fn public_types(run: &mut Run) {
    let as_data = run.step(
        "documentation as data",
        &mut documentation("-Zunstable-options --output-format json"),
    );
    if as_data {
        let mut check = cargo([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--example",
            "public_types",
            "--",
        ]);
        let files = PUBLISHED.iter().map(|(package, _)| {
            let file = package.replace('-', "_") + ".json";
            target_dir().join("doc").join(file)
        });
        run.step("types in public signatures", check.args(files));
    }
}

fn documentation(flags: &str) -> std::process::Command {
    let mut documentation = cargo(["doc", "--no-deps"]);
    documentation
        .args(ALL_BUT_BENCHES)
        .env("RUSTDOC", root().join("crates/xtask/src/rustdoc.sh"))
        .env("RUSTDOCFLAGS", flags_with("RUSTDOCFLAGS", flags));
    documentation
}
