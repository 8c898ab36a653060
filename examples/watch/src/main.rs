//! A live table of the pods of a headless Service, and of what happens to them: on an embedded
//! cluster that is made to fail, or for a Service that exists. `cargo run -p watch -- NAME:PORT`,
//! or `-- --help`.
//!
//! What it shows is `Discovery::status`, `Balancer::stats` and the tracing events of `headless`;
//! all of it is free to read.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program with output for people"
)]

mod args;
mod cluster;
mod collector;
mod frame;
mod load;
mod pods;
mod script;
mod status;
mod view;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use demo_support::{Log, Screen, asked_to_stop, explain};
use headless::Discovery;
use headless::policy::PowerOfTwo;
use headless_http::Client;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::WatchArgs;
use crate::collector::Collector;
use crate::frame::Frames;
use crate::load::Load;
use crate::view::View;

/// How often the table is redrawn on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// How long `--once` waits if there is load, so that there is something to see.
const WARM_UP: Duration = Duration::from_millis(1500);

#[tokio::main]
async fn main() -> ExitCode {
    let args = WatchArgs::of(&args::cli().get_matches());
    match watch(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watch: {}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn watch(args: WatchArgs) -> Result<(), Box<dyn Error>> {
    let log = Log::begin();
    tracing_subscriber::registry().with(Collector::new(&log)).init();
    let (embedded, service) = match args.service {
        Some(service) => (None, service),
        None => {
            let embedded = cluster::start(&log).await?;
            let service = embedded.service();
            (Some(embedded), service)
        }
    };
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
            false => {
                let mut screen = Screen::new(false);
                let columns = screen.size().1;
                screen.line(&frame.picture(usize::MAX, columns).join("\n"));
            }
        }
        return Ok(());
    }
    if let Some(embedded) = embedded {
        beside.spawn(cluster::play(embedded, log.clone()));
    }
    let end = args.limit.unwrap_or(Duration::MAX);
    tokio::select! {
        () = draw(&frames, &log) => {}
        () = sleep(end) => {}
        stopped = asked_to_stop() => stopped?,
    }
    Ok(())
}

/// Until there is no reader any more. Dropped earlier, it leaves a last table behind.
async fn draw(frames: &Frames, log: &Log) {
    let mut view = View::new(frames, log);
    let mut redraw = interval(REDRAW);
    while view.draw() {
        redraw.tick().await;
    }
}
