//! The testkit's MariaDB pods do what the scenarios of the read/write splitter rely on:
//! replication, roles, and each way to fail.
//!
//! Must not live here: what the splitter makes of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use headless::{FoundBy, NegativeKind};
use headless_dns::DnsResolver;
use headless_testkit::mariadb::{Error, MariaDb, Pod, ProcessState, ServerStatus, Supervisor};
use headless_testkit::{Address, Cluster};
use headless_tests::support::example;
use headless_tests::support::mariadb::start;
use headless_tests::support::resolution::{builder, built, found, lines, no_endpoints};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// MariaDB's error numbers.
const READ_ONLY: Option<u16> = Some(1290);
const TOO_MANY_CONNECTIONS: Option<u16> = Some(1040);
const DENIED: Option<u16> = Some(1227);
const LOST_DURING_QUERY: Option<u16> = Some(2013);

/// Three pods with a table.
async fn shop() -> Option<MariaDb> {
    let db = start(MariaDb::builder()).await?;
    let create = "CREATE TABLE cart (id INT PRIMARY KEY)";
    pod(&db, 0).app_sql(create).await.expect("pod 0 begins as the primary");
    Some(db)
}

fn pod(db: &MariaDb, ordinal: u32) -> Pod {
    db.pod(ordinal).unwrap_or_else(|error| panic!("{error}"))
}

async fn put(pod: &Pod, id: u32) -> Result<(), Error> {
    let done = pod.app_sql(&format!("INSERT INTO cart VALUES ({id})")).await;
    done.map(|_| ())
}

/// What the application sees there.
async fn cart(pod: &Pod) -> Vec<u32> {
    let rows = pod.app_sql("SELECT id FROM cart ORDER BY id").await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}")).into_iter().flatten();
    rows.map(|id| id.parse().expect("a number")).collect()
}

async fn replicated(db: &MariaDb) {
    db.replicated().await.unwrap_or_else(|error| panic!("{error}"));
}

async fn promote(db: &MariaDb, ordinal: u32) {
    db.promote(ordinal).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(db.primary(), ordinal);
}

async fn started(pod: &Pod) {
    pod.start().await.unwrap_or_else(|error| panic!("{error}"));
}

async fn server(pod: &Pod) -> ServerStatus {
    pod.status().await.server.expect("it answers")
}

/// Ordinals of the pods that accept writes.
async fn writers(db: &MariaDb) -> Vec<u32> {
    let mut writers = Vec::new();
    for pod in db.pods() {
        if !server(&pod).await.is_read_only {
            writers.push(pod.ordinal());
        }
    }
    writers
}

fn resolver(db: &MariaDb) -> DnsResolver {
    built(builder(db.cluster().dns_addr(), &db.service()))
}

fn line(pod: &Pod) -> String {
    format!("{} ({}) #{}", pod.name(), pod.addr(), pod.ordinal())
}

#[tokio::test]
async fn what_is_written_on_the_primary_appears_on_the_replicas() {
    let Some(db) = shop().await else { return };
    put(&pod(&db, 0), 7).await.expect("the primary accepts it");
    replicated(&db).await;
    for pod in db.pods() {
        assert_eq!(cart(&pod).await, [7], "{}", pod.name());
    }
    assert_eq!(writers(&db).await, [0]);
}

#[tokio::test]
async fn the_application_has_no_more_rights_than_it_needs() {
    let Some(db) = shop().await else { return };
    replicated(&db).await;
    for ordinal in [1, 2] {
        let refused = put(&pod(&db, ordinal), 7).await.expect_err("a replica");
        assert_eq!(refused.code(), READ_ONLY, "{refused}");
    }
    for forbidden in ["SET GLOBAL read_only = 0", "SHOW SLAVE STATUS", "STOP SLAVE"] {
        let refused = pod(&db, 1).app_sql(forbidden).await.expect_err(forbidden);
        assert_eq!(refused.code(), DENIED, "{refused}");
    }
}

