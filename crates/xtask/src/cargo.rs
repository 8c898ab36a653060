//! How cargo is called: the same cargo that started this program, at the root of the workspace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every package of the product's workspace, with every feature.
pub(crate) const ALL_BUT_BENCHES: &[&str] = &["--workspace", "--all-features"];

/// The benches, which are a workspace of their own. Without their peers: those are large, some need
/// a newer Rust than the rest, and only `bench` needs them.
pub(crate) const BENCHES: &[&str] = &["--manifest-path", "benches/Cargo.toml"];

/// `cargo <args>`, at the root of the workspace.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    // WHY: `cargo run` describes this package in the environment. Build scripts that watch those
    // variables, as ring's does, would run again after each change between `cargo` and
    // `cargo xtask`.
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(key);
        }
    }
    command
}

/// The root of the workspace, wherever the command was started.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Where builds go: cargo is called at the root, and understands a relative folder from there.
pub(crate) fn target_dir() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The user's `RUSTFLAGS` (or `RUSTDOCFLAGS`) with one more flag: a step adds to them and does not
/// replace them.
pub(crate) fn flags_with(variable: &str, flag: &str) -> String {
    match env::var(variable) {
        Ok(flags) if !flags.trim().is_empty() => format!("{flags} {flag}"),
        _ => flag.to_owned(),
    }
}
