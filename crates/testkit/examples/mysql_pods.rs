//! Keeps three real MariaDB pods, and changes those that another terminal keeps: the program behind
//! `cargo xtask mysql`.
//!
//! Here: arguments, signals and output. What can be asked is in
//! [`headless_testkit::mariadb::supervise`].
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use headless_testkit::mariadb::{DATABASE, Error, MariaDb, PASSWORD, Supervisor, USER, supervise};
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
Three real MariaDB pods on loopback addresses, behind the DNS of a cluster. Usage: mysql_pods DIR COMMAND

  up                start them, and keep them until `down` or Ctrl-C
  down              end them
  status            what each of them says of itself
  kill N            kill the server of pod N (SIGKILL)
  start N           start it again, or resume it
  pause N           freeze it (SIGSTOP): it accepts connections and never answers
  resume N          end that
  lag N SECONDS     let replica N apply everything so many seconds late; 0 ends that
  promote N         make pod N the primary
  wipe N            kill pod N and empty its volume
  evict N           kill pod N and remove it from DNS

DIR holds the pods' data and the socket by which the commands find them;
`cargo xtask mysql` passes it, and needs the COMMAND only.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (dir, request) = match args.split_first() {
        Some((dir, request)) if !request.is_empty() && !is_help(&request[0]) => (PathBuf::from(dir), request.join(" ")),
        Some((_, [help])) if is_help(help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    let outcome = match request.as_str() {
        "up" => up(&dir).await,
        _ => ask(&dir, &request).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_help(word: &str) -> bool {
    ["help", "--help", "-h"].contains(&word)
}

async fn up(dir: &Path) -> Result<(), Error> {
    let signals = |kind| {
        signal(kind).map_err(|source| Error::Io {
            what: "wait for signals".to_owned(),
            source,
        })
    };
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut terminate = signals(SignalKind::terminate())?;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    println!("starting three MariaDB servers ...");
    supervise(dir, MariaDb::builder(), introduce, stop).await
}

fn introduce(db: &MariaDb, status: String) {
    println!("{status}");
    println!(
        "Service  {}, asked of the DNS at {}",
        db.service(),
        db.cluster().dns_addr()
    );
    println!("account  {USER}, password {PASSWORD}, schema {DATABASE}");
    if let Ok(primary) = db.pod(db.primary()) {
        println!(
            "try      mariadb --host={} --user={USER} --password={PASSWORD} {DATABASE}",
            primary.ip()
        );
    }
    println!("Running until `down`, or Ctrl-C.");
}

async fn ask(dir: &Path, request: &str) -> Result<(), Error> {
    let Some(pods) = Supervisor::find(dir).await? else {
        return Err(Error::Supervisor {
            socket: dir.to_owned(),
            message: "no pods are running; `up` starts them".to_owned(),
        });
    };
    print!("{}", pods.ask(request).await?);
    Ok(())
}
