//! sqlx: its pool, one for each replica, round robin.

use headless_benches::hand_written::RoundRobin;
use headless_testkit::mariadb;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use crate::implementation::{Caller, Implementation, Setup, text};
use crate::servers::SELECT;

/// sqlx's pool, one for each replica. Tuned: enough connections, no ping before each use, no log of
/// statements.
#[derive(Clone)]
pub struct Sqlx<const TUNED: bool> {
    all: [MySqlPool; 2],
    pools: RoundRobin<MySqlPool>,
}

impl<const TUNED: bool> Implementation for Sqlx<TUNED> {
    const NAME: &'static str = match TUNED {
        true => "sqlx x 2, tuned",
        false => "sqlx x 2",
    };
    type Caller = Self;

    async fn open(setup: Setup) -> Self {
        let all = setup.pods.replicas.map(|server| {
            let options = MySqlConnectOptions::new()
                .host(&server.ip().to_string())
                .port(server.port())
                .username(mariadb::USER)
                .password(mariadb::PASSWORD)
                .database(mariadb::DATABASE)
                // Like all others: the servers have no certificates.
                .ssl_mode(MySqlSslMode::Disabled);
            let pool = MySqlPoolOptions::new();
            match TUNED {
                true => pool
                    .max_connections(setup.callers.try_into().unwrap())
                    .test_before_acquire(false)
                    .connect_lazy_with(options.disable_statement_logging()),
                false => pool.connect_lazy_with(options),
            }
        });
        let pools = RoundRobin::over(all.clone());
        Self { all, pools }
    }

    async fn caller(&self, _: usize) -> Self {
        self.clone()
    }

    async fn close(self) {
        for pool in self.all {
            pool.close().await;
        }
    }
}

impl<const TUNED: bool> Caller for Sqlx<TUNED> {
    async fn text(&mut self, id: u32) -> String {
        let sql = sqlx::raw_sql(AssertSqlSafe(text(id)));
        sql.fetch_one(self.pools.next()).await.unwrap().get(0)
    }

    async fn prepared(&mut self, id: u32) -> String {
        let sql = sqlx::query_scalar(SELECT).bind(id);
        sql.fetch_one(self.pools.next()).await.unwrap()
    }
}
