//! The demos and examples, run as their users run them: built once in a process, then started as
//! programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Runs the demo with these arguments, to its end.
///
/// # Panics
/// If it cannot be built or started.
pub fn run(example: &str, args: &[&str]) -> Output {
    Command::new(program(example)).args(args).output().expect("it starts")
}

/// As [`run`], while the clusters of the calling test go on answering.
///
/// # Panics
/// As [`run`].
pub async fn run_beside(example: &'static str, args: &[&str]) -> Output {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let run = move || run(example, &args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("it ran")
}

/// The columns of the smallest usual terminal.
const COLUMNS: usize = 80;

/// Checks that no line of this output is too long for the smallest usual terminal.
///
/// # Panics
/// If one is.
pub fn fits(text: &str) {
    let long: Vec<_> = text.lines().filter(|line| line.chars().count() > COLUMNS).collect();
    assert!(long.is_empty(), "longer than {COLUMNS} columns:\n{}", long.join("\n"));
}

/// Builds the demo and returns where it is. Once: all tests of a process use it.
///
/// # Panics
/// If it cannot be built.
pub fn program(demo: &str) -> PathBuf {
    built("--bin", demo)
}

/// Builds the example of a package, as [`program`] does.
///
/// # Panics
/// As [`program`].
pub fn example(name: &str) -> PathBuf {
    built("--example", name)
}

fn built(kind: &str, name: &str) -> PathBuf {
    static PROGRAMS: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // Locked while it is built: the others wait for it.
    let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    programs
        .entry(name.to_owned())
        .or_insert_with(|| build(kind, name))
        .clone()
}

fn build(kind: &str, name: &str) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    // The whole workspace with all features, as `cargo xtask test` builds it: then this finds
    // everything built already.
    build.args(["build", "--quiet", "--workspace", "--all-features"]);
    // An example among the targets turns on the features of dev-dependencies, as `cargo test` does.
    build.args([kind, name, "--example", "mysql_pods"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    // cargo describes the package of this test in the environment. Build scripts that watch those
    // variables, as ring's does, would run again, and all that depends on them be built again.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            build.env_remove(key);
        }
    }
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let output = build
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).expect("JSON is text");
    let mut messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = |message: &Value| message["target"]["name"] == name && message["executable"].is_string();
    let built = messages.rfind(ours).expect("cargo says where the program is");
    built["executable"].as_str().map(PathBuf::from).expect("a path")
}
