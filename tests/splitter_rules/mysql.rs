//! F11, and what is different on MySQL: the family found out by asking, GTID sets, super_read_only,
//! the waits, groups. On servers that only speak like one (`fake.rs`): the project has no MySQL to
//! test with.

use std::time::Duration;

use headless_mysql::gtid::{Flavor, Token};
use headless_mysql::{Error, ReadOptions, RouteReason, Splitter, Writer};
use headless_testkit::{Cluster, Workload};

use crate::fake::{Server, Servers};
use crate::scene::{run, seen, settings, try_connect};

const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429560";

/// A primary and two replicas, as far as they have got.
async fn scene(executed: [&str; 3]) -> (Cluster, Workload, Servers, Splitter) {
    let servers = executed.iter().zip(0..);
    let servers = servers.map(|(executed, ordinal)| Server::mysql(ordinal, executed, ordinal > 0));
    started(servers.collect()).await
}

async fn started(servers: Vec<Server>) -> (Cluster, Workload, Servers, Splitter) {
    let (cluster, set, servers) = Servers::start(servers).await;
    let db = try_connect(&cluster, "db:3306", settings()).await;
    let db = db.unwrap_or_else(|error| panic!("{error}"));
    (cluster, set, servers, db)
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_the_family_of_servers_is_found_out_by_asking_whatever_the_version() {
    for (version, mariadb) in [
        ("8.0.40", false),
        ("8.4.3-cluster", false),
        ("9.1.0", false),
        ("26.10.0", false),
        ("8.0.36-28", false),
        ("10.11.19-MariaDB", true),
        ("5.5.5-10.11.19-MariaDB-log", true),
        ("12.0.2-MariaDB", true),
    ] {
        let mut server = Server::mysql(0, &format!("{UUID}:1-5"), false);
        version.clone_into(&mut server.version);
        if mariadb {
            for (name, value) in [("gtid_slave_pos", ""), ("gtid_binlog_pos", "0-100-5")] {
                server.variables.insert(name, value.to_owned());
            }
            server
                .variables
                .retain(|name, _| !["gtid_executed", "server_uuid", "super_read_only"].contains(name));
        }
        let (_cluster, _set, _servers, db) = started(vec![server]).await;
        let overview = db.overview();
        assert_eq!(overview.writer, Writer::Pod("mysql-0".to_owned()), "{version}");
        let flavor = if mariadb { Flavor::MariaDb } else { Flavor::MySql };
        assert_eq!(overview.pods[0].position.flavor(), Some(flavor), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn super_read_only_makes_a_replica_and_a_set_of_gtids_is_a_token() {
    let executed = format!("{UUID}:1-5:7,\n{UUID}:billing:1-3");
    let (_cluster, _set, servers, db) = scene([&executed, &executed, &executed]).await;
    let overview = db.overview();
    assert_eq!(overview.primary().unwrap().name, "mysql-0");
    assert_eq!(overview.replicas().count(), 2);
    let token = db.token().await.unwrap();
    assert_eq!(token, executed.parse::<Token>().unwrap());
    assert!(token.to_string().contains(":billing:1-3"), "{token}");
    let options = ReadOptions::new().sees(token);
    let read = db.read_with(&options, async |c| {
        assert_eq!(c.query::<u64>("SELECT 7").await?, [7]);
        Ok::<_, Error>((c.pod(), c.explain().reason))
    });
    let (pod, why) = read.await.unwrap();
    assert_eq!(why, RouteReason::HasToken);
    assert_ne!(pod, "mysql-0");
    let waited = servers
        .all()
        .iter()
        .flat_map(|server| server.asked.clone())
        .any(|sql| sql.contains("WAIT_FOR"));
    assert!(!waited, "the positions from the last probe say it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_token_always_has_an_end() {
    let executed = format!("{UUID}:1-8");
    let (_cluster, _set, servers, db) = scene([&executed, &executed, &executed]).await;
    servers.all()[0]
        .variables
        .insert("gtid_executed", format!("{UUID}:1-9"));
    for (reached, on_primary) in [("0", false), ("1", true)] {
        for server in servers.all().iter_mut() {
            (server.wait, server.asked) = (reached, Vec::new());
        }
        // Less than a millisecond, and zero above all, would be for ever here.
        for wait in [Duration::from_millis(250), Duration::from_micros(1)] {
            let options = ReadOptions::new().sees(db.token().await.unwrap()).token_wait(wait);
            let read = db.read_with(&options, async |c| {
                c.query_drop("SELECT 7").await?;
                Ok::<_, Error>((c.pod() == "mysql-0", c.explain().reason))
            });
            let (primary, why) = read.await.unwrap();
            if wait > Duration::from_millis(1) {
                assert_eq!(primary, on_primary, "{why}");
                assert_eq!(matches!(why, RouteReason::WaitedForToken(_)), !on_primary, "{why}");
            }
        }
        let all = servers.all();
        let asked = |ordinal: usize| {
            all[ordinal]
                .asked
                .iter()
                .filter(|sql| sql.contains("WAIT_FOR_EXECUTED"))
        };
        assert_eq!(asked(0).count(), 0, "the primary is never waited on");
        let waits: Vec<&String> = asked(1).chain(asked(2)).collect();
        assert!(!waits.is_empty());
        for sql in waits {
            let (set, seconds) = sql.split_once("', ").unwrap();
            assert!(set.ends_with(&format!("('{UUID}:1-9")), "{sql}");
            assert!(seconds.trim_end_matches(')').parse::<f64>().unwrap() > 0.0, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_the_primary_is_the_member_that_the_group_names() {
    let executed = format!("{UUID}:1-5");
    let mut servers: Vec<Server> = (0..3)
        .map(|ordinal| Server::mysql(ordinal, &executed, ordinal == 2))
        .collect();
    // Pod 0 could be written to, but is no longer what it was.
    servers[0].group = Some(("SECONDARY", "RECOVERING"));
    servers[1].group = Some(("PRIMARY", "ONLINE"));
    servers[2].group = Some(("SECONDARY", "ONLINE"));
    let (_cluster, _set, servers, db) = started(servers).await;
    assert_eq!(db.overview().writer, Writer::Pod("mysql-1".to_owned()));
    run(&db, "INSERT INTO cart VALUES (1)").await.unwrap();
    assert_eq!(servers.all()[1].asked, ["INSERT INTO cart VALUES (1)"]);
    // The group elects another one.
    servers.all()[1].group = Some(("SECONDARY", "ONLINE"));
    servers.all()[0].group = Some(("PRIMARY", "ONLINE"));
    let elected = Writer::Pod("mysql-0".to_owned());
    seen(&db, "pod 0 is elected", |pods| pods.writer == elected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_refusal_of_a_write_says_that_the_primary_has_moved() {
    let executed = format!("{UUID}:1-5");
    let (_cluster, _set, servers, db) = scene([&executed, &executed, &executed]).await;
    // The other numbers are the unit test's.
    let code = 1836;
    servers.all()[0].refuses = Some((code, "Running in read-only mode"));
    let error = run(&db, "INSERT INTO cart VALUES (1)").await.unwrap_err();
    assert!(
        matches!(&error, Error::ReadOnly { pod, code: found, .. } if pod == "mysql-0" && *found == code),
        "{error}"
    );
    assert!(error.is_not_sent());
    let asked: Vec<usize> = servers.all().iter().map(|server| server.asked.len()).collect();
    assert_eq!(asked, [1, 0, 0], "not sent to another pod");
}
