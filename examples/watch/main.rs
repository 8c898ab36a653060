//! A live table of the pods of a headless Service, and of what happens to them: on an embedded cluster that is made to fail, or
//! for a Service that exists. `cargo run --release --example watch -- NAME:PORT`, or `-- --help`.
//!
//! What it shows is `Discovery::status`, `Balancer::stats` and the tracing events of `headless`; all of it is free to read.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people to look at"
)]

mod args;
mod cluster;
mod frame;
mod load;
mod log;
mod pods;
mod script;
#[path = "../shared/mod.rs"]
mod shared;
mod status;
mod view;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use headless::Discovery;
use headless::policy::PowerOfTwo;
use headless_http::Client;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{Command, WatchArgs};
use crate::cluster::Embedded;
use crate::frame::Frames;
use crate::load::Load;
use crate::log::{Collector, Log};
use crate::shared::{asked_to_stop, explain};
use crate::view::View;

/// How often the table is redrawn on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// How long `--once` waits if there is load, so that there is something to see.
const WARM_UP: Duration = Duration::from_millis(1500);

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            print!("{}", args::help());
            Ok(())
        }
        Ok(Command::Watch(args)) => watch(&args).await,
        Err(mistake) => {
            eprintln!("watch: {mistake}; `watch --help` shows what can be written");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watch: {}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn watch(args: &WatchArgs) -> Result<(), Box<dyn Error>> {
    let log = Log::begin();
    tracing_subscriber::registry().with(Collector::new(&log)).init();
    let embedded = match args.service.service.is_empty() {
        true => Some(Embedded::start(&log).await?),
        false => None,
    };
    let service = embedded
        .as_ref()
        .map_or_else(|| args.service.clone(), Embedded::service);
    let discovery = Discovery::builder(service.resolver()?).start().await?;
    // The policy that keeps a latency figure. Without requests, no connection is opened.
    let client = Client::builder(discovery).policy(PowerOfTwo::latency()).build()?;
    let load = Load::new(args.load);
    let frames = Frames::new(&client, &load, &log);

    // Aborted when it goes out of scope: the script and the load end with the watch.
    let mut beside = JoinSet::new();
    if load.rate() > 0 {
        beside.spawn(load.run(client.clone(), log.clone()));
    }
    if args.once {
        if load.rate() > 0 {
            sleep(WARM_UP).await;
        }
        let frame = frames.now();
        match args.json {
            true => println!("{}", frame.to_json()),
            false => println!("{}", frame.to_text(usize::MAX)),
        }
        return Ok(());
    }
    if let Some(embedded) = embedded {
        beside.spawn(embedded.play(log.clone()));
    }
    let end = args.limit.map_or(Duration::MAX, Duration::from_secs);
    tokio::select! {
        () = draw(&frames, &log) => {}
        () = sleep(end) => {}
        stopped = asked_to_stop() => stopped?,
    }
    Ok(())
}

/// Until nobody looks any more. Dropped earlier, it leaves a last table behind.
async fn draw(frames: &Frames, log: &Log) {
    let mut view = View::new(frames, log);
    let mut redraw = interval(REDRAW);
    loop {
        redraw.tick().await;
        if view.draw().is_err() {
            return;
        }
    }
}
