//! Knot DNS and dnsmasq, name servers that we did not write: finds them, installs them where possible, says so where they
//! are not.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::Run;

/// The variable that says, with the value 1, that neither need be installed: the scenarios that need them are left out then.
pub(crate) const SKIP: &str = "HEADLESS_SKIP_KNOT";

/// Whether the scenarios against Knot and dnsmasq can run.
#[derive(Debug)]
pub(crate) enum Knot {
    /// With this search path.
    Found(OsString),
    /// Without them; it has been said why.
    Missing,
}

/// Finds both or installs them.
///
/// Not having them is not a failure, as all the rest can be tested without; it is noted, so that the summary tells.
pub(crate) fn provide(run: &mut Run) -> Knot {
    if let Some(path) = search_path() {
        return Knot::Found(path);
    }
    if env::var_os(SKIP).is_some_and(|value| value == "1") {
        run.skip(&format!(
            "the scenarios against Knot DNS and dnsmasq: one is not installed, and {SKIP}=1 says it need not be"
        ));
        return Knot::Missing;
    }
    let why = match install() {
        Ok(()) => match search_path() {
            Some(path) => return Knot::Found(path),
            None => "apt-get installed them, but knotd, knotc and dnsmasq are not there".to_owned(),
        },
        Err(why) => why,
    };
    run.skip(&format!(
        "the scenarios against Knot DNS and dnsmasq: {why}. To run them, install knotd, knotc and dnsmasq \
         (Debian, Ubuntu: sudo apt-get install --no-install-recommends {}; \
         Fedora: sudo dnf install knot dnsmasq; Alpine: apk add knot dnsmasq)",
        PACKAGES.join(" ")
    ));
    Knot::Missing
}

fn install() -> Result<(), String> {
    if find_in(&path_entries(), "apt-get").is_none() {
        return Err("there is no apt-get here".to_owned());
    }
    if !is_root() {
        return Err("not root, so apt-get cannot be used".to_owned());
    }
    apt_get(&["update"])?;
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(PACKAGES);
    apt_get(&args)
}

fn apt_get(args: &[&str]) -> Result<(), String> {
    println!("==> install: apt-get {}", args.join(" "));
    let status = Command::new("apt-get")
        .args(["-q", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get {} failed ({status})", args[0])),
        Err(error) => Err(format!("apt-get could not be started: {error}")),
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// A search path on which all programs are found.
///
/// WHY: they live in an `sbin`, which is not on every user's path.
fn search_path() -> Option<OsString> {
    let mut entries = path_entries();
    entries.extend(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let complete = ["knotd", "knotc", "dnsmasq"]
        .iter()
        .all(|program| find_in(&entries, program).is_some());
    complete.then(|| env::join_paths(entries).ok()).flatten()
}

fn path_entries() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

fn find_in(entries: &[PathBuf], program: &str) -> Option<PathBuf> {
    let candidates = entries.iter().map(|entry| entry.join(program));
    candidates.into_iter().find(|candidate| Path::is_file(candidate))
}

const PACKAGES: [&str; 3] = ["knot", "knot-dnsutils", "dnsmasq-base"];
