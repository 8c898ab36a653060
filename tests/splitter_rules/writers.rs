//! F2, F6, F8, F9 and F11 on real servers: which account may write, what is tried again, and what
//! is waited for. Servers that die, hang, change roles or lose their data are `splitter_faults.rs`.

use std::time::Duration;

use headless_mysql::{Account, Error, Refusal, Splitter, StalePolicy, WriterProblem};
use headless_testkit::mariadb::DATABASE;

use crate::scene::{closed, connect, own, pod, root, run, seen, settings, shared, table, under_way};

#[tokio::test(flavor = "multi_thread")]
async fn f2_an_account_that_could_write_to_a_replica_may_not_write() {
    let Some(pods) = shared().await else { return };
    let primary = pod(pods, 0);
    for (user, grants) in [
        (
            "f02_all",
            "GRANT ALL PRIVILEGES ON *.* TO f02_all@'127.0.0.0/255.0.0.0'",
        ),
        (
            "f02_admin",
            "GRANT READ ONLY ADMIN ON *.* TO f02_admin@'127.0.0.0/255.0.0.0'",
        ),
        (
            "f02_role",
            "CREATE ROLE f02; GRANT SUPER, READ ONLY ADMIN ON *.* TO f02; GRANT f02 TO f02_role@'127.0.0.0/255.0.0.0'; \
             SET DEFAULT ROLE f02 FOR f02_role@'127.0.0.0/255.0.0.0'",
        ),
    ] {
        let create = format!("CREATE USER {user}@'127.0.0.0/255.0.0.0' IDENTIFIED BY 'x'; {grants}");
        let usage = format!("GRANT CREATE, SELECT, INSERT ON {DATABASE}.* TO {user}@'127.0.0.0/255.0.0.0'");
        root(&primary, &format!("{create}; {usage}")).await;
        pods.replicated().await.unwrap();
        let account = || Account::new(user, "x").database(DATABASE);
        let db = connect(pods, Splitter::builder(account())).await;
        let sql = format!("CREATE TABLE {user} (id INT)");
        let refused = run(&db, &sql).await.unwrap_err();
        assert!(
            matches!(
                refused,
                Error::Refused {
                    reason: Refusal::Privileged(_)
                }
            ),
            "{user}: {refused}"
        );
        assert!(refused.to_string().contains("allow_privileged"), "{refused}");
        let session = db.session().await.unwrap_err();
        assert!(
            matches!(
                session,
                Error::Refused {
                    reason: Refusal::Privileged(_)
                }
            ),
            "{user}: {session}"
        );
        assert_eq!(
            db.read(async |c| c.query::<u64>("SELECT 1").await).await.unwrap(),
            [1],
            "reads are harmless"
        );
        let allowed = connect(pods, Splitter::builder(account()).allow_privileged()).await;
        run(&allowed, &sql).await.unwrap();
    }
}