#[tokio::test]
async fn the_primary_moves_there_and_back() {
    let Some(db) = shop().await else { return };
    for (round, ordinal) in [1, 0, 2, 2, 0].into_iter().enumerate() {
        promote(&db, ordinal).await;
        assert_eq!(writers(&db).await, [ordinal]);
        put(&pod(&db, ordinal), round as u32)
            .await
            .expect("the new primary accepts it");
        replicated(&db).await;
        for pod in db.pods() {
            assert_eq!(
                cart(&pod).await,
                (0..=round as u32).collect::<Vec<_>>(),
                "{}",
                pod.name()
            );
        }
    }
}

#[tokio::test]
async fn each_pod_comes_back_from_a_kill_and_catches_up() {
    let Some(db) = shop().await else { return };
    for ordinal in 0..3 {
        let killed = pod(&db, ordinal);
        killed.kill().await;
        assert!(
            TcpStream::connect(killed.addr()).await.is_err(),
            "connections are refused"
        );
        assert_eq!(killed.status().await.process, ProcessState::Down);
        let unanswered = killed.sql("SELECT 1").await.expect_err("it is dead");
        assert!(matches!(unanswered, Error::Down { .. }), "{unanswered}");
        if ordinal > 0 {
            put(&pod(&db, 0), ordinal).await.expect("the primary lives");
        }
        started(&killed).await;
        assert_eq!(writers(&db).await, [0]);
    }
    put(&pod(&db, 0), 3).await.expect("it accepts writes again");
    replicated(&db).await;
    for pod in db.pods() {
        assert_eq!(cart(&pod).await, [1, 2, 3], "{}", pod.name());
    }
}

#[tokio::test]
async fn a_dead_primary_is_succeeded_and_comes_back_as_a_replica() {
    let Some(db) = shop().await else { return };
    pod(&db, 1).stop_applier().await.expect("a replica");
    put(&pod(&db, 0), 1).await.expect("the primary accepts it");
    replicated_to(&db, 2).await;
    pod(&db, 2).kill().await;
    pod(&db, 0).kill().await;
    // It has received the row and not applied it.
    promote(&db, 1).await;
    assert_eq!(cart(&pod(&db, 1)).await, [1]);
    put(&pod(&db, 1), 2).await.expect("the successor accepts it");
    started(&pod(&db, 0)).await;
    started(&pod(&db, 2)).await;
    assert_eq!(writers(&db).await, [1]);
    replicated(&db).await;
    for pod in db.pods() {
        assert_eq!(cart(&pod).await, [1, 2], "{}", pod.name());
    }
}

/// Waits until this replica has what the primary has; the others may lag.
async fn replicated_to(db: &MariaDb, ordinal: u32) {
    let position = server(&pod(db, db.primary())).await.position;
    let wait = format!("SELECT MASTER_GTID_WAIT('{position}', 10)");
    let reached = pod(db, ordinal).sql(&wait).await.expect("it answers");
    assert_eq!(reached, [["0"]]);
}

#[tokio::test]
async fn a_replica_that_lacks_what_another_has_is_not_promoted() {
    let Some(db) = shop().await else { return };
    replicated(&db).await;
    pod(&db, 1).sql("STOP SLAVE IO_THREAD").await.expect("it answers");
    put(&pod(&db, 0), 1).await.expect("the primary accepts it");
    replicated_to(&db, 2).await;
    pod(&db, 0).kill().await;
    let refused = db.promote(1).await.expect_err("the row would be lost");
    assert!(
        matches!(&refused, Error::Behind { other, .. } if other == "mysql-2"),
        "{refused}"
    );
    promote(&db, 2).await;
    replicated(&db).await;
    assert_eq!(cart(&pod(&db, 1)).await, [1]);
}

