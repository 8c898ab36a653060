//! `cargo xtask mysql`: three real MariaDB pods to try things on. What can be asked of them is
//! known to the testkit's example `mysql_pods`, which does it; here MariaDB is installed where it
//! is missing.

use std::process::ExitCode;

use crate::cargo::{cargo, target_dir};
use crate::tools::{MARIADB, search_path};

pub(crate) fn run(request: &[String]) -> ExitCode {
    if request.first().is_some_and(|command| command == "up")
        && let Err(why) = MARIADB.install()
    {
        eprintln!("error: MariaDB: {why}");
        return ExitCode::FAILURE;
    }
    let mut pods = cargo(["run", "--quiet", "--package", "headless-testkit"]);
    pods.args(["--features", "mariadb", "--example", "mysql_pods", "--"]);
    pods.arg(target_dir().join("mysql")).args(request);
    match pods.env("PATH", search_path()).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cargo could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
