//! The whole job in one program: discover the pods of a headless Service, balance over them by
//! three policies, and follow a scale-up and a rolling restart under load. `cargo run -p
//! quickstart`, or `-- --help`.
//!
//! This file is the story; what it needs of the library is `discover`, `Client::builder` and
//! `client.get`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program with output for people"
)]

mod args;
mod chart;
mod dig;
mod discovered;
mod embedded;
mod load;
mod promises;
mod report;
mod rollout;
mod service;
mod tally;

use std::error::Error;
use std::process::ExitCode;

use demo_support::{Screen, explain};
use headless::policy::{PowerOfTwo, RoleAware, RoundRobin};
use headless_http::Client;
use headless_testkit::Roll;
use tokio::time::Instant;

use crate::args::Real;
use crate::discovered::Discovered;
use crate::embedded::SLOW_POD;
use crate::load::{CALLERS, Load, Mix};
use crate::report::Report;

/// How many requests each policy gets. Divisible by three, so that round robin can be exact.
const REQUESTS: u64 = 3000;

#[tokio::main]
async fn main() -> ExitCode {
    let matches = args::cli().get_matches();
    let outcome = match Real::of(&matches) {
        Some(real) => service::run(&real).await,
        None => demo(matches.get_flag("json")).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quickstart: {}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The embedded cluster's story. `false`: a promise was broken.
async fn demo(json: bool) -> Result<bool, Box<dyn Error>> {
    let begun = Instant::now();
    let mut screen = Screen::new(json);

    screen.title("1  A StatefulSet of three pods behind a headless Service; what its DNS says");
    let embedded = embedded::start().await?;
    let dns = embedded::records(&embedded).await?;
    dns.iter().for_each(|dig| screen.line(&dig.to_text()));

    screen.title("2  What headless makes of it");
    let discovery = embedded::discover(&embedded).await?;
    let discovered = Discovered::now(&discovery);
    screen.line(&discovered.to_text());

    // Three clients with a policy each, over one discovery: a clone of it asks DNS nothing.
    screen.title(&format!("3  {CALLERS} callers, three policies; {SLOW_POD} is slow"));
    let slow = |pod: &str| if pod == SLOW_POD { "← slow" } else { "" };

    screen.line("  Round robin: the same for each pod, so all callers wait for the slow one.");
    let client = Client::builder(discovery.clone())
        .policy(RoundRobin::default())
        .build()?;
    let round_robin = Load::run(&client, Mix::Reads, REQUESTS).await;
    screen.line(&chart::shares(&round_robin, screen.size().1, slow));

    screen.line("\n  Power of two choices: of two random pods, the one with less in flight.");
    let client = Client::builder(discovery.clone())
        .policy(PowerOfTwo::default())
        .build()?;
    let power_of_two = Load::run(&client, Mix::Reads, REQUESTS).await;
    screen.line(&chart::shares(&power_of_two, screen.size().1, slow));

    screen.line("\n  Role-aware: POST to ordinal 0, GET to the others, by power of two choices.");
    let by_role = RoleAware::new(PowerOfTwo::default());
    let client = Client::builder(discovery.clone()).policy(by_role).build()?;
    let role_aware = Load::run(&client, Mix::ReadsAndWrites, REQUESTS).await;
    screen.line(&chart::shares(&role_aware, screen.size().1, slow));

    // No policy named from here on: the default is power of two choices by requests in flight.
    let client = Client::builder(discovery).build()?;

    screen.title(&format!(
        "4  Scale from 3 to 6 pods while {CALLERS} callers GET and POST"
    ));
    screen.line("  The first answer of each new pod, after it became ready and DNS listed it:");
    let scale_up = rollout::follow(&embedded, &client, &mut screen, embedded.web.scale(6)).await?;

    screen.title(&format!(
        "5  Replace all six, one after the other, while {CALLERS} callers GET and POST"
    ));
    screen.line("  The last answer of a pod that is deleted, and the first of its replacement:");
    let restart = embedded.web.roll(Roll::default());
    let rolling_restart = rollout::follow(&embedded, &client, &mut screen, restart).await?;

    let report = Report {
        dns,
        discovered,
        round_robin,
        power_of_two,
        role_aware,
        scale_up,
        rolling_restart,
        elapsed: begun.elapsed(),
    };
    let promises = promises::check(&report);
    screen.title("6  Promises and totals");
    screen.line(&report.to_text(&promises));
    if json {
        println!("{}", report.to_json(&promises));
    }
    let broken: Vec<_> = promises.iter().filter(|promise| !promise.kept).collect();
    for promise in &broken {
        eprintln!("quickstart: broken promise: {} ({})", promise.text, promise.measured);
    }
    Ok(broken.is_empty())
}
