//! Hand-written clients on the driver: a connection that is never returned, which is the baseline;
//! and the driver's pools, one for each replica, round robin.

use std::net::SocketAddr;
use std::time::Duration;

use headless_benches::hand_written;
use headless_mysql::driver::prelude::Queryable;
use headless_mysql::driver::{Conn, OptsBuilder, Pool, PoolConstraints, PoolOpts, Statement};
use headless_testkit::mariadb;

use crate::implementation::{Caller, Implementation, Setup, text};
use crate::servers::{Pods, SELECT};

/// Returns the options for this server. TCP is used, as by all others.
fn options(server: SocketAddr) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(server.ip().to_string())
        .tcp_port(server.port())
        .user(Some(mariadb::USER))
        .pass(Some(mariadb::PASSWORD))
        .db_name(Some(mariadb::DATABASE))
        .prefer_socket(false)
}

/// A connection of one caller, with the statement prepared on it.
pub struct Connection {
    conn: Conn,
    statement: Statement,
}

impl Connection {
    pub async fn open(server: SocketAddr) -> Self {
        let mut conn = Conn::new(options(server)).await.unwrap();
        let statement = conn.prep(SELECT).await.unwrap();
        Self { conn, statement }
    }
}

impl Caller for Connection {
    async fn text(&mut self, id: u32) -> String {
        self.conn.query_first(text(id)).await.unwrap().unwrap()
    }

    async fn prepared(&mut self, id: u32) -> String {
        self.conn.exec_first(&self.statement, (id,)).await.unwrap().unwrap()
    }
}

/// The baseline: each caller is pinned to one replica, one half of them to each.
pub struct Pinned(Pods);

impl Implementation for Pinned {
    const NAME: &'static str = "pinned, hand-written (baseline)";
    type Caller = Connection;

    async fn open(setup: Setup) -> Self {
        Self(setup.pods)
    }

    async fn caller(&self, number: usize) -> Connection {
        Connection::open(self.0.replicas[number % 2]).await
    }

    async fn close(self) {}
}

/// The same on both replicas: shows the cost for the client, and for a server, if each query goes
/// to the other server than the one before.
pub struct RoundRobin(Pods);

/// A connection to each.
pub struct Both {
    connections: [Connection; 2],
    turn: usize,
}

impl Both {
    fn next(&mut self) -> &mut Connection {
        self.turn += 1;
        &mut self.connections[self.turn % 2]
    }
}

impl Implementation for RoundRobin {
    const NAME: &'static str = "hand-written, round robin";
    type Caller = Both;

    async fn open(setup: Setup) -> Self {
        Self(setup.pods)
    }

    async fn caller(&self, number: usize) -> Both {
        let [first, second] = self.0.replicas;
        Both {
            connections: [Connection::open(first).await, Connection::open(second).await],
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

/// The driver's pool, one for each replica. Tuned: connections stay open and are not reset between
/// uses, so that their statements stay prepared.
#[derive(Clone)]
pub struct Pools<const TUNED: bool> {
    all: [Pool; 2],
    pools: hand_written::RoundRobin<Pool>,
}

impl<const TUNED: bool> Implementation for Pools<TUNED> {
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
        let all = setup.pods.replicas.map(pool);
        let pools = hand_written::RoundRobin::over(all.clone());
        Self { all, pools }
    }

    async fn caller(&self, _: usize) -> Self {
        self.clone()
    }

    async fn close(self) {
        for pool in self.all {
            pool.disconnect().await.unwrap();
        }
    }
}

impl<const TUNED: bool> Caller for Pools<TUNED> {
    async fn text(&mut self, id: u32) -> String {
        let mut conn = self.pools.next().get_conn().await.unwrap();
        conn.query_first(text(id)).await.unwrap().unwrap()
    }

    async fn prepared(&mut self, id: u32) -> String {
        let mut conn = self.pools.next().get_conn().await.unwrap();
        conn.exec_first(SELECT, (id,)).await.unwrap().unwrap()
    }
}