/// The probes would notice in a minute; the first new connection notices at once.
#[tokio::test(flavor = "multi_thread")]
async fn f1_a_new_connection_to_a_primary_that_is_none_any_more_carries_no_write() {
    let Some(pods) = own(2).await else { return };
    let rare = Duration::from_secs(60);
    let db = connect(&pods, settings().max_lag(2 * rare).probe_interval(rare)).await;
    run(&db, "CREATE TABLE cart (id INT)").await.unwrap();
    pod(&pods, 0).set_read_only(true).await.unwrap();
    let primary = db.overview().primary().unwrap().key.clone();
    assert!(db.balancer().evict(&primary), "its connections are closed");
    let error = run(&db, "INSERT INTO cart VALUES (1)").await.unwrap_err();
    assert!(
        matches!(error, Error::NoWriter { .. }),
        "refused before it is sent: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_privileges_are_asked_once_for_each_probing_connection_and_not_for_each_write() {
    let Some(pods) = own(1).await else { return };
    let db = connect(&pods, settings()).await;
    let asked = async || {
        root(
            &pod(&pods, 0),
            "SHOW GLOBAL STATUS WHERE Variable_name = 'Com_show_grants'",
        )
        .await
    };
    let count = async || -> String {
        let sql = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'COM_SHOW_GRANTS'";
        assert_eq!(asked().await, "Com_show_grants");
        root(&pod(&pods, 0), sql).await
    };
    assert_eq!(count().await, "1");
    run(&db, "CREATE TABLE cart (id INT)").await.unwrap();
    for _ in 0..10 {
        run(&db, "INSERT INTO cart VALUES (1)").await.unwrap();
    }
    assert_eq!(count().await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_read_whose_connection_is_lost_goes_on_elsewhere_unless_rows_were_handed_out() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    for handed_out in [false, true] {
        let reads = tokio::spawn({
            let db = db.clone();
            async move {
                let mut places = Vec::new();
                let read = db.read(async |c| {
                    if handed_out {
                        c.query_drop("SELECT 1").await?;
                    }
                    places.push(c.pod());
                    let result = c.query::<u64>("SELECT SLEEP(1) + 7 /* f06 */").await;
                    places.push(c.pod());
                    result
                });
                (read.await, places)
            }
        });
        let (lost, id) = under_way(pods, "f06").await;
        root(&lost, &format!("KILL CONNECTION {id}")).await;
        let (result, places) = reads.await.unwrap();
        match (handed_out, result) {
            (false, Ok(rows)) => {
                assert_eq!(rows, [7]);
                assert_ne!(places[0], places[1], "it moved");
            }
            (true, Err(Error::Lost { pod, .. })) => assert_eq!(pod, lost.name()),
            (_, other) => panic!("handed out: {handed_out}; {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_read_that_finds_no_other_pod_says_so_from_then_on() {
    let Some(pods) = own(2).await else { return };
    let db = connect(&pods, settings().when_stale(StalePolicy::Error)).await;
    seen(&db, "a replica", |pods| pods.replicas().count() == 1).await;
    let read = tokio::spawn(async move {
        let read = db.read(async |c| {
            let first = c.query_drop("SELECT SLEEP(30) /* f06_alone */").await;
            let second = c.query_drop("SELECT 1").await;
            assert!(matches!(second, Err(Error::Lost { .. })), "{second:?}");
            assert_eq!((c.pod().as_str(), c.affected_rows()), ("mysql-1", 0));
            first
        });
        read.await
    });
    let (lost, id) = under_way(&pods, "f06_alone").await;
    root(&lost, &format!("KILL CONNECTION {id}")).await;
    let error = read.await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Lost { pod, .. } if pod == "mysql-1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_a_write_whose_connection_is_lost_is_not_sent_again() {
    let Some(pods) = shared().await else { return };
    let db = connect(pods, settings()).await;
    table(pods, &db, "f05").await;
    let write = tokio::spawn({
        let db = db.clone();
        async move { run(&db, "INSERT INTO f05 (id) SELECT 1 + SLEEP(5)").await }
    });
    let primary = pod(pods, 0);
    let (_, id) = under_way(pods, "INSERT INTO f05").await;
    root(&primary, &format!("KILL CONNECTION {id}")).await;
    let error = write.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::MaybeCommitted { .. }), "{error}");
    assert!(!error.is_not_sent());
    closed(&primary, id).await;
    assert_eq!(
        root(&primary, "SELECT COUNT(*) FROM shop.f05").await,
        "0",
        "killed before it wrote, and not sent again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_without_a_primary_a_write_fails_at_once_or_waits_for_one() {
    let Some(pods) = own(2).await else { return };
    let db = connect(&pods, settings()).await;
    table(&pods, &db, "cart").await;
    let waiting = connect(&pods, settings().wait_for_writer(Duration::from_secs(20))).await;
    pod(&pods, 0).set_read_only(true).await.unwrap();
    for db in [&db, &waiting] {
        seen(db, "no primary", |pods| pods.primary().is_none()).await;
    }
    let error = run(&db, "INSERT INTO cart (id) VALUES (1)").await.unwrap_err();
    match &error {
        Error::NoWriter {
            problem: WriterProblem::NoneWritable { pods },
            ..
        } => {
            let names: Vec<&str> = pods.iter().map(|said| said.pod.as_str()).collect();
            assert_eq!(names, ["mysql-0", "mysql-1"]);
        }
        other => panic!("{other}"),
    }
    assert!(
        error.is_not_sent() && error.to_string().contains("read_only is ON"),
        "{error}"
    );
    assert_eq!(
        db.read(async |c| c.query::<u64>("SELECT id FROM cart").await)
            .await
            .unwrap(),
        [0; 0]
    );

    let waits = tokio::spawn({
        let waiting = waiting.clone();
        async move { run(&waiting, "INSERT INTO cart (id) VALUES (2)").await }
    });
    // Two probes of all pods later it still waits.
    let mut overview = waiting.overview();
    for _ in 0..4 {
        overview = waiting.changed(&overview).await;
    }
    assert!(!waits.is_finished());
    pod(&pods, 0).set_read_only(false).await.unwrap();
    waits.await.unwrap().unwrap();
    assert_eq!(
        root(&pod(&pods, 0), "SELECT GROUP_CONCAT(id) FROM shop.cart").await,
        "2"
    );
}
