//! The read/write splitter on real MariaDB pods: what it promises when nothing goes wrong. What it does when something does is
//! `splitter_faults.rs`.

use std::time::Duration;

use headless::Discovery;
use headless_mysql::{Account, Error, Mode, ReadOptions, Splitter, SplitterBuilder};
use headless_testkit::mariadb::{self, MariaDb};
use headless_tests::support::looks::{builder, built};
use headless_tests::support::mariadb::start;

/// Three pods, a table, and a splitter on them.
async fn shop() -> Option<(MariaDb, Splitter)> {
    let db = start(MariaDb::builder()).await?;
    let splitter = connect(&db, Splitter::builder(account())).await;
    let create = "CREATE TABLE cart (id INT PRIMARY KEY, n INT NOT NULL DEFAULT 0)";
    splitter
        .write(async |c| c.query_drop(create).await)
        .await
        .expect("pod 0 is the primary");
    db.replicated().await.expect("replication runs");
    Some((db, splitter))
}

fn account() -> Account {
    Account::new(mariadb::USER, mariadb::PASSWORD).database(mariadb::DATABASE)
}

async fn connect(db: &MariaDb, settings: SplitterBuilder) -> Splitter {
    let resolver = built(builder(db.cluster().dns_addr(), &db.service()));
    let discovery = Discovery::builder(resolver).start().await.expect("the pods are listed");
    settings
        .start(discovery)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_to_the_primary_and_reads_to_the_replicas() {
    let Some((_pods, db)) = shop().await else { return };
    let written: Result<String, Error> = db
        .write(async |c| {
            c.exec_drop("INSERT INTO cart VALUES (?, ?)", (1, 2)).await?;
            Ok(c.pod())
        })
        .await;
    assert_eq!(written.unwrap(), "mysql-0");
    let mut readers = std::collections::BTreeMap::new();
    for _ in 0..100 {
        let reader: Result<_, Error> = db
            .read(async |c| {
                let _rows: Vec<(u32, u32)> = c.query("SELECT id, n FROM cart").await?;
                Ok(c.pod())
            })
            .await;
        *readers.entry(reader.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(
        readers.keys().collect::<Vec<_>>(),
        ["mysql-1", "mysql-2"],
        "{readers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_causal_handle_sees_its_own_writes() {
    let Some((_pods, db)) = shop().await else { return };
    let mut visitor = db.causal();
    for id in 0..200_u32 {
        let write = async |c: &mut headless_mysql::Conn| c.exec_drop("INSERT INTO cart (id) VALUES (?)", (id,)).await;
        visitor.write(write).await.unwrap();
        let seen: Result<Option<u32>, Error> = visitor
            .read(async |c| c.exec_first("SELECT id FROM cart WHERE id = ?", (id,)).await)
            .await;
        assert_eq!(seen.unwrap(), Some(id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_a_read_is_refused_before_it_is_sent() {
    let Some((_pods, db)) = shop().await else { return };
    for sql in [
        "DELETE FROM cart",
        "SELECT * FROM cart FOR UPDATE",
        "SET @a = 1",
        "COMMIT",
    ] {
        let error = db.read(async |c| c.query_drop(sql).await).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_followed() {
    let Some((pods, db)) = shop().await else { return };
    pods.promote(1).await.unwrap();
    let mut overview = db.overview();
    while overview.primary().is_none_or(|primary| primary.name != "mysql-1") {
        overview = db.changed(&overview).await;
    }
    let written: Result<String, Error> = db
        .transaction(Mode::ReadWrite, async |c| {
            c.query_drop("INSERT INTO cart (id) VALUES (7)").await?;
            Ok(c.pod())
        })
        .await;
    assert_eq!(written.unwrap(), "mysql-1");
    let token = db.token().await.unwrap();
    let options = ReadOptions::new().sees(token).token_wait(Duration::from_secs(2));
    let seen: Result<Option<u32>, Error> = db
        .read_with(&options, async |c| {
            c.query_first("SELECT id FROM cart WHERE id = 7").await
        })
        .await;
    assert_eq!(seen.unwrap(), Some(7));
}
