//! The servers of others that the HTTP client is tested against: installed where the system has
//! packages, and built below `target/foreign` where it has not. `cargo xtask foreign` runs their
//! scenarios alone, with many requests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::{cargo, root, target_dir};
use crate::steps::Run;
use crate::tools::{APACHE, HAPROXY, JAVA, NGINX, NODE, PYTHON, Tools, search_path};

/// Says, with the value 1, that the servers need not be installed: those that are not there are
/// left out.
const SKIP: &str = "HEADLESS_SKIP_FOREIGN";

/// The requests under each load of `cargo xtask foreign`.
const REQUESTS: (&str, &str) = ("HEADLESS_FOREIGN_REQUESTS", "100000");

/// A server that is built from what a package manager of its own language brings.
struct Built {
    name: &'static str,
    build: fn(&Path) -> Result<(), String>,
}

const BUILT: &[Built] = &[
    Built {
        name: "gunicorn and uvicorn",
        build: python,
    },
    Built {
        name: "Go's net/http",
        build: go,
    },
    Built {
        name: "Jetty",
        build: jetty,
    },
];

/// All scenarios of the foreign servers, each with many requests.
pub(crate) fn run(run: &mut Run) {
    let mut tests = cargo(["test", "--release", "-p", "headless-tests", "--test", "foreign"]);
    tests.env("PATH", search_path());
    if env::var_os(REQUESTS.0).is_none() {
        tests.env(REQUESTS.0, REQUESTS.1);
    }
    provide(run, &mut tests);
    // One after the other: each load may use the whole machine.
    run.step(
        "foreign servers",
        tests.args(["--", "--test-threads", "1", "--nocapture"]),
    );
}

/// Installs and builds the servers; tells `tests` to leave out those that are not there, and notes
/// each.
pub(crate) fn provide(run: &mut Run, tests: &mut Command) {
    let mut left_out = Vec::new();
    for tools in [&NGINX, &HAPROXY, &APACHE, &NODE] {
        left_out.extend(tools.missing().map(|why| (tools.name, why)));
    }
    let sources = root().join("tests/foreign/servers");
    if let Err(error) = fs::create_dir_all(folder()) {
        eprintln!("{}: {error}", folder().display());
    }
    for Built { name, build } in BUILT {
        println!("==> build: {name}");
        left_out.extend(build(&sources).err().map(|why| (*name, why)));
    }
    match left_out.is_empty() {
        true => tests.env_remove(SKIP),
        false => tests.env(SKIP, "1"),
    };
    for (name, why) in left_out {
        run.skip(&format!("the scenarios against {name}: {why}"));
    }
}

fn folder() -> PathBuf {
    target_dir().join("foreign")
}

fn has(tools: &Tools) -> Result<(), String> {
    tools.missing().map_or(Ok(()), Err)
}

fn python(sources: &Path) -> Result<(), String> {
    has(&PYTHON)?;
    let venv = folder().join("venv");
    let pip = venv.join("bin/pip");
    if !pip.is_file() {
        let create = || quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        // Debian's Python comes without the part that makes one.
        create().or_else(|why| {
            PYTHON
                .complete()
                .map_err(|cannot| format!("{why}; {cannot}"))
                .and_then(|()| create())
        })?;
    }
    let mut pip = Command::new(pip);
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    quiet(pip.arg(sources.join("requirements.txt")))
}

fn go(sources: &Path) -> Result<(), String> {
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(folder().join("go")).arg(".");
    // A toolchain that is too old would fetch another one.
    build.current_dir(sources.join("go")).env("GOTOOLCHAIN", "local");
    quiet(&mut build).map_err(|why| format!("{why}; by hand: install Go 1.24 or newer (https://go.dev/dl)"))
}

fn jetty(sources: &Path) -> Result<(), String> {
    has(&JAVA)?;
    let (sources, jars) = (sources.join("jetty"), folder().join("jetty"));
    let mut copy = Command::new("mvn");
    copy.args(["--batch-mode", "--quiet", "--file"])
        .arg(sources.join("pom.xml"));
    copy.arg("dependency:copy-dependencies");
    copy.arg(format!("-DoutputDirectory={}", jars.display()));
    quiet(&mut copy)?;
    let mut compile = Command::new("javac");
    compile.arg("-cp").arg(jars.join("*")).arg("-d").arg(&jars);
    quiet(compile.arg(sources.join("Main.java")))
}

/// Runs a command; what it prints is the error, if it fails.
fn quiet(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).env("PATH", search_path()).output();
    let output = output.map_err(|error| format!("`{program}` could not be started: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let (out, err) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            println!("{out}{err}");
            Err(format!("`{program}` failed ({}), and said why above", output.status))
        }
    }
}