#[tokio::test]
async fn an_emptied_primary_knows_less_than_its_replicas() {
    let Some(db) = shop().await else { return };
    put(&pod(&db, 0), 1).await.expect("the primary accepts it");
    replicated(&db).await;
    pod(&db, 0).wipe().await.expect("the volume is emptied");
    started(&pod(&db, 0)).await;
    assert_eq!(
        writers(&db).await,
        [0],
        "it takes its place, as a StatefulSet's pod 0 would"
    );
    assert_eq!(server(&pod(&db, 0)).await.position, "");
    let gone = pod(&db, 0)
        .app_sql("SHOW TABLES")
        .await
        .expect("the account and the schema are there");
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(cart(&pod(&db, 1)).await, [1]);

    promote(&db, 1).await;
    replicated(&db).await;
    assert_eq!(cart(&pod(&db, 0)).await, [1], "it replicated from the beginning");
}

#[tokio::test]
async fn a_frozen_pod_accepts_connections_and_says_nothing() {
    let Some(db) = shop().await else { return };
    let frozen = pod(&db, 2);
    frozen.pause().await.expect("it runs");
    assert_eq!(frozen.status().await.process, ProcessState::Paused);
    let mut stream = TcpStream::connect(frozen.addr()).await.expect("the kernel accepts it");
    let refused = db.promote(1).await.expect_err("a frozen pod may wake up");
    assert!(matches!(refused, Error::Paused { .. }), "{refused}");
    put(&pod(&db, 0), 1).await.expect("the primary does not wait for it");
    let early = stream.try_read(&mut [0; 16]).expect_err("no greeting");
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);

    frozen.start().await.expect("a paused server is resumed");
    assert_ne!(stream.read(&mut [0; 16]).await.expect("the greeting"), 0);
    replicated(&db).await;
    assert_eq!(cart(&frozen).await, [1]);
}

#[tokio::test]
async fn a_stopped_applier_lets_the_lag_grow() {
    let Some(db) = shop().await else { return };
    replicated(&db).await;
    let stale = pod(&db, 1);
    stale.stop_applier().await.expect("a replica");
    put(&pod(&db, 0), 1).await.expect("the primary accepts it");
    replicated_to(&db, 2).await;
    assert!(cart(&stale).await.is_empty());
    let replica = server(&stale).await.replica.expect("a replica");
    assert_eq!((replica.applies.as_str(), replica.seconds_behind), ("No", None));
    // It stays stopped over a restart.
    stale.kill().await;
    started(&stale).await;
    assert!(cart(&stale).await.is_empty());

    stale.start_applier().await.expect("a replica");
    replicated(&db).await;
    assert_eq!(cart(&stale).await, [1]);
    let refused = pod(&db, 0)
        .stop_applier()
        .await
        .expect_err("the primary applies nothing");
    assert!(matches!(refused, Error::IsPrimary { .. }), "{refused}");
}

#[tokio::test]
async fn a_delayed_replica_says_so_and_can_be_promoted() {
    let Some(db) = shop().await else { return };
    let late = pod(&db, 1);
    late.delay(3600).await.expect("a replica");
    put(&pod(&db, 0), 1).await.expect("the primary accepts it");
    assert_eq!(server(&late).await.replica.expect("a replica").delay_seconds, 3600);
    assert!(cart(&late).await.is_empty(), "an hour is not over");
    promote(&db, 1).await;
    assert_eq!(cart(&late).await, [1], "with the promotion the delay ended");
    late.delay(1).await.expect_err("a primary has none");
}

#[tokio::test]
async fn a_replica_can_be_made_a_second_writer() {
    let Some(db) = shop().await else { return };
    replicated(&db).await;
    pod(&db, 2).set_read_only(false).await.expect("it answers");
    assert_eq!(writers(&db).await, [0, 2]);
    put(&pod(&db, 2), 9).await.expect("a stray write");
    assert_eq!(cart(&pod(&db, 2)).await, [9]);
    pod(&db, 2).set_read_only(true).await.expect("it answers");
    let refused = put(&pod(&db, 2), 10).await.expect_err("a replica again");
    assert_eq!(refused.code(), READ_ONLY);
}

