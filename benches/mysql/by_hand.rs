//! The driver by hand, in its own best way: a connection that is never given back, which is the limit. And its pools, one for each
//! replica, taken in turn.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use headless_mysql::driver::prelude::Queryable;
use headless_mysql::driver::{Conn, OptsBuilder, Pool, PoolConstraints, PoolOpts, Statement};
use headless_testkit::mariadb;

use crate::contender::{Caller, Contender, Setup, text};
use crate::servers::{Pods, SELECT};

/// To this server, by TCP as all others.
fn options(server: SocketAddr) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(server.ip().to_string())
        .tcp_port(server.port())
        .user(Some(mariadb::USER))
        .pass(Some(mariadb::PASSWORD))
        .db_name(Some(mariadb::DATABASE))
        .prefer_socket(false)
}

/// A connection of one's own, with the statement prepared on it.
pub struct Held {
    conn: Conn,
    statement: Statement,
}

impl Held {
    pub async fn open(server: SocketAddr) -> Self {
        let mut conn = Conn::new(options(server)).await.unwrap();
        let statement = conn.prep(SELECT).await.unwrap();
        Self { conn, statement }
    }
}

impl Caller for Held {
    async fn text(&mut self, id: u32) -> String {
        self.conn.query_first(text(id)).await.unwrap().unwrap()
    }

    async fn prepared(&mut self, id: u32) -> String {
        self.conn.exec_first(&self.statement, (id,)).await.unwrap().unwrap()
    }
}

/// The limit: each caller is pinned to one replica, one half of them to each.
pub struct Pinned(Pods);

impl Contender for Pinned {
    const NAME: &'static str = "pinned by hand: the limit";
    type Caller = Held;

    async fn open(setup: Setup) -> Self {
        Self(setup.pods)
    }

    async fn caller(&self, number: usize) -> Held {
        Held::open(self.0.replicas[number % 2]).await
    }

    async fn close(self) {}
}

/// The same on both replicas: what it costs the client, and a server, that each query goes to another server than the one before.
pub struct InTurn(Pods);

/// A connection to each.
pub struct Both {
    held: [Held; 2],
    turn: usize,
}

impl Both {
    fn next(&mut self) -> &mut Held {
        self.turn += 1;
        &mut self.held[self.turn % 2]
    }
}

impl Contender for InTurn {
    const NAME: &'static str = "by hand, in turn";
    type Caller = Both;

    async fn open(setup: Setup) -> Self {
        Self(setup.pods)
    }

    async fn caller(&self, number: usize) -> Both {
        let [first, second] = self.0.replicas;
        Both {
            held: [Held::open(first).await, Held::open(second).await],
            turn: number,
        }
    }

    async fn close(self) {}
}

impl Caller for Both {
    async fn text(&mut self, id: u32) -> String {
        self.next().text(id).await
    }

    async fn prepared(&mut self, id: u32) -> String {
        self.next().prepared(id).await
    }
}

/// The driver's pool, twice. Tuned: connections stay open and are not reset between uses, so that their statements stay prepared.
#[derive(Clone)]
pub struct Pools<const TUNED: bool> {
    pools: [Pool; 2],
    turn: Arc<AtomicUsize>,
}

impl<const TUNED: bool> Pools<TUNED> {
    fn next(&self) -> &Pool {
        &self.pools[self.turn.fetch_add(1, Relaxed) % 2]
    }
}

impl<const TUNED: bool> Contender for Pools<TUNED> {
    const NAME: &'static str = match TUNED {
        true => "mysql_async Pool x 2, tuned",
        false => "mysql_async Pool x 2",
    };
    type Caller = Self;

    async fn open(setup: Setup) -> Self {
        let tuned = || {
            PoolOpts::default()
                .with_constraints(PoolConstraints::new(setup.callers, setup.callers).unwrap())
                .with_inactive_connection_ttl(Duration::from_secs(600))
                .with_reset_connection(false)
        };
        let pool = |server| Pool::new(options(server).pool_opts(TUNED.then(tuned)));
        Self {
            pools: setup.pods.replicas.map(pool),
            turn: Arc::default(),
        }
    }

    async fn caller(&self, _: usize) -> Self {
        self.clone()
    }

    async fn close(self) {
        for pool in self.pools {
            pool.disconnect().await.unwrap();
        }
    }
}

impl<const TUNED: bool> Caller for Pools<TUNED> {
    async fn text(&mut self, id: u32) -> String {
        let mut conn = self.next().get_conn().await.unwrap();
        conn.query_first(text(id)).await.unwrap().unwrap()
    }

    async fn prepared(&mut self, id: u32) -> String {
        let mut conn = self.next().get_conn().await.unwrap();
        conn.exec_first(SELECT, (id,)).await.unwrap().unwrap()
    }
}
