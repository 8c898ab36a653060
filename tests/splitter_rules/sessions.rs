//! T7: each caller finds a connection as new, and a clean one is checked out again without a round
//! trip. Must not live here: transactions.

use headless_mysql::{Account, Error, Session, Splitter};
use headless_testkit::mariadb;

use crate::scene::{account, connect, number, run, shared, single, table};

/// The one connection of the primary, and what the session on it is like.
async fn inspect(db: &Splitter) -> (u64, Vec<String>) {
    let mut session = db.session().await.unwrap();
    let id = number(&mut session, "SELECT CONNECTION_ID()").await.unwrap();
    let mut all = Vec::new();
    for what in [
        "@@sql_mode",
        "@@autocommit",
        "@@tx_isolation",
        "@@tx_read_only",
        "@@character_set_client",
        "@@time_zone",
        "@@innodb_lock_wait_timeout",
        "COALESCE(DATABASE(), 'none')",
        "COALESCE(@secret, 'nothing')",
        "IS_FREE_LOCK('t07')",
        "@@in_transaction",
    ] {
        let value: Option<String> = session
            .query_first(&format!("SELECT CAST({what} AS CHAR)"))
            .await
            .unwrap();
        all.push(format!("{what} = {}", value.unwrap()));
    }
    (id, all)
}

async fn refused(session: &mut Session, sql: &str) -> u16 {
    match session.query_drop(sql).await {
        Err(Error::Server { code, .. }) => code,
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_the_next_caller_on_the_same_connection_finds_nothing_of_a_session() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    table(pods, &db, "t07").await;
    let (id, clean) = inspect(&db).await;
    for traces in [
        &["SET @secret = 42"][..],
        &["SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"],
        &["SET NAMES latin1"],
        &["SET time_zone = '+05:00', innodb_lock_wait_timeout = 1"],
        &["SET autocommit = 0", "INSERT INTO t07 VALUES (1, 1)"],
        &["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY"],
        &["START TRANSACTION", "INSERT INTO t07 VALUES (1, 1)"],
        &["CREATE TEMPORARY TABLE t07_own (id INT)"],
        &["DO GET_LOCK('t07', 0)"],
        &["SELECT GET_LOCK('t07', 0)"],
        &["LOCK TABLES t07 READ"],
        &["PREPARE t07_statement FROM 'SELECT 1'"],
        &["SELECT 42 INTO @secret", "SELECT @secret := 43"],
    ] {
        let mut session = db.session().await.unwrap();
        for sql in traces {
            session.query_drop(sql).await.unwrap_or_else(|error| panic!("{error}"));
        }
        drop(session);
        assert_eq!(inspect(&db).await, (id, clean.clone()), "after {traces:?}");
        let mut next = db.session().await.unwrap();
        assert_eq!(
            refused(&mut next, "SELECT * FROM t07_own").await,
            1146,
            "no such table, after {traces:?}"
        );
        assert_eq!(
            refused(&mut next, "EXECUTE t07_statement").await,
            1243,
            "no such statement, after {traces:?}"
        );
        assert_eq!(
            next.query::<u64>("SELECT id FROM t07").await.unwrap(),
            [0; 0],
            "rolled back, after {traces:?}"
        );
        drop(next);
        // Not held by a lock, and the driver's own prepared statements are in order.
        let write = db
            .write(async |c| c.exec_drop("UPDATE t07 SET n = ? WHERE id = ?", (1, 2)).await)
            .await;
        write.unwrap_or_else(|error| panic!("{error}, after {traces:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_the_next_caller_finds_the_schema_of_the_account_if_it_has_one() {
    let Some(pods) = shared().await else { return };
    let nameless = Account::new(mariadb::USER, mariadb::PASSWORD);
    for (account, schema) in [(account(), Some(mariadb::DATABASE)), (nameless, None)] {
        let db = connect(pods, Splitter::builder(account).max_connections_per_endpoint(1)).await;
        // A reset leaves the schema as it is.
        for moves in [
            "USE information_schema",
            "EXECUTE IMMEDIATE 'USE information_schema'",
            "SELECT 1; USE information_schema",
        ] {
            db.session().await.unwrap().query_drop(moves).await.unwrap();
            let next = db
                .write(async |c| c.query::<Option<String>>("SELECT DATABASE()").await)
                .await;
            assert_eq!(next.unwrap()[0].as_deref(), schema, "after {moves}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_a_clean_connection_keeps_its_prepared_statements_for_the_next_caller() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    table(pods, &db, "t07_clean").await;
    let count = async |name: &str| -> u64 {
        let sql = format!("SHOW STATUS LIKE '{name}'");
        let found: Result<Option<(String, u64)>, Error> =
            db.on_pod("mysql-0", async |c| c.query_first(&sql).await).await;
        found.unwrap().unwrap().1
    };
    let before = count("Questions").await;
    for n in 0..20 {
        let write = db
            .write(async |c| c.exec_drop("INSERT INTO t07_clean VALUES (?, 0)", (n,)).await)
            .await;
        write.unwrap();
        let read: Result<Option<u64>, Error> = db
            .on_pod("mysql-0", async |c| {
                c.exec_first("SELECT n FROM t07_clean WHERE id = ?", (n,)).await
            })
            .await;
        assert_eq!(read.unwrap(), Some(0));
        run(&db, "DELETE FROM t07_clean WHERE id = 100").await.unwrap();
    }
    // A session's counters begin again when it is reset.
    assert_eq!(count("Com_stmt_execute").await, 40);
    assert_eq!(count("Com_stmt_prepare").await, 2);
    assert_eq!(count("Com_delete").await, 20);
    // Nothing was sent between: no reset, no BEGIN.
    assert_eq!(count("Questions").await, before + 60 + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_a_connection_keeps_the_statements_last_used_and_closes_the_others() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single().statements_per_connection(2)).await;
    table(pods, &db, "t07_few").await;
    let count = async |name: &str| -> u64 {
        let sql = format!("SHOW STATUS LIKE 'Com_stmt_{name}'");
        let found: Result<Option<(String, u64)>, Error> =
            db.on_pod("mysql-0", async |c| c.query_first(&sql).await).await;
        found.unwrap().unwrap().1
    };
    let [a, b, c] = ["id = ?", "n = ?", "id < ?"].map(|what| format!("DELETE FROM t07_few WHERE {what}"));
    // C takes the place of B, not of A, which was used since; and B that of C.
    for sql in [&a, &b, &a, &c, &a, &b] {
        let write = db.write(async |c| c.exec_drop(sql, (1,)).await).await;
        write.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert_eq!(count("execute").await, 6);
    assert_eq!(count("prepare").await, 4);
    assert_eq!(count("close").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_a_prepared_text_means_what_it_would_mean_unprepared() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    let mut session = db.session().await.unwrap();
    let sql = "SELECT COUNT(*) FROM schemata";
    for moves in ["USE information_schema", "EXECUTE IMMEDIATE 'USE information_schema'"] {
        session.query_drop(moves).await.unwrap();
        let counted: Vec<u64> = session.exec(sql, ()).await.unwrap();
        assert_eq!(counted.len(), 1, "after {moves}");
        session.query_drop(&format!("USE {}", mariadb::DATABASE)).await.unwrap();
        match session.exec_drop(sql, ()).await {
            Err(Error::Server { code: 1146, .. }) => {}
            other => panic!("no such table in the account's schema: {other:?}"),
        }
    }
}
