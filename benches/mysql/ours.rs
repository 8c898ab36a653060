//! `headless-mysql` with its default settings, and a connection for each caller.

use std::time::Duration;

use headless::{Discovery, Endpoint, StaticList};
use headless_mysql::{Account, Error, Splitter};
use headless_testkit::mariadb;

use crate::implementation::{Caller, Implementation, Setup, text};
use crate::servers::SELECT;

/// Starts a splitter on these pods.
pub async fn splitter(setup: Setup) -> Splitter {
    let endpoint = |(ordinal, addr)| {
        let name = format!("{}-{ordinal}", mariadb::STATEFUL_SET);
        Endpoint::new(addr).with_pod(name.parse().unwrap())
    };
    let endpoints = setup.pods.all().into_iter().enumerate().map(endpoint).collect();
    let list = StaticList::new("mysql", endpoints);
    let discovery = Discovery::builder(list).start().await.unwrap();
    let account = Account::new(mariadb::USER, mariadb::PASSWORD).database(mariadb::DATABASE);
    let mut builder = Splitter::builder(account).max_connections_per_endpoint(setup.callers);
    if setup.is_counted {
        // Probes follow the clock, which runs fifty times too fast under callgrind.
        builder = builder.probe_interval(NEVER).probe_timeout(NEVER).max_lag(2 * NEVER);
    }
    builder.start(discovery).await.unwrap()
}

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(3600);

/// The splitter.
pub struct Headless(Splitter);

impl Implementation for Headless {
    const NAME: &'static str = "headless";
    type Caller = Splitter;

    async fn open(setup: Setup) -> Self {
        Self(splitter(setup).await)
    }

    async fn caller(&self, _: usize) -> Splitter {
        self.0.clone()
    }

    async fn close(self) {
        self.0.shutdown(Duration::from_secs(1)).await;
    }
}

impl Caller for Splitter {
    async fn text(&mut self, id: u32) -> String {
        let sql = text(id);
        let row: Result<Option<String>, Error> = self.read(async |c| c.query_first(&sql).await).await;
        row.unwrap().unwrap()
    }

    async fn prepared(&mut self, id: u32) -> String {
        let row: Result<Option<String>, Error> = self.read(async |c| c.exec_first(SELECT, (id,)).await).await;
        row.unwrap().unwrap()
    }
}
