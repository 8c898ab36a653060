//! What happens to replicas: reads go on, and writes notice nothing.

use std::time::Duration;

use headless::Role;
use headless_mysql::Overview;
use headless_testkit::mariadb::MariaDb;

use crate::ledger::{Outcome, Tally};
use crate::scene::{NAMES, Scene, status};

/// No operation failed.
fn unnoticed(tally: &Tally) {
    let failed = (&tally.plain_failed, &tally.causal_failed);
    assert_eq!(failed, (&Vec::new(), &Vec::new()));
    assert_eq!(tally.outcomes(), [Outcome::Acknowledged].into(), "{:?}", tally.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_costs_no_operation() {
    let Some(scene) = Scene::under_load("kill -9 of a replica").await else {
        return;
    };
    scene.pod(1).kill().await;
    scene.roles([Some(Role::Primary), None, Some(Role::Replica)]).await;
    scene.all_go_on().await;
    scene.pod(1).start().await.unwrap();
    scene
        .roles([Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)])
        .await;
    scene.read_from(NAMES[1]).await;
    unnoticed(&scene.ends(&NAMES[..1]).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_leave_a_frozen_replica() {
    // With statements that may take an hour, only the probe of the pod can free a read that hangs
    // there.
    let unlimited = |settings: headless_mysql::SplitterBuilder| settings.statement_timeout(Duration::from_secs(3600));
    let Some(mut scene) = Scene::new("SIGSTOP of a replica", MariaDb::builder(), unlimited).await else {
        return;
    };
    scene.load().await;
    let frozen = scene.pod(1);
    frozen.pause().await.unwrap();
    scene.all_go_on().await;
    scene.roles([Some(Role::Primary), None, Some(Role::Replica)]).await;
    let before = scene.ledger.tally().read_from(NAMES[1]);
    scene.all_go_on().await;
    assert_eq!(scene.ledger.tally().read_from(NAMES[1]), before, "it is frozen");
    frozen.resume().unwrap();
    scene
        .roles([Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)])
        .await;
    scene.read_from(NAMES[1]).await;
    unnoticed(&scene.ends(&NAMES[..1]).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_applying_leaves_and_comes_back() {
    const LIMIT: Duration = Duration::from_secs(1);
    let settings = |settings: headless_mysql::SplitterBuilder| settings.max_lag(LIMIT);
    let Some(mut scene) = Scene::new("applier stopped", MariaDb::builder(), settings).await else {
        return;
    };
    scene.load().await;
    let lag = |overview: &Overview, ordinal| status(overview, ordinal).and_then(|pod| pod.lag);
    scene.pod(1).stop_applier().await.unwrap();
    scene.roles([Some(Role::Primary), None, Some(Role::Replica)]).await;
    assert!(lag(&scene.db.overview(), 1).is_some_and(|lag| lag > LIMIT));
    scene.all_go_on().await;
    scene.pod(2).stop_applier().await.unwrap();
    scene.roles([Some(Role::Primary), None, None]).await;
    // The primary takes the reads, too.
    scene.read_from(NAMES[0]).await;
    scene.all_go_on().await;
    for ordinal in [1, 2] {
        scene.pod(ordinal).start_applier().await.unwrap();
        let is_back =
            |overview: &Overview| status(overview, ordinal as usize).is_some_and(|pod| pod.role == Some(Role::Replica));
        let back = scene.overview_when("it is back", is_back).await;
        let lag = lag(&back, ordinal as usize);
        assert!(
            lag.is_some_and(|lag| lag <= LIMIT.mul_f64(0.8)),
            "{lag:?}: it comes back well below the limit"
        );
        scene.read_from(NAMES[ordinal as usize]).await;
    }
    let (tally, _) = scene.ends(&NAMES[..1]).await;
    unnoticed(&tally);
    assert!(
        tally.behind > 0,
        "without a token something must have been missed: else a stale read could not be seen"
    );
}
