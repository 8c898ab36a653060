//! C1 to C17 on real servers: what the classifier calls a read runs on a replica, and anything else
//! never leaves the client. The classifier's rules are tested by `crates/mysql/tests/statements`;
//! the corpus is from there.

#[expect(dead_code, reason = "what its own tests need besides")]
#[path = "../../crates/mysql/tests/statements/corpus.rs"]
mod corpus;

use std::collections::{BTreeMap, BTreeSet};

use corpus::{Statement, corpus, name};
use headless_mysql::driver::{Params, Value};
use headless_mysql::statement::{Class, Dialect, Server, classify};
use headless_mysql::{Conn, Error, Refusal, Splitter};

use crate::scene::{connect, number, pod, run, settings, shared, single, table};

/// Those that a MariaDB understands, each with the class that it has on these pods, whose modes are
/// known.
fn statements() -> impl Iterator<Item = (String, Class)> {
    let pods = Dialect::UTF8
        .with_server(Server::MariaDb)
        .with_sql_mode("STRICT_TRANS_TABLES");
    let understood = corpus()
        .into_iter()
        .filter(|statement| statement.server != Some(Server::MySql));
    understood.map(move |Statement { sql, .. }| {
        let class = classify(&sql, pods).class();
        (sql, class)
    })
}

/// Runs a statement prepared, with as many parameters as it wants.
async fn prepared(c: &mut Conn, sql: &str) -> Result<(), Error> {
    let mut params = Vec::new();
    loop {
        let given = match params.as_slice() {
            [] => Params::Empty,
            some => Params::Positional(some.to_vec()),
        };
        match c.exec_drop(sql, given).await {
            Err(Error::Data { problem }) => assert!(params.len() < 10, "{problem}: {sql}"),
            other => return other,
        }
        params.push(Value::Int(1));
    }
}

