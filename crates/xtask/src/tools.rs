//! Programs that we did not write, for the tests and the benchmarks: finds them, installs them
//! where possible, says so where they are not.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::Run;

/// Programs that some of the tests need.
#[derive(Debug)]
pub(crate) struct Tools {
    /// As users know them.
    pub(crate) name: &'static str,
    programs: &'static [&'static str],
    /// Debian's, and Ubuntu's.
    packages: &'static [&'static str],
    /// How to get them on other systems.
    elsewhere: &'static str,
    /// The variable that says, with the value 1, that they need not be installed: what needs them
    /// is left out then.
    skip: &'static str,
}

/// Name servers.
pub(crate) const NAME_SERVERS: Tools = Tools {
    name: "Knot DNS and dnsmasq",
    programs: &["knotd", "knotc", "dnsmasq"],
    packages: &["knot", "knot-dnsutils", "dnsmasq-base"],
    elsewhere: "Fedora: sudo dnf install knot dnsmasq; Alpine: apk add knot dnsmasq",
    skip: "HEADLESS_SKIP_KNOT",
};

/// A database with replicas.
pub(crate) const MARIADB: Tools = Tools {
    name: "MariaDB",
    programs: &["mariadbd", "mariadb", "mariadb-install-db"],
    packages: &["mariadb-server-core", "mariadb-client-core"],
    elsewhere: "Fedora: sudo dnf install mariadb-server; Alpine: apk add mariadb mariadb-client",
    skip: "HEADLESS_SKIP_MARIADB",
};

/// A web server.
pub(crate) const NGINX: Tools = Tools {
    name: "nginx",
    programs: &["nginx"],
    packages: &["nginx-light"],
    elsewhere: "Fedora: sudo dnf install nginx; Alpine: apk add nginx",
    skip: "HEADLESS_SKIP_FOREIGN",
};

/// A proxy that also answers by itself.
pub(crate) const HAPROXY: Tools = Tools {
    name: "HAProxy",
    programs: &["haproxy"],
    packages: &["haproxy"],
    elsewhere: "Fedora: sudo dnf install haproxy; Alpine: apk add haproxy",
    skip: "HEADLESS_SKIP_FOREIGN",
};

/// A web server; without the part of Debian's package that starts it as a service.
pub(crate) const APACHE: Tools = Tools {
    name: "Apache httpd",
    programs: &["apache2"],
    packages: &["apache2-bin"],
    elsewhere: "its program must be called apache2, and its modules be in /usr/lib/apache2/modules",
    skip: "HEADLESS_SKIP_FOREIGN",
};

/// A runtime of JavaScript, with its HTTP servers.
pub(crate) const NODE: Tools = Tools {
    name: "Node",
    programs: &["node"],
    packages: &["nodejs"],
    elsewhere: "Fedora: sudo dnf install nodejs; Alpine: apk add nodejs",
    skip: "HEADLESS_SKIP_FOREIGN",
};

/// What makes a folder of Python packages.
pub(crate) const PYTHON: Tools = Tools {
    name: "Python with venv",
    programs: &["python3"],
    packages: &["python3-venv"],
    elsewhere: "Fedora: sudo dnf install python3; Alpine: apk add python3",
    skip: "HEADLESS_SKIP_FOREIGN",
};

/// What servers in Java are built with.
pub(crate) const JAVA: Tools = Tools {
    name: "a JDK and Maven",
    programs: &["java", "javac", "mvn"],
    packages: &["default-jdk-headless", "maven"],
    elsewhere: "Fedora: sudo dnf install maven; Alpine: apk add maven openjdk17",
    skip: "HEADLESS_SKIP_FOREIGN",
};

/// Counts instructions.
pub(crate) const VALGRIND: Tools = Tools {
    name: "valgrind",
    programs: &["valgrind"],
    packages: &["valgrind"],
    elsewhere: "Fedora: sudo dnf install valgrind; Alpine: apk add valgrind",
    skip: "HEADLESS_SKIP_VALGRIND",
};

/// What one of the benchmarks' peers is built with (pingora: zlib).
pub(crate) const CMAKE: Tools = Tools {
    name: "cmake",
    programs: &["cmake", "cc", "c++"],
    packages: &["cmake", "gcc", "g++", "make"],
    elsewhere: "Fedora: sudo dnf install cmake gcc-c++ make; Alpine: apk add cmake build-base",
    skip: "HEADLESS_SKIP_CMAKE",
};

impl Tools {
    /// Finds all programs or installs them, and lets `tests` find them; else tells `tests` to leave
    /// out what needs them.
    ///
    /// Not having them is not a failure, as all the rest can be tested without; it is noted, so
    /// that the summary tells.
    pub(crate) fn provide(&self, run: &mut Run, tests: &mut Command) {
        match self.missing() {
            None => tests.env_remove(self.skip),
            Some(why) => {
                run.skip(&format!("the scenarios against {}: {why}", self.name));
                tests.env(self.skip, "1")
            }
        };
    }

    /// Finds all programs or installs them; else says why they are missing.
    pub(crate) fn missing(&self) -> Option<String> {
        match self.are_found() {
            true => None,
            false => self.may_install().and_then(|()| self.install()).err(),
        }
    }

    /// Installs the packages although the programs are there, which may lack a part that is no
    /// program.
    pub(crate) fn complete(&self) -> Result<(), String> {
        self.may_install()?;
        apt_get_install(self.packages)
    }

    fn may_install(&self) -> Result<(), String> {
        match env::var_os(self.skip).is_some_and(|value| value == "1") {
            true => Err(format!("not installed, and {}=1 says it need not be", self.skip)),
            false => Ok(()),
        }
    }

    /// Installs what is missing; else says why not, and how to do it by hand.
    pub(crate) fn install(&self) -> Result<(), String> {
        if self.are_found() {
            return Ok(());
        }
        let installed = apt_get_install(self.packages).and_then(|()| match self.are_found() {
            true => Ok(()),
            false => Err("apt-get installed it, but not all programs are there".to_owned()),
        });
        installed.map_err(|why| {
            format!(
                "{why}. By hand: install {} (Debian, Ubuntu: sudo apt-get install --no-install-recommends {}; {})",
                self.programs.join(", "),
                self.packages.join(" "),
                self.elsewhere
            )
        })
    }

    fn are_found(&self) -> bool {
        let entries = env::split_paths(&search_path()).collect::<Vec<_>>();
        self.programs.iter().all(|program| is_in(&entries, program))
    }
}

/// The user's search path, and where servers live.
///
/// WHY: they live in an `sbin`, which is not on every user's path.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let entries = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    // Entries that come from a path, or contain no colon, can always be joined.
    env::join_paths(entries).unwrap_or(path)
}

fn apt_get_install(packages: &[&str]) -> Result<(), String> {
    if !is_in(&env::split_paths(&search_path()).collect::<Vec<_>>(), "apt-get") {
        return Err("there is no apt-get here".to_owned());
    }
    if !is_root() {
        return Err("not root, so apt-get cannot be used".to_owned());
    }
    apt_get(&["update"])?;
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(packages);
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

fn is_in(entries: &[PathBuf], program: &str) -> bool {
    entries.iter().any(|entry| Path::is_file(&entry.join(program)))
}
