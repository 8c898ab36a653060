//! R1 to R5 and R7 on real servers: reads that see what was written, on replicas that do not have
//! it.

use std::time::Duration;

use headless_mysql::gtid::Token;
use headless_mysql::{Error, ReadOptions, RouteReason, Splitter};
use headless_testkit::mariadb::MariaDb;
use tokio::task::JoinSet;

use crate::scene::{connect, own, pod, root, run, seen, settings, shared, table, until};

/// Callers at the same time.
const CALLERS: u64 = 8;

/// Pairs of a write and a read of it: `HEADLESS_PAIRS`, or 500.
fn pairs() -> u64 {
    std::env::var("HEADLESS_PAIRS").map_or(500, |pairs| pairs.parse().expect("HEADLESS_PAIRS is a number"))
}

/// Lag does not exclude a replica here, so that only the token can.
async fn scene() -> Option<(MariaDb, Splitter)> {
    let pods = own(3).await?;
    let settings = settings()
        .max_lag(Duration::from_secs(3600))
        .token_wait(Duration::from_millis(1));
    let db = connect(&pods, settings).await;
    table(&pods, &db, "cart").await;
    Some((pods, db))
}

/// How many of so many reads did not see the write before them.
async fn stale(db: &Splitter, first: u64, pairs: u64, with_token: bool) -> u64 {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let db = db.clone();
        callers.spawn(async move {
            let (mut visitor, mut stale) = (db.causal(), 0);
            for id in (first..first + pairs).filter(|id| id % CALLERS == caller) {
                let insert = "INSERT INTO cart (id) VALUES (?)";
                visitor.write(async |c| c.exec_drop(insert, (id,)).await).await.unwrap();
                let select = "SELECT id FROM cart WHERE id = ?";
                let found: Result<Option<u64>, Error> = match with_token {
                    true => visitor.read(async |c| c.exec_first(select, (id,)).await).await,
                    false => db.read(async |c| c.exec_first(select, (id,)).await).await,
                };
                stale += u64::from(found.unwrap() != Some(id));
            }
            stale
        });
    }
    callers.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_no_read_with_a_token_is_stale_whichever_applier_is_stopped() {
    let Some((pods, db)) = scene().await else { return };
    let third = pairs() / 3;
    assert_eq!(stale(&db, 0, third, true).await, 0, "all replicate");
    pod(&pods, 1).stop_applier().await.unwrap();
    assert_eq!(stale(&db, third, third, true).await, 0, "one is stopped");
    pod(&pods, 2).stop_applier().await.unwrap();
    assert_eq!(
        stale(&db, 2 * third, pairs() - 2 * third, true).await,
        0,
        "both are stopped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r2_without_the_token_they_are_stale() {
    let Some((pods, db)) = scene().await else { return };
    for ordinal in [1, 2] {
        pod(&pods, ordinal).stop_applier().await.unwrap();
    }
    assert_eq!(stale(&db, 0, 100, false).await, 100, "so that the test above can fail");
    assert_eq!(stale(&db, 100, 100, true).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_token_holds_for_another_process_as_text_and_as_bytes() {
    let Some((pods, db)) = scene().await else { return };
    for ordinal in [1, 2] {
        pod(&pods, ordinal).stop_applier().await.unwrap();
    }
    run(&db, "INSERT INTO cart (id) VALUES (1)").await.unwrap();
    let token = db.token().await.unwrap();
    let (text, bytes) = (token.to_string(), token.to_bytes());
    drop(db);
    // Nothing is shared with the writer but what a cookie carries.
    let elsewhere = connect(
        &pods,
        settings()
            .max_lag(Duration::from_secs(3600))
            .token_wait(Duration::from_millis(1)),
    )
    .await;
    for token in [text.parse().unwrap(), Token::from_bytes(&bytes).unwrap()] {
        let mut visitor = elsewhere.causal();
        visitor.see(&token).unwrap();
        let found = visitor
            .read(async |c| c.query::<u64>("SELECT id FROM cart").await)
            .await;
        assert_eq!(found.unwrap(), [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_waits_for_a_token_take_a_few_connections_and_the_others_go_on() {
    let Some((pods, db)) = scene().await else { return };
    for ordinal in [1, 2] {
        pod(&pods, ordinal).stop_applier().await.unwrap();
    }
    run(&db, "INSERT INTO cart (id) VALUES (1)").await.unwrap();
    let options = ReadOptions::new()
        .sees(db.token().await.unwrap())
        .token_wait(Duration::from_secs(60));
    let mut readers = JoinSet::new();
    for _ in 0..24 {
        let (db, options) = (db.clone(), options.clone());
        readers.spawn(async move {
            let read = db.read_with(&options, async |c| {
                let rows: Vec<u64> = c.query("SELECT id FROM cart").await?;
                Ok::<_, Error>((rows, c.explain().reason))
            });
            read.await.unwrap()
        });
    }
    // Up to four wait at each of the two; the others have been to the primary.
    let mut waiting = 0;
    until("only readers that wait are left", async || {
        waiting = 0;
        while let Some(done) = readers.try_join_next() {
            assert_eq!(done.unwrap(), (vec![1], RouteReason::TokenOnPrimary));
        }
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT MASTER_GTID_WAIT%'";
        for ordinal in [1, 2] {
            let at_one: usize = root(&pod(&pods, ordinal), sql).await.parse().unwrap();
            assert!(at_one <= 4, "{at_one} wait on one replica");
            waiting += at_one;
        }
        readers.len() == waiting && waiting > 0
    })
    .await;
    assert!(waiting <= 8, "{waiting}");
    // Reads without a token are served there meanwhile.
    for _ in 0..20 {
        let read: Result<_, Error> = db
            .read(async |c| {
                c.query_drop("SELECT id FROM cart").await?;
                Ok(c.pod())
            })
            .await;
        assert_ne!(read.unwrap(), "mysql-0");
    }
    for ordinal in [1, 2] {
        pod(&pods, ordinal).start_applier().await.unwrap();
    }
    for (rows, reason) in readers.join_all().await {
        assert_eq!(rows, [1]);
        assert!(matches!(reason, RouteReason::WaitedForToken(_)), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_lost_write_is_reported_once() {
    let Some(pods) = own(2).await else { return };
    let db = connect(&pods, settings()).await;
    table(&pods, &db, "cart").await;
    // The replica receives nothing more, the primary writes and dies, and the replica takes over.
    root(&pod(&pods, 1), "STOP SLAVE").await;
    let mut visitor = db.causal();
    let insert = "INSERT INTO cart (id) VALUES (1)";
    visitor.write(async |c| c.query_drop(insert).await).await.unwrap();
    let token = visitor.token().await.unwrap();
    pod(&pods, 0).kill().await;
    pods.promote(1).await.unwrap();
    seen(&db, "pod 1 is the primary", |pods| {
        pods.primary().is_some_and(|pod| pod.name == "mysql-1")
    })
    .await;

    let select = "SELECT id FROM cart";
    match visitor.read(async |c| c.query::<u64>(select).await).await {
        Err(Error::WriteLost { pod, missing }) => {
            assert_eq!(pod, "mysql-1");
            assert!(
                missing.is_reached_by(token.position()).unwrap(),
                "{missing} is of {token}"
            );
        }
        other => panic!("{other:?}"),
    }
    let after = visitor.read(async |c| c.query::<u64>(select).await).await;
    assert_eq!(after.unwrap(), [0; 0], "the visitor goes on with what there is");
    // A read with the old token is told, too.
    let options = ReadOptions::new().sees(token);
    let again = db.read_with(&options, async |c| c.query::<u64>(select).await).await;
    assert!(matches!(again, Err(Error::WriteLost { .. })), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_token_promises_what_was_answered_before_it_and_not_what_is_under_way() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "r07").await;
    let mut writer = db.session().await.unwrap();
    for sql in ["START TRANSACTION", "INSERT INTO r07 (id) VALUES (1)"] {
        writer.query_drop(sql).await.unwrap();
    }
    let before = db.token().await.unwrap();
    writer.query_drop("COMMIT").await.unwrap();
    let after = db.token().await.unwrap();
    assert!(before.is_reached_by(after.position()).unwrap());
    assert!(
        !after.is_reached_by(before.position()).unwrap(),
        "{after} is more than {before}"
    );
}