#[tokio::test]
async fn connections_run_out() {
    let Some(db) = shop().await else { return };
    let busy = pod(&db, 1);
    busy.sql("SET GLOBAL max_connections = 10").await.expect("it answers");
    let mut taken = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(busy.addr()).await.expect("it listens");
        // With the greeting the connection counts.
        assert_ne!(stream.read(&mut [0; 128]).await.expect("the greeting"), 0);
        taken.push(stream);
    }
    let refused = busy.app_sql("SELECT 1").await.expect_err("all are taken");
    assert_eq!(refused.code(), TOO_MANY_CONNECTIONS, "{refused}");
}

#[tokio::test]
async fn the_answer_to_a_commit_is_lost_and_the_commit_is_not() {
    let Some(db) = start(MariaDb::builder().pods(2).proxied()).await else {
        return;
    };
    let primary = pod(&db, 0);
    primary
        .app_sql("CREATE TABLE cart (id INT PRIMARY KEY)")
        .await
        .expect("forwarded");
    primary.cut_answer_to("commit").expect("there is a proxy");
    put(&primary, 1).await.expect("not a commit of its own");
    let commit = "START TRANSACTION; INSERT INTO cart VALUES (2); COMMIT";
    let lost = primary.app_sql(commit).await.expect_err("the answer is cut");
    assert_eq!(lost.code(), LOST_DURING_QUERY, "{lost}");
    assert_eq!(cart(&primary).await, [1, 2], "and nothing else is");
    replicated(&db).await;
    assert_eq!(cart(&pod(&db, 1)).await, [1, 2]);
}

#[tokio::test]
async fn without_a_proxy_nothing_can_be_cut() {
    let Some(db) = start(MariaDb::builder().pods(1)).await else {
        return;
    };
    let refused = pod(&db, 0)
        .cut_answer_to("commit")
        .expect_err("the server's own socket");
    assert!(refused.to_string().contains("proxied"), "{refused}");
    let none = db.pod(1).expect_err("there is one");
    assert!(none.to_string().contains("mysql-0 to mysql-0"), "{none}");
}

#[tokio::test]
async fn two_instances_share_nothing() {
    let Some(first) = shop().await else { return };
    let Some(second) = shop().await else { return };
    let addresses: BTreeSet<Ipv4Addr> = first.pods().chain(second.pods()).map(|pod| pod.ip()).collect();
    assert_eq!(addresses.len(), 6);
    assert_ne!(first.cluster().dns_addr(), second.cluster().dns_addr());
    put(&pod(&first, 0), 1).await.expect("a primary");
    replicated(&first).await;
    replicated(&second).await;
    assert!(cart(&pod(&second, 0)).await.is_empty());
    drop(first);
    put(&pod(&second, 0), 2).await.expect("it lives on");
}

#[tokio::test]
async fn dns_names_the_pods_by_the_service() {
    let settings = MariaDb::builder().cluster(Cluster::builder().ttl(1)).pods(2);
    let Some(db) = start(settings).await else { return };
    assert_eq!(db.service(), "mysql-headless.default.svc:3306");
    let resolver = resolver(&db);
    let answer = found(&resolver).await;
    assert_eq!(answer.found_by, FoundBy::ServiceSrv);
    assert_eq!(answer.ttl, Duration::from_secs(1));
    assert_eq!(lines(&answer), [line(&pod(&db, 0)), line(&pod(&db, 1))]);

    pod(&db, 0).kill().await;
    assert_eq!(found(&resolver).await.endpoints.len(), 2, "DNS still lists both");
    pod(&db, 0).set_ready(false).expect("it is there");
    assert_eq!(lines(&found(&resolver).await), [line(&pod(&db, 1))]);
    pod(&db, 1).evict().await;
    assert_eq!(no_endpoints(&resolver).await.kind, NegativeKind::NoSuchName);
    pod(&db, 0).set_ready(true).expect("it is there");
    started(&pod(&db, 1)).await;
    assert_eq!(lines(&found(&resolver).await), [line(&pod(&db, 0)), line(&pod(&db, 1))]);
}

