//! A small shop on three real MariaDB pods: orders go to the primary, the rest to the replicas,
//! while a replica lags, the primary moves and a replica dies. `cargo run -p mysql_splitter`, or
//! `-- --help`.
//!
//! What it needs of the library is the five functions below. It ends with the ledger: every order
//! that was acknowledged, searched for on every pod.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program with output for people"
)]

mod args;
mod audit;
mod ledger;
mod pods;
mod script;
mod shop;
mod tally;
mod view;

use std::{error::Error, process::ExitCode, time::Duration};

use demo_support::{Entry, Log, Screen, ServiceArgs, asked_to_stop, explain};
use headless::Discovery;
use headless_mysql::{Account, Causal, Decision, Error as SqlError, ReadOptions, Splitter};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::{args::ShopArgs, audit::Balance, pods::Pods, shop::Shop};

/// With no setting to change and in a cluster,
/// `Splitter::connect("mysql-headless.default.svc:3306", account)` does it.
async fn connect(service: &ServiceArgs, account: Account) -> Result<Splitter, Box<dyn Error>> {
    let discovery = Discovery::builder(service.resolver()?).start().await?;
    // While the primary is replaced, writes wait for the next one. By default they fail at once.
    let settings = Splitter::builder(account).wait_for_writer(Duration::from_secs(3));
    Ok(settings.start(discovery).await?)
}

/// A write of two statements: a transaction on the verified primary. It is sent once, and rolled
/// back if either fails.
async fn place_order(visitor: &mut Causal, run: u64, id: u32) -> Result<Decision, SqlError> {
    let order = "INSERT INTO demo_orders (run, id, pod) VALUES (?, ?, @@global.server_id)";
    let shelf = "UPDATE demo_stock SET n = n - 1 WHERE run = ?";
    let transaction = visitor.transaction(async |c| {
        c.exec_drop(order, (run, id)).await?;
        c.exec_drop(shelf, (run,)).await?;
        Ok(c.explain())
    });
    transaction.await
}

/// What a browser keeps for the visitor until the next request: a token as text.
async fn cookie(visitor: &Causal) -> Result<String, SqlError> {
    Ok(visitor.token().await?.to_string())
}

/// Whether the order was there, and why it was read where it was.
type Found = Result<(bool, Decision), Box<dyn Error>>;

/// A read that must see what the cookie stands for, wherever it runs. Without a cookie it may be
/// too early.
async fn find_order(db: &Splitter, run: u64, id: u32, cookie: Option<&str>) -> Found {
    let options = match cookie {
        Some(cookie) => ReadOptions::new().sees(cookie.parse()?),
        None => ReadOptions::new(),
    };
    let select = "SELECT id FROM demo_orders WHERE run = ? AND id = ?";
    let found: Result<_, SqlError> = db
        .read_with(&options, async |c| {
            let row: Option<u32> = c.exec_first(select, (run, id)).await?;
            Ok((row.is_some(), c.explain()))
        })
        .await;
    Ok(found?)
}

/// A plain read: from any replica that is fresh enough.
async fn in_stock(db: &Splitter, run: u64) -> Result<(Option<i64>, Decision), SqlError> {
    let read = db.read(async |c| {
        let left = c.exec_first("SELECT n FROM demo_stock WHERE run = ?", (run,)).await?;
        Ok((left, c.explain()))
    });
    read.await
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = ShopArgs::of(&args::cli().get_matches()).unwrap_or_else(|mistake| mistake.exit());
    match days(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mysql_splitter: {}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// One day of the shop, or one after the other until it is asked to stop. `false`: a promise was
/// broken on the last.
async fn days(args: ShopArgs) -> Result<bool, Box<dyn Error>> {
    let (stop, mut stopped) = watch::channel(false);
    tokio::spawn(async move {
        // Without signals, nothing can ask.
        if asked_to_stop().await.is_ok() {
            stop.send_replace(true);
        }
    });
    let pods = tokio::select! {
        pods = Pods::find(&args) => pods?,
        _ = stopped.wait_for(|stop| *stop) => return Ok(true),
    };
    loop {
        let outcome = day(&args, &pods, &mut stopped).await;
        let Some(pause) = args.every.filter(|_| !*stopped.borrow()) else {
            return outcome;
        };
        if let Err(error) = outcome {
            eprintln!("mysql_splitter: {}", explain(&*error));
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopped.wait_for(|stop| *stop) => return Ok(true),
        }
    }
}

async fn day(args: &ShopArgs, pods: &Pods, stopped: &mut watch::Receiver<bool>) -> Result<bool, Box<dyn Error>> {
    let (log, mut screen) = (Log::begin(), Screen::new(args.json));
    screen.line(&pods.introduction());
    let db = connect(&pods.service(), pods.account()).await?;
    let shop = Shop::open(db, log, screen).await?;
    let visitors = shop.visited();
    tokio::select! {
        played = script::play(pods, &shop, args.length) => played?,
        _ = stopped.wait_for(|stop| *stop) => {}
        never = view::show(&shop) => match never {},
    }
    shop.close();
    visitors.join_all().await;
    count(&shop, pods, args.json).await
}

/// What was acknowledged is compared with what the pods have.
async fn count(shop: &Shop, pods: &Pods, json: bool) -> Result<bool, Box<dyn Error>> {
    let balance = audit::take(shop).await?;
    shop.screen().line(&balance.to_string());
    shop.clear().await?;
    if json {
        println!("{}", report(shop, pods, &balance));
    }
    Ok(balance.is_kept())
}

fn report(shop: &Shop, pods: &Pods, balance: &Balance) -> Value {
    json!({
        "pods": pods.kind(),
        "ledger": balance.to_json(),
        "served": shop.tally.to_json(),
        "events": shop.log.after(0).0.iter().map(Entry::to_json).collect::<Vec<_>>(),
        "seconds": shop.log.elapsed().as_secs_f64(),
    })
}
