//! What happens to the primary: reads go on, and each write that fails says truly what became of
//! it.

use headless::Role;
use headless_mysql::{Writer, WriterProblem};
use headless_testkit::mariadb::{MariaDb, Pod};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::ledger::{Outcome, Tally};
use crate::load::EACH;
use crate::scene::{NAMES, Scene, sign, status};

const ALL: [Option<Role>; 3] = [Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)];

/// What may become of a write while the primary dies. Before its end is noticed, connecting may
/// fail, and a transaction's beginning.
pub const UNTIL_IT_IS_BACK: [Outcome; 5] = [
    Outcome::Acknowledged,
    Outcome::MaybeCommitted,
    Outcome::NoWriter,
    Outcome::NotSent,
    Outcome::NotBegun,
];

/// Nothing else became of the writes, and no read without a token failed.
pub fn only(tally: &Tally, allowed: &[Outcome]) {
    let others = tally.outcomes().into_iter().any(|outcome| !allowed.contains(&outcome));
    assert!(!others, "{:?}: {:?}", tally.writes, tally.said);
    assert!(tally.plain_failed.is_empty(), "{:?}", tally.plain_failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_that_comes_back_has_lost_nothing() {
    let Some(scene) = Scene::under_load("kill -9 of the primary, and its restart").await else {
        return;
    };
    scene.pod(0).kill().await;
    scene.no_primary().await;
    scene.more(Outcome::NoWriter, 20).await;
    scene.plain_reads_go_on().await;
    scene.pod(0).start().await.unwrap();
    scene.roles(ALL).await;
    scene.more(Outcome::Acknowledged, 20).await;
    scene.all_go_on().await;
    let (tally, _) = scene.ends(&NAMES[..1]).await;
    only(&tally, &UNTIL_IT_IS_BACK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_promotion_is_followed_there_and_back() {
    let Some(scene) = Scene::under_load("planned promotion 0 → 1 → 0").await else {
        return;
    };
    for ordinal in [1, 0] {
        scene.pods.promote(ordinal).await.unwrap();
        scene.primary(ordinal as usize).await;
        scene.more(Outcome::Acknowledged, 20).await;
        scene.all_go_on().await;
    }
    scene.roles(ALL).await;
    let (tally, _) = scene.ends(&NAMES[..2]).await;
    // Nothing is left open: the old primary refuses, or nothing is sent.
    let outcomes = [
        Outcome::Acknowledged,
        Outcome::ReadOnly,
        Outcome::NoWriter,
        Outcome::Ambiguous,
        Outcome::NotSent,
    ];
    only(&tally, &outcomes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_is_followed_and_the_dead_primary_comes_back_as_a_replica() {
    let Some(mut scene) = Scene::under_load("kill -9 of the primary, and its succession").await else {
        return;
    };
    // What only the dead one has is lost by the nature of asynchronous replication, so there must
    // be no such thing.
    scene.calm().await;
    scene.pod(0).kill().await;
    scene.begin();
    scene.more(Outcome::NoWriter, 20).await;
    scene.pods.promote(1).await.unwrap();
    scene.primary(1).await;
    scene.more(Outcome::Acknowledged, 20).await;
    scene.pod(0).start().await.unwrap();
    scene
        .roles([Some(Role::Replica), Some(Role::Primary), Some(Role::Replica)])
        .await;
    scene.read_from(NAMES[0]).await;
    let (tally, _) = scene.ends(&NAMES[..2]).await;
    only(&tally, &UNTIL_IT_IS_BACK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_comes_back_empty_takes_no_write() {
    let Some(mut scene) = Scene::under_load("pod 0 restarted with an empty data directory").await else {
        return;
    };
    // What was not replicated goes with the volume.
    scene.calm().await;
    scene.pod(0).wipe().await.unwrap();
    scene.no_primary().await;
    let before = scene.ledger.tally().count(Outcome::Acknowledged);
    scene.begin();
    scene.pod(0).start().await.unwrap();
    sign(&scene.pod(0)).await;
    let is_diverged =
        |writer: &Writer| matches!(writer, Writer::Unavailable(WriterProblem::Diverged { pod, .. }) if pod == NAMES[0]);
    scene
        .overview_when("pod 0 lacks everything", |overview| is_diverged(&overview.writer))
        .await;
    scene.more(Outcome::Diverged, 20).await;
    scene.plain_reads_go_on().await;
    assert_eq!(scene.ledger.tally().count(Outcome::Acknowledged), before);
    assert!(scene.ledger.tally().said[&Outcome::Diverged].contains("mysql-0 is writable, but lacks"));

    scene.pods.promote(1).await.unwrap();
    scene.primary(1).await;
    scene.more(Outcome::Acknowledged, 20).await;
    scene
        .roles([Some(Role::Replica), Some(Role::Primary), Some(Role::Replica)])
        .await;
    scene.read_from(NAMES[0]).await;
    let (tally, _) = scene.ends(&NAMES[..2]).await;
    only(
        &tally,
        &[
            Outcome::Acknowledged,
            Outcome::NoWriter,
            Outcome::Diverged,
            Outcome::Ambiguous,
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writable_pods_take_no_write() {
    let Some(scene) = Scene::under_load("read_only off on a replica").await else {
        return;
    };
    scene.pod(2).set_read_only(false).await.unwrap();
    let both = Writer::Ambiguous(vec![NAMES[0].to_owned(), NAMES[2].to_owned()]);
    scene
        .overview_when("two writers", |overview| overview.writer == both)
        .await;
    scene.more(Outcome::Ambiguous, 20).await;
    scene.plain_reads_go_on().await;
    let said = &scene.ledger.tally().said[&Outcome::Ambiguous];
    assert!(said.contains("mysql-0, mysql-2"), "{said}");
    scene.pod(2).set_read_only(true).await.unwrap();
    scene.roles(ALL).await;
    scene.more(Outcome::Acknowledged, 20).await;
    scene.all_go_on().await;
    let (tally, _) = scene.ends(&NAMES[..1]).await;
    only(&tally, &[Outcome::Acknowledged, Outcome::Ambiguous]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_connections_run_out_other_pods_read_and_writes_are_not_sent() {
    let Some(mut scene) = Scene::new("connections exhausted (1040)", MariaDb::builder(), |settings| settings).await
    else {
        return;
    };
    let (primary, replica) = (exhaust(&scene.pod(0)).await, exhaust(&scene.pod(1)).await);
    scene.begin();
    // One of each writer: a connection is waited for as long as it may take.
    scene.more(Outcome::NotSent, 3 * EACH as u64).await;
    scene.plain_reads_go_on().await;
    let tally = scene.ledger.tally();
    assert_eq!(tally.outcomes(), [Outcome::NotSent].into(), "{:?}", tally.said);
    assert!(tally.said[&Outcome::NotSent].contains("error 1040"), "{:?}", tally.said);
    assert_eq!(tally.read_from.keys().collect::<Vec<_>>(), [NAMES[2]]);
    drop(primary);
    scene.more(Outcome::Acknowledged, 20).await;
    // Often the replica that refuses is the one that is known to have the token.
    scene.all_go_on().await;
    let tally = scene.ledger.tally();
    assert_eq!((tally.causal_failed, tally.read_from.get(NAMES[1])), (Vec::new(), None));
    drop(replica);
    scene.read_from(NAMES[1]).await;
    scene.all_go_on().await;
    let (tally, _) = scene.ends(&NAMES[..1]).await;
    only(&tally, &[Outcome::Acknowledged, Outcome::NotSent]);
}

/// Takes all the connections that the server allows.
async fn exhaust(pod: &Pod) -> Vec<TcpStream> {
    // Connections that do not log in must not be closed.
    pod.sql("SET GLOBAL connect_timeout = 3600; SET GLOBAL max_connections = 10")
        .await
        .unwrap();
    let mut taken = Vec::new();
    loop {
        let mut stream = TcpStream::connect(pod.addr()).await.unwrap();
        let mut first = [0; 5];
        stream.read_exact(&mut first).await.unwrap();
        // SPEC(MySQL protocol, "Connection Phase"): the greeting begins with 10, a refusal with
        // 255.
        if first[4] == 255 {
            return taken;
        }
        taken.push(stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_open_and_never_sent_again() {
    const CUTS: u64 = 5;
    let Some(mut scene) = Scene::new("COMMIT cut from its answer", MariaDb::builder().proxied(), |settings| {
        settings
    })
    .await
    else {
        return;
    };
    scene.load().await;
    for _ in 0..CUTS {
        scene.pod(0).cut_answer_to("COMMIT").unwrap();
        scene.more(Outcome::MaybeCommitted, 1).await;
        scene.more(Outcome::Acknowledged, 20).await;
    }
    assert!(
        status(&scene.db.overview(), 0).is_some_and(|pod| pod.role == Some(Role::Primary)),
        "it is no reason to doubt the pod"
    );
    let (tally, findings) = scene.ends(&NAMES[..1]).await;
    only(&tally, &[Outcome::Acknowledged, Outcome::MaybeCommitted]);
    assert_eq!(
        (tally.count(Outcome::MaybeCommitted), findings.committed_after_all),
        (CUTS, CUTS)
    );
}
