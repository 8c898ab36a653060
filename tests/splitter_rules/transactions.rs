//! T1 to T9 on real servers, without T7, which is `sessions.rs`: one connection from BEGIN to
//! COMMIT, errors in the middle, futures that are dropped. A COMMIT whose answer is lost is
//! `splitter_faults.rs`.

use std::time::Duration;

use headless_mysql::{Conn, Error, Mode, ReadOptions, Refusal, RouteReason, Session, Splitter};

use crate::scene::{cancel, closed, connect, number, own, pod, root, run, settings, shared, single, table, under_way};

async fn numbers(db: &Splitter, sql: &str) -> Vec<u64> {
    db.write(async |c| c.query(sql).await).await.unwrap()
}

fn code(result: Result<(), Error>) -> u16 {
    match result {
        Err(Error::Server { code, .. }) => code,
        other => panic!("an error of the server expected, not {other:?}"),
    }
}

async fn do_all(session: &mut Session, statements: &[&str]) {
    for sql in statements {
        session.query_drop(sql).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_a_transaction_that_begins_with_a_read_is_on_the_primary_all_along() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "t01").await;
    let done: Result<_, Error> = db
        .transaction(Mode::ReadWrite, async |c| {
            let first = number(c, "SELECT CONNECTION_ID()").await;
            let none: Vec<u64> = c.query("SELECT id FROM t01").await?;
            c.query_drop("INSERT INTO t01 (id) VALUES (1)").await?;
            let own: Vec<u64> = c.exec("SELECT id FROM t01", ()).await?;
            assert_eq!((none.len(), own.as_slice()), (0, &[1][..]));
            assert_eq!(first, number(c, "SELECT CONNECTION_ID()").await);
            Ok(c.pod())
        })
        .await;
    assert_eq!(done.unwrap(), "mysql-0");
    assert_eq!(numbers(&db, "SELECT id FROM t01").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_a_transaction_is_begun_and_ended_by_the_splitter_alone() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    for sql in ["COMMIT", "ROLLBACK", "BEGIN", "SET autocommit = 1"] {
        let inside = db.transaction(Mode::ReadWrite, async |c| c.query_drop(sql).await).await;
        assert!(
            matches!(
                inside,
                Err(Error::Refused {
                    reason: Refusal::Transaction(_)
                })
            ),
            "{sql}: {inside:?}"
        );
        let auto = db.query::<u64>(sql).await;
        assert!(
            matches!(
                auto,
                Err(Error::Refused {
                    reason: Refusal::Transaction(_)
                })
            ),
            "{sql}: {auto:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t3_a_read_only_transaction_sees_one_state_on_a_replica_and_takes_no_write() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "t03").await;
    let read: Result<_, Error> = db
        .transaction(Mode::ReadOnly, async |c| {
            let before: Vec<u64> = c.query("SELECT id FROM t03").await?;
            run(&db, "INSERT INTO t03 (id) VALUES (1)").await?;
            pods.replicated().await.unwrap();
            let after: Vec<u64> = c.query("SELECT id FROM t03").await?;
            assert_eq!(before, after, "one snapshot");
            assert_ne!(c.pod(), "mysql-0");
            Ok(())
        })
        .await;
    read.unwrap();
    for sql in ["INSERT INTO t03 (id) VALUES (2)", "SELECT id FROM t03 FOR UPDATE"] {
        let write = db.transaction(Mode::ReadOnly, async |c| c.query_drop(sql).await).await;
        assert!(
            matches!(
                write,
                Err(Error::Refused {
                    reason: Refusal::NotARead(_)
                })
            ),
            "{write:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t3_a_write_in_a_sessions_own_read_only_transaction_is_no_sign_of_a_demotion() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    table(pods, &db, "t03_own").await;
    let mut session = db.session().await.unwrap();
    let id = number(&mut session, "SELECT CONNECTION_ID()").await;
    do_all(&mut session, &["START TRANSACTION READ ONLY"]).await;
    assert_eq!(
        code(session.query_drop("INSERT INTO t03_own (id) VALUES (1)").await),
        1792
    );
    drop(session);
    let mut next = db.session().await.unwrap();
    assert_eq!(
        number(&mut next, "SELECT CONNECTION_ID()").await,
        id,
        "its connection is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t4_a_refused_statement_leaves_the_transaction_open() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "t04").await;
    run(&db, "INSERT INTO t04 (id) VALUES (1), (2)").await.unwrap();
    let mut other = db.session().await.unwrap();
    do_all(
        &mut other,
        &["START TRANSACTION", "SELECT id FROM t04 WHERE id = 2 FOR UPDATE"],
    )
    .await;
    let done: Result<(), Error> = db
        .transaction(Mode::ReadWrite, async |c| {
            c.query_drop("INSERT INTO t04 (id) VALUES (3)").await?;
            assert_eq!(
                code(c.query_drop("INSERT INTO t04 (id) VALUES (1)").await),
                1062,
                "duplicate"
            );
            assert_eq!(
                code(c.query_drop("SELECT id FROM t04 WHERE id = 2 FOR UPDATE NOWAIT").await),
                1205,
                "locked"
            );
            assert_eq!(number(c, "SELECT @@in_transaction").await, Some(1));
            c.query_drop("INSERT INTO t04 (id) VALUES (4)").await
        })
        .await;
    done.unwrap();
    assert_eq!(numbers(&db, "SELECT id FROM t04").await, [1, 2, 3, 4]);

    // And what is open is rolled back, although an error was the last that the server said.
    let failed: Result<(), Error> = db
        .transaction(Mode::ReadWrite, async |c| {
            c.query_drop("INSERT INTO t04 (id) VALUES (5)").await?;
            c.query_drop("INSERT INTO t04 (id) VALUES (1)").await
        })
        .await;
    assert_eq!(code(failed), 1062);
    assert_eq!(numbers(&db, "SELECT id FROM t04").await, [1, 2, 3, 4]);
}

/// Two sessions, each of which has one row locked and wants the other's. Returns what the victim
/// was told.
async fn deadlock(db: &Splitter, victim: &mut Conn, rows: &'static str) -> u16 {
    let mut other = db.session().await.unwrap();
    // The heavier transaction survives: it has changed more rows.
    let heavier = format!("UPDATE {rows} SET n = n + 1 WHERE id >= 2");
    do_all(&mut other, &["START TRANSACTION", &heavier]).await;
    victim
        .query_drop(&format!("UPDATE {rows} SET n = n + 1 WHERE id = 1"))
        .await
        .unwrap();
    let waits = tokio::spawn(async move {
        let result = other
            .query_drop(&format!("UPDATE {rows} SET n = 0 WHERE id = 1 /* waits */"))
            .await;
        (other, result)
    });
    let code = code(
        victim
            .query_drop(&format!("UPDATE {rows} SET n = n + 1 WHERE id = 2"))
            .await,
    );
    let (mut other, result) = waits.await.unwrap();
    result.unwrap();
    do_all(&mut other, &["ROLLBACK"]).await;
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn t4_a_deadlock_ends_the_transaction_and_so_fails_it() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "t04_dead").await;
    run(&db, "INSERT INTO t04_dead (id) VALUES (1), (2), (3), (4), (5)")
        .await
        .unwrap();
    for goes_on in [false, true] {
        let swallowed: Result<(), Error> = db
            .transaction(Mode::ReadWrite, async |c| {
                assert_eq!(deadlock(&db, c, "t04_dead").await, 1213);
                match goes_on {
                    // Outside of any transaction by now: each statement would be committed by
                    // itself.
                    true => c.query_drop("UPDATE t04_dead SET n = 100").await,
                    false => Ok(()),
                }
            })
            .await;
        assert_eq!(code(swallowed), 1213, "it is not reported as committed");
    }
    assert_eq!(numbers(&db, "SELECT SUM(n) FROM t04_dead").await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t5_a_change_of_a_table_commits_what_was_before() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    table(pods, &db, "t05").await;
    let mut session = db.session().await.unwrap();
    let id = number(&mut session, "SELECT CONNECTION_ID()").await;
    do_all(
        &mut session,
        &[
            "START TRANSACTION",
            "INSERT INTO t05 (id) VALUES (1)",
            "CREATE TABLE t05_more (id INT)",
            "ROLLBACK",
        ],
    )
    .await;
    drop(session);
    assert_eq!(
        numbers(&db, "SELECT id FROM t05").await,
        [1],
        "committed by CREATE TABLE"
    );
    // The server's flags said so: there was nothing to reset.
    let mut next = db.session().await.unwrap();
    assert_eq!(number(&mut next, "SELECT CONNECTION_ID()").await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn t6_a_cancelled_statement_never_comes_back() {
    let Some(pods) = shared().await else { return };
    let (db, other) = (connect(pods, single()).await, connect(pods, settings()).await);
    table(pods, &db, "t06").await;
    run(&db, "INSERT INTO t06 VALUES (1, 0)").await.unwrap();
    let mut blocker = other.session().await.unwrap();
    do_all(
        &mut blocker,
        &["START TRANSACTION", "SELECT n FROM t06 WHERE id = 1 FOR UPDATE"],
    )
    .await;
    let task = tokio::spawn({
        let db = db.clone();
        async move {
            db.transaction(Mode::ReadWrite, async |c| {
                c.query_drop("INSERT INTO t06 VALUES (2, 0)").await?;
                c.query_drop("UPDATE t06 SET n = 7 WHERE id = 1").await
            })
            .await
        }
    });
    let (_, id) = under_way(pods, "UPDATE t06 SET n").await;
    cancel(task).await;
    // It is not in the way of the next one, which has another connection.
    let next = number(&mut db.session().await.unwrap(), "SELECT CONNECTION_ID()").await;
    assert_ne!(next, Some(id));
    // And its transaction does not happen, not even when it could go on.
    do_all(&mut blocker, &["ROLLBACK"]).await;
    closed(&pod(pods, 0), id).await;
    let rows: Vec<(u64, u64)> = db
        .write(async |c| c.query("SELECT id, n FROM t06").await)
        .await
        .unwrap();
    assert_eq!(rows, [(1, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t6_a_cancelled_read_closes_its_connection_too() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    let task = tokio::spawn({
        let db = db.clone();
        async move {
            db.read(async |c| c.query_drop("SELECT SLEEP(30) /* t06_read */").await)
                .await
        }
    });
    let (replica, id) = under_way(pods, "t06_read").await;
    cancel(task).await;
    let read = db
        .on_pod(replica.name(), async |c| c.query::<u64>("SELECT 7").await)
        .await;
    assert_eq!(
        read.unwrap(),
        [7],
        "the only connection that the pod may have is another one"
    );
    root(&replica, &format!("KILL {id}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t8_serializable_reads_lock_and_so_are_for_a_session_on_the_primary() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "t08").await;
    run(&db, "INSERT INTO t08 (id) VALUES (1)").await.unwrap();
    let level = "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    let in_read = db
        .transaction(Mode::ReadOnly, async |c| c.query_drop(level).await)
        .await;
    assert!(matches!(in_read, Err(Error::Refused { .. })), "{in_read:?}");
    let mut session = db.session().await.unwrap();
    do_all(&mut session, &[level, "START TRANSACTION", "SELECT * FROM t08"]).await;
    assert_eq!(session.pod(), "mysql-0");
    let locked = db
        .write(async |c| c.query_drop("SELECT id FROM t08 FOR UPDATE NOWAIT").await)
        .await;
    assert_eq!(code(locked), 1205, "the read has locked it");
}

#[tokio::test(flavor = "multi_thread")]
async fn t9_the_token_is_waited_for_before_the_snapshot_is_taken() {
    let Some(pods) = own(2).await else { return };
    let db = connect(&pods, settings().max_lag(Duration::from_secs(60))).await;
    table(&pods, &db, "t09").await;
    pod(&pods, 1).stop_applier().await.unwrap();
    run(&db, "INSERT INTO t09 (id) VALUES (1)").await.unwrap();
    let options = ReadOptions::new()
        .sees(db.token().await.unwrap())
        .token_wait(Duration::from_secs(20));
    let task = tokio::spawn({
        let db = db.clone();
        async move {
            let read = db.transaction_with(Mode::ReadOnly, &options, async |c| {
                let rows: Vec<u64> = c.query("SELECT id FROM t09").await?;
                Ok::<_, Error>((rows, c.explain()))
            });
            read.await
        }
    });
    under_way(&pods, "MASTER_GTID_WAIT").await;
    pod(&pods, 1).start_applier().await.unwrap();
    let (rows, decision) = task.await.unwrap().unwrap();
    assert_eq!(rows, [1], "{decision}");
    assert_eq!(decision.pod, "mysql-1");
    assert!(matches!(decision.reason, RouteReason::WaitedForToken(_)), "{decision}");
}