/// `sql` was refused because it needs a connection of its own.
#[track_caller]
fn assert_needs_session<T: std::fmt::Debug>(unheld: &Result<T, Error>, sql: &str) {
    assert!(
        matches!(
            unheld,
            Err(Error::Refused {
                reason: Refusal::NeedsSession(_)
            })
        ),
        "{sql}: {unheld:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn c17_what_the_classifier_calls_a_read_no_replica_refuses() {
    let Some(pods) = shared().await else { return };
    let schema = include_str!("../../crates/mysql/tests/statements/schema.sql");
    pod(pods, 0).sql(&format!("USE shop; {schema}")).await.unwrap();
    pods.replicated().await.unwrap();
    let db = connect(pods, settings()).await;
    let (mut ran, mut failed) = (0, BTreeMap::<u16, BTreeSet<String>>::new());
    for (sql, _) in statements().filter(|(_, class)| *class == Class::Read) {
        let sql = sql.as_str();
        let as_text = db.read(async |c| {
            assert_ne!(c.pod(), "mysql-0", "{sql}");
            c.query_drop(sql).await
        });
        // A question mark means a parameter only where the statement is prepared.
        let as_text = if sql.contains('?') { Ok(()) } else { as_text.await };
        let as_prepared = db.read(async |c| prepared(c, sql).await).await;
        for result in [as_text, as_prepared] {
            match result {
                Ok(()) => ran += 1,
                Err(Error::Server { code, .. }) => {
                    failed.entry(code).or_default().insert(sql.to_owned());
                }
                Err(error) => panic!("{error}: {sql}"),
            }
        }
    }
    // Never "read-only" (1290) or "in a read-only transaction" (1792). What fails: one statement
    // for which the account lacks the privilege, and one that calls a function where double quotes
    // are those of names, and here is nonsense.
    let wanted = [(1044, "SHOW EVENTS"), (1064, r#"SELECT "touch_user"(1)"#)];
    assert_eq!(
        failed,
        wanted
            .map(|(code, sql)| (code, BTreeSet::from([sql.to_owned()])))
            .into()
    );
    assert!(ran > 300, "only {ran}");
}

/// Bytes that each pod's one connection has brought, by the server's count; the question included.
async fn received(db: &Splitter) -> Vec<u64> {
    let mut bytes = Vec::new();
    for pod in ["mysql-0", "mysql-1", "mysql-2"] {
        let status: Result<Option<(String, u64)>, Error> = db
            .on_pod(pod, async |c| c.query_first("SHOW STATUS LIKE 'Bytes_received'").await)
            .await;
        bytes.push(status.unwrap().unwrap().1);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn c16_what_is_refused_is_refused_by_query_and_exec_alike_and_not_a_byte_leaves() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    let first = received(&db).await;
    let before = received(&db).await;
    let mut refused = BTreeMap::new();
    for (sql, class) in statements().filter(|(_, class)| *class != Class::Read) {
        let sql = sql.as_str();
        let mut reasons = Vec::new();
        let in_read = db.read(async |c| {
            for result in [c.query_drop(sql).await, c.exec_drop(sql, ()).await] {
                match result {
                    Err(Error::Refused { reason }) => reasons.push(reason),
                    other => panic!("{sql}: {other:?}"),
                }
            }
            Ok::<_, Error>(())
        });
        in_read.await.unwrap();
        assert_eq!(reasons[0], reasons[1], "{sql}");
        *refused.entry(name(class)).or_insert(0) += 1;
    }
    let after = received(&db).await;
    let question: Vec<u64> = before
        .iter()
        .zip(&first)
        .map(|(after, before)| after - before)
        .collect();
    let all: Vec<u64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after - before)
        .collect();
    assert_eq!(all, question, "bytes reached a server");
    assert_eq!(refused.len(), 6, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c03_a_lock_by_name_excludes_because_all_take_it_on_one_server() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    let mut holder = db.session().await.unwrap();
    assert_eq!(number(&mut holder, "SELECT GET_LOCK('c03', 0)").await, Some(1));
    let mut other = db.session().await.unwrap();
    assert_eq!(number(&mut other, "SELECT GET_LOCK('c03', 0)").await, Some(0));
    for unheld in [
        db.query::<u64>("SELECT GET_LOCK('c03', 0)").await,
        db.exec("DO GET_LOCK('c03', 0)", ()).await,
    ] {
        assert_needs_session(&unheld, "GET_LOCK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c04_what_a_statement_left_is_asked_on_its_connection() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    run(&db, "CREATE TABLE c04 (id INT AUTO_INCREMENT PRIMARY KEY, n INT)")
        .await
        .unwrap();
    let inserted: Result<_, Error> = db
        .write(async |c| {
            c.query_drop("INSERT INTO c04 (n) VALUES (7), (8)").await?;
            let (by_driver, rows) = (c.last_insert_id(), c.affected_rows());
            Ok((by_driver, rows, c.query_first::<u64>("SELECT LAST_INSERT_ID()").await?))
        })
        .await;
    assert_eq!(inserted.unwrap(), (Some(1), 2, Some(1)));
    let on_a_replica = db.read(async |c| c.query::<u64>("SELECT LAST_INSERT_ID()").await).await;
    assert!(matches!(on_a_replica, Err(Error::Refused { .. })), "{on_a_replica:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c05_a_sequence_gives_its_values_on_the_primary() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    run(&db, "CREATE SEQUENCE c05").await.unwrap();
    pods.replicated().await.unwrap();
    let mut values = Vec::new();
    for sql in ["SELECT NEXTVAL(c05)", "SELECT NEXT VALUE FOR c05"].repeat(5) {
        values.extend(db.query::<u64>(sql).await.unwrap());
    }
    assert_eq!(values, (1..=10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_analyze_executes_and_so_runs_on_the_primary_only() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "c10").await;
    run(&db, "INSERT INTO c10 (id) VALUES (1), (2)").await.unwrap();
    let sql = "ANALYZE FORMAT=JSON DELETE FROM c10 WHERE id = 1";
    let in_read = db.read(async |c| c.query_drop(sql).await).await;
    assert!(matches!(in_read, Err(Error::Refused { .. })), "{in_read:?}");
    db.query::<String>(sql).await.unwrap();
    let left = db.write(async |c| c.query::<u64>("SELECT id FROM c10").await).await;
    assert_eq!(left.unwrap(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_a_function_that_writes_is_sent_to_the_primary() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "c12").await;
    let create = "CREATE FUNCTION shop.c12_put(i INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA \
                  BEGIN INSERT INTO c12 (id) VALUES (i); RETURN i; END";
    // The client program would end the statement at the first semicolon.
    pod(pods, 0)
        .sql(&format!(
            "DELIMITER //\n{create}//\nGRANT EXECUTE ON shop.* TO app@'127.0.0.0/255.0.0.0'//"
        ))
        .await
        .unwrap();
    assert_eq!(db.query::<u64>("SELECT c12_put(7)").await.unwrap(), [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_the_session_is_not_changed_on_a_connection_for_one_statement() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, single()).await;
    for (sql, _) in statements().filter(|(_, class)| *class == Class::Session) {
        let sql = sql.as_str();
        for unheld in [
            db.query::<u64>(sql).await.map(drop),
            db.exec::<u64>(sql, ()).await.map(drop),
            db.read(async |c| c.query_drop(sql).await).await,
            run(&db, sql).await,
            db.on_pod("mysql-1", async |c| c.query_drop(sql).await).await,
        ] {
            assert_needs_session(&unheld, sql);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c14_a_temporary_table_needs_a_session() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    for sql in [
        "CREATE TEMPORARY TABLE c14 (id INT)",
        "CREATE OR REPLACE TEMPORARY TABLE c14 AS SELECT 1",
    ] {
        let unheld = run(&db, sql).await;
        assert_needs_session(&unheld, sql);
        db.session().await.unwrap().query_drop(sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_what_a_pod_says_of_itself_is_asked_of_that_pod() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    for unnamed in [
        db.query::<u64>("SELECT @@server_id").await,
        db.read(async |c| c.query("SELECT @@server_id").await).await,
    ] {
        assert!(
            matches!(
                unnamed,
                Err(Error::Refused {
                    reason: Refusal::NeedsPod(_)
                })
            ),
            "{unnamed:?}"
        );
    }
    for (pod, id) in [("mysql-0", 100), ("mysql-1", 101), ("mysql-2", 102)] {
        let told = db
            .on_pod(pod, async |c| c.query::<u64>("SELECT @@server_id").await)
            .await;
        assert_eq!(told.unwrap(), [id]);
        let write = db
            .on_pod(pod, async |c| c.query_drop("DELETE FROM nothing").await)
            .await;
        assert!(matches!(write, Err(Error::Refused { .. })), "{write:?}");
    }
    let missing = db.on_pod("mysql-7", async |c| c.query_drop("SELECT 1").await).await;
    assert!(matches!(missing, Err(Error::NotSent(_))), "{missing:?}");
}