#[tokio::test]
async fn an_address_is_reused_by_another_pod() {
    let Some(db) = shop().await else { return };
    let (primary, replica) = (pod(&db, 0), pod(&db, 2));
    let old = primary.ip();
    primary.evict().await;
    replica.start_at(Address::At(old)).await.expect("the address is free");
    let taken = primary.start().await.expect_err("the address has a new owner");
    assert!(taken.to_string().contains("mysql-2"), "{taken}");
    primary.start_at(Address::New).await.expect("there are more");
    assert_ne!(primary.ip(), old);
    let expected: Vec<String> = db.pods().map(|pod| line(&pod)).collect();
    assert_eq!(lines(&found(&resolver(&db)).await), expected);
    assert_eq!(writers(&db).await, [0]);

    put(&primary, 1).await.expect("it is still the primary");
    replicated(&db).await;
    assert_eq!(cart(&replica).await, [1], "the replicas have followed it");
    assert_eq!(replica.sql("SELECT @@server_id").await.expect("it answers"), [["102"]]);
}

#[tokio::test]
async fn pods_can_be_kept_by_another_process_and_die_with_it() {
    if start(MariaDb::builder().pods(1)).await.is_none() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("headless-supervisor-{}", std::process::id()));
    assert!(
        Supervisor::find(&dir)
            .await
            .expect("no directory is no error")
            .is_none()
    );
    let mut keeper = keep(&dir).await;
    let pods = Supervisor::find(&dir).await.expect("it answers").expect("it is there");
    let resolver = built(builder(pods.dns_addr(), pods.service()));
    let answer = found(&resolver).await;
    assert_eq!(answer.endpoints.len(), 3);

    let status = pods.ask("promote 1").await.expect("it is done");
    let writable: Vec<&str> = status.lines().filter(|line| line.contains("writable")).collect();
    assert!(writable.len() == 1 && writable[0].starts_with("mysql-1"), "{status}");
    for (request, named) in [
        ("kill 3", "mysql-3"),
        ("kill", "`kill`"),
        ("lag 0 many", "\"many\""),
        ("lag 1 1", "primary"),
    ] {
        let refused = pods.ask(request).await.expect_err(request);
        assert!(refused.to_string().contains(named), "{request}: {refused}");
    }

    let pod = answer.endpoints.first().expect("a pod").addr();
    let mut connected = TcpStream::connect(pod).await.expect("it listens");
    keeper.kill().expect("it runs");
    keeper.wait().expect("it ends");
    // Its end, clean or not, is the server's.
    let _ = connected.read_to_end(&mut Vec::new()).await;

    let mut next = keep(&dir).await;
    let pods = Supervisor::find(&dir)
        .await
        .expect("it answers")
        .expect("the old socket was replaced");
    pods.ask("down").await.expect("it ends");
    assert!(next.wait().expect("it ends").success());
    assert!(Supervisor::find(&dir).await.expect("no socket is no error").is_none());
    std::fs::remove_dir(&dir).expect("nothing is left in it");
}

/// Starts the program that keeps pods; returns when they are there.
async fn keep(dir: &std::path::Path) -> std::process::Child {
    let dir = dir.to_owned();
    let start = move || {
        let mut keeper = Command::new(example::example("mysql_pods"))
            .arg(dir)
            .arg("up")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(keeper.stdout.take().expect("a pipe"));
        let mut lines = output.lines().map(|line| line.expect("text"));
        assert!(
            lines.any(|line| line.starts_with("Running")),
            "it ended before its pods ran"
        );
        keeper
    };
    tokio::task::spawn_blocking(start).await.expect("it ran")
}
