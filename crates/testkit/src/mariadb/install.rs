//! Before a server runs: MariaDB's programs, the directory of an instance, and the template that
//! data directories are copied from.
//!
//! Must not live here: how a server is run (`server`).

use std::{
    fs,
    io::{self, Write},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{DATABASE, PASSWORD, USER, error::Error, replication};

/// Where the programs are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) client: PathBuf,
    install: PathBuf,
}

impl Programs {
    pub(super) fn find() -> Result<Self, Error> {
        Ok(Self {
            server: find("mariadbd")?,
            client: find("mariadb")?,
            install: find("mariadb-install-db")?,
        })
    }
}

/// WHY not the path alone: servers live in an `sbin`, which is not on every user's path.
fn find(program: &'static str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or(Error::NotInstalled { program })
}

/// The directory of one instance, for this user only. It is removed when its owner ends, also by
/// SIGKILL.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    cleaner: Child,
}

impl Home {
    /// A new directory below `parent`.
    pub(super) fn create(parent: &Path) -> Result<Self, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cannot = |path: &Path| Error::io(format!("make the directory {}", path.display()));
        fs::create_dir_all(parent).map_err(cannot(parent))?;
        // Absolute, because servers change their working directory.
        let parent = fs::canonicalize(parent).map_err(cannot(parent))?;
        loop {
            // ORDERING: Relaxed: a counter and nothing else; making the directory decides.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("mariadb-pods-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let cleaner = cleaner(&path).map_err(Error::io("start sh"))?;
                    return Ok(Self { path, cleaner });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot(&path)(error)),
            }
        }
    }

    pub(super) fn template(&self) -> PathBuf {
        self.path.join("template")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The cleaner's `read` ends, and it removes the directory.
        self.cleaner.stdin.take();
        let _ = self.cleaner.wait();
    }
}

/// A shell that waits for the owner's end of a pipe to close, then kills the servers that are left
/// and removes the directory.
///
/// WHY: the kernel closes the pipe even when the owner is killed with SIGKILL, where no `Drop`
/// runs. The parent-death signal would need `unsafe`, and comes when the *thread* ends that started
/// the server.
fn cleaner(home: &Path) -> io::Result<Child> {
    const SCRIPT: &str = r#"
        read -r _
        for file in $(grep -alsF -e "--datadir=$1/" /proc/[0-9]*/cmdline); do
            pid=${file#/proc/}
            kill -KILL "${pid%/cmdline}" 2>/dev/null
        done
        # A server that is being killed may add a last file.
        for _ in 1 2 3; do rm -rf -- "$1" 2>/dev/null && break; done
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "mariadb-cleaner"])
        .arg(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C in a terminal is for the owner alone.
        .process_group(0)
        .spawn()
}

/// Makes the data directory that pods begin with: accounts, an empty schema, no binary log. Blocks
/// for about a second.
pub(super) fn make_template(programs: &Programs, home: &Home) -> Result<(), Error> {
    let sql = home.path.join("accounts.sql");
    let write = || {
        let mut file = fs::File::create(&sql)?;
        file.write_all(accounts().as_bytes())
    };
    write().map_err(Error::io(format!("write {}", sql.display())))?;
    let output = Command::new(&programs.install)
        .args(["--no-defaults", "--skip-test-db", "--skip-name-resolve"])
        .arg("--auth-root-authentication-method=normal")
        .args(STORAGE)
        .args(as_user())
        .arg(option("datadir", &home.template()))
        .arg(option("extra-file", &sql))
        .arg(option("tmpdir", &home.path))
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .map_err(Error::io("start mariadb-install-db"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Ended {
        what: "mariadb-install-db".to_owned(),
        status: output.status.to_string(),
        log: last_lines(&String::from_utf8_lossy(&said)),
    })
}

/// The accounts of a database as an application should find it. Root has no password, but no
/// address either: it is let in through the socket in the data directory only, which other users
/// cannot reach.
///
/// WHY the DELETE: a new data directory has passwordless accounts `root@127.0.0.1` and
/// `root@<host>`, which would outrank the wildcards below.
fn accounts() -> String {
    let from = "'127.0.0.0/255.0.0.0'";
    let replication = replication::ACCOUNT;
    format!(
        "FLUSH PRIVILEGES;\n\
         DELETE FROM mysql.global_priv WHERE NOT (Host = 'localhost' AND User IN ('root', 'mariadb.sys'));\n\
         FLUSH PRIVILEGES;\n\
         CREATE DATABASE {DATABASE};\n\
         CREATE USER {USER}@{from} IDENTIFIED BY '{PASSWORD}';\n\
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, \
         CREATE TEMPORARY TABLES, LOCK TABLES, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, TRIGGER ON {DATABASE}.* TO {USER}@{from};\n\
         CREATE USER {replication}@{from} IDENTIFIED BY '{replication}';\n\
         GRANT REPLICATION SLAVE ON *.* TO {replication}@{from};\n"
    )
}

/// Copies a data directory. Blocks.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Small and quick; the same for the template and for the servers, which would otherwise rebuild
/// their logs at the first start.
///
/// WHY no syncs: they take seconds on a busy disk, and protect from a loss of power only, never
/// needed against kill -9.
pub(super) const STORAGE: [&str; 4] = [
    "--debug-no-sync",
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=16M",
    "--aria-pagecache-buffer-size=1M",
];

/// MariaDB refuses to run as root unless it is told to.
pub(super) fn as_user() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

/// `--name=path`, for paths that are not text too.
pub(super) fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(format!("--{name}="));
    option.push(path);
    option
}

/// As much of a log as an error can show.
pub(super) fn last_lines(log: &str) -> String {
    const SHOWN: usize = 12;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
