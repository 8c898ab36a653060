//! `--service`: the same client against a Service that exists.

use std::error::Error;

use demo_support::{Screen, asked_to_stop};
use headless::Discovery;
use headless_http::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::args::Real;
use crate::chart;
use crate::discovered::Discovered;
use crate::load::{Load, Mix};
use crate::report::{latency_json, requests_json};
use crate::tally::Tally;

/// Enough for shares that mean something.
const REQUESTS: u64 = 1000;

/// Discovers the Service and sends it requests, once or again and again. `false`: a request failed.
pub(crate) async fn run(args: &Real) -> Result<bool, Box<dyn Error>> {
    let mut screen = Screen::new(args.json);
    let discovery = Discovery::builder(args.service.resolver()?).start().await?;
    // No policy named: power of two choices by requests in flight.
    let client = Client::builder(discovery.clone()).build()?;
    let Some(pause) = args.every else {
        return Ok(round(args, &discovery, &client, &mut screen).await);
    };
    // The discovery goes on between the rounds, so each shows the pods of its time.
    let rounds = async {
        loop {
            round(args, &discovery, &client, &mut screen).await;
            sleep(pause).await;
        }
    };
    tokio::select! {
        () = rounds => Ok(true),
        stopped = asked_to_stop() => Ok(stopped.map(|()| true)?),
    }
}

async fn round(args: &Real, discovery: &Discovery, client: &Client, screen: &mut Screen) -> bool {
    let discovered = Discovered::now(discovery);
    screen.title("Discovered");
    screen.line(&discovered.to_text());
    let tally = Load::run(client, Mix::Reads, args.requests.unwrap_or(REQUESTS)).await;
    screen.title("GET / by power of two choices");
    screen.line(&chart::shares(&tally, screen.size().1, |_| ""));
    let statuses: Vec<_> = tally
        .statuses
        .iter()
        .map(|(status, count)| format!("{count} × {status}"))
        .collect();
    screen.line(&format!(
        "\n  status: {}\n  failed: {}",
        statuses.join(", "),
        tally.failed
    ));
    for error in &tally.errors {
        eprintln!("quickstart: {error}");
    }
    if args.json {
        println!("{}", to_json(&discovered, &tally));
    }
    tally.failed == 0
}

fn to_json(discovered: &Discovered, tally: &Tally) -> Value {
    let statuses = tally
        .statuses
        .iter()
        .map(|(status, count)| (status.to_string(), json!(count)));
    json!({
        "discovered": discovered.to_json(),
        "policies": { "power_of_two": requests_json(tally) },
        "latency_ms": { "power_of_two": latency_json(tally) },
        "statuses": Value::from_iter(statuses),
        "requests": tally.requests,
        "failed": tally.failed,
        "errors": tally.errors,
    })
}
