//! What is configured wrongly is reported at the start, or before anything is sent: by name, and
//! with what to do. It never leads to a wrong route.

use std::time::Duration;

use headless_mysql::statement::Reason;
use headless_mysql::{Account, Error, Refusal, Splitter, SplitterBuilder, StartError};
use headless_testkit::mariadb::{PASSWORD, USER};
use headless_testkit::{App, Cluster};

use crate::scene::{account, connect, own, pod, root, run, settings, shared, table, try_connect};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_database_is_said_at_the_start() {
    let Some(pods) = shared().await else { return };
    for (account, number, advice) in [
        (Account::new(USER, "wrong"), "1045", "MYSQL_PASSWORD"),
        (Account::new("unknown", PASSWORD), "1045", "MYSQL_USER"),
        (Account::new(USER, PASSWORD).database("nowhere"), "1044", "MYSQL_USER"),
    ] {
        let refused = try_connect(pods.cluster(), &pods.service(), Splitter::builder(account)).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, StartError::Connect(_)), "{error}");
        let text = error.to_string();
        for part in ["mysql-headless", "mysql-0: ", "mysql-2: ", number, advice] {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_exist_is_said_at_the_start() {
    let Some(pods) = shared().await else { return };
    root(
        &pod(pods, 0),
        "CREATE USER anywhere@'127.0.0.0/255.0.0.0' IDENTIFIED BY 'x'",
    )
    .await;
    root(&pod(pods, 0), "GRANT SELECT ON *.* TO anywhere@'127.0.0.0/255.0.0.0'").await;
    pods.replicated().await.unwrap();
    let account = Account::new("anywhere", "x").database("nowhere");
    let refused = try_connect(pods.cluster(), &pods.service(), Splitter::builder(account)).await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("1049") && text.contains("MYSQL_DATABASE") && text.contains("nowhere"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_mysql_is_said_at_the_start() {
    let cluster = Cluster::builder().namespace("shop").start().await.unwrap();
    for (name, app) in [("web", App::http()), ("echo", App::echo())] {
        let set = cluster
            .stateful_set(name)
            .service(name)
            .unnamed_port(3306)
            .replicas(2)
            .app(app);
        let _set = set.start().await.unwrap();
        let quick = settings().probe_timeout(Duration::from_millis(50));
        let text = try_connect(&cluster, &format!("{name}:3306"), quick)
            .await
            .unwrap_err()
            .to_string();
        assert!(text.contains(&format!("{name}-0: ")), "{text}");
        assert!(text.contains("MySQL") || text.contains("no answer within"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_without_ordinals_are_said_at_the_start() {
    let cluster = Cluster::builder().namespace("shop").start().await.unwrap();
    let web = cluster
        .deployment("web")
        .service("web")
        .unnamed_port(3306)
        .replicas(2)
        .app(App::none());
    let _web = web.start().await.unwrap();
    let error = try_connect(&cluster, "web:3306", settings()).await.unwrap_err();
    assert!(matches!(error, StartError::NoOrdinals { pods: 2, .. }), "{error}");
    assert!(error.to_string().contains("StatefulSet"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_cannot_be_is_named() {
    let cluster = Cluster::builder().namespace("shop").start().await.unwrap();
    let web = cluster
        .stateful_set("web")
        .service("web")
        .unnamed_port(3306)
        .replicas(1)
        .app(App::none());
    let _web = web.start().await.unwrap();
    let zero = Duration::ZERO;
    let wrong: [(&str, SplitterBuilder); 7] = [
        ("max_lag", settings().max_lag(zero)),
        ("max_lag", settings().max_lag(Duration::from_millis(100))),
        ("statement_timeout", settings().statement_timeout(zero)),
        ("probe_interval", settings().probe_interval(zero)),
        ("probe_timeout", settings().probe_timeout(zero)),
        (
            "max_connections_per_endpoint",
            settings().max_connections_per_endpoint(0),
        ),
        ("max_waiters_per_endpoint", {
            let mut pool = headless::PoolConfig::default();
            pool.max_waiters_per_endpoint = 0;
            settings().pool(pool)
        }),
    ];
    for (field, settings) in wrong {
        let refused = try_connect(&cluster, "web:3306", settings).await.unwrap_err();
        assert!(matches!(refused, StartError::Settings(_)), "{field}: {refused}");
        assert!(refused.to_string().contains(field), "{field}: {refused}");
    }
}

#[test]
fn a_variable_that_is_missing_in_the_environment_is_named() {
    if std::env::var_os("MYSQL_USER").is_none() {
        let error = Account::from_env().unwrap_err().to_string();
        assert!(error.contains("MYSQL_USER") && error.contains("not found"), "{error}");
    }
    let shown = format!("{:?}", account().database("shop"));
    assert!(shown.contains("shop") && !shown.contains("password"), "{shown}");
}

/// Pods whose settings are changed for all connections that are opened from now on.
async fn pods_with(global: &str) -> Option<(headless_testkit::mariadb::MariaDb, Splitter)> {
    let pods = own(2).await?;
    for ordinal in [0, 1] {
        root(&pod(&pods, ordinal), global).await;
    }
    let db = connect(&pods, settings()).await;
    table(&pods, &db, "cart").await;
    Some((pods, db))
}

/// The outcomes of this statement as a read, and through `query`.
async fn route(db: &Splitter, sql: &str) -> (Result<(), Error>, Result<Vec<String>, Error>) {
    (db.read(async |c| c.query_drop(sql).await).await, db.query(sql).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_ansi_quotes_on_the_servers_change_what_a_quote_is() {
    let Some((_pods, db)) = pods_with("SET GLOBAL sql_mode = 'ANSI_QUOTES'").await else {
        return;
    };
    run(&db, r#"INSERT INTO "cart" ("id") VALUES (1)"#).await.unwrap();
    let found = db.read(async |c| c.query::<u64>(r#"SELECT "id" FROM "cart" WHERE "n" = 0"#).await);
    let _not_yet_replicated_perhaps = found.await.unwrap();
    // A backslash in a name is a letter: the name ends before FOR UPDATE.
    let (read, _) = route(&db, r#"SELECT "n" AS "x\" FROM "cart" FOR UPDATE"#).await;
    assert!(matches!(read, Err(Error::Refused { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_without_backslash_escapes_a_text_ends_sooner() {
    let Some((_pods, db)) = pods_with("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'").await else {
        return;
    };
    // Elsewhere the lock would be inside of a text.
    let (read, _) = route(&db, r"SELECT 'a\' FROM cart WHERE id = 1 FOR UPDATE -- '").await;
    assert!(matches!(read, Err(Error::Refused { .. })), "{read:?}");
    db.read(async |c| c.query_drop(r"SELECT 'a\', id FROM cart").await)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_the_language_of_another_database_is_not_read() {
    let Some((_pods, db)) = pods_with("SET GLOBAL sql_mode = 'ORACLE'").await else {
        return;
    };
    let (read, auto) = route(&db, "SELECT 'x'").await;
    let Err(Error::Refused {
        reason: Refusal::NotARead(classification),
    }) = read
    else {
        panic!("{read:?}")
    };
    assert_eq!(classification.reason(), Reason::ForeignSqlMode);
    assert_eq!(auto.unwrap(), ["x"], "on the primary it does no harm");
}
