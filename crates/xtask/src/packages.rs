//! `cargo xtask package`: what goes to crates.io, and that it could go there today.
//!
//! `lint` looks at the files of each package and resolves it against the registry. Building each
//! from its archive, as the registry's users will, takes minutes; that is the command of its own.

use crate::cargo::cargo;
use crate::steps::Run;

/// The published packages, in the order in which they are published, with their folders.
pub(crate) const PUBLISHED: &[(&str, &str)] = &[
    ("headless-core", "crates/core"),
    ("headless-testkit", "crates/testkit"),
    ("headless-dns", "crates/dns"),
    ("headless", "crates/headless"),
    ("headless-http", "crates/http"),
    ("headless-mysql", "crates/mysql"),
];

/// What each archive has to contain besides its sources.
const REQUIRED: &[&str] = &["README.md", "LICENSE-MIT", "LICENSE-APACHE", "Cargo.toml", "src/lib.rs"];

/// The quick half, for `lint`.
pub(crate) fn check(run: &mut Run) {
    run.check("files of the packages", files);
    publish(run, "packages", &["--no-verify"]);
}

/// Everything: also builds each package from its archive.
pub(crate) fn run(run: &mut Run) {
    run.check("files of the packages", files);
    publish(run, "packages, built from their archives", &[]);
}

/// Members that are not published are left out by cargo itself.
fn publish(run: &mut Run, name: &str, options: &[&str]) {
    // A change that is not committed yet can be checked too.
    let mut publish = cargo(["publish", "--workspace", "--dry-run", "--allow-dirty"]);
    run.step(name, publish.args(options));
}

fn files() -> Result<(), String> {
    let mut missing = Vec::new();
    for package in PUBLISHED.iter().map(|(name, _)| name) {
        let listed = cargo(["package", "--list", "--allow-dirty", "--package", package]).output();
        let listed = listed.map_err(|error| format!("cargo could not be started: {error}"))?;
        if !listed.status.success() {
            return Err(String::from_utf8_lossy(&listed.stderr).into_owned());
        }
        let listed = String::from_utf8_lossy(&listed.stdout);
        let lacks = |file: &&&str| !listed.lines().any(|line| line == **file);
        missing.extend(
            REQUIRED
                .iter()
                .filter(lacks)
                .map(|file| format!("{package} lacks {file}")),
        );
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join("\n"))
    }
}
