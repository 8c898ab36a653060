//! L1 to L6 on real servers: lag as the client measures it, and what becomes of reads when it is
//! too much. The arithmetic, with its hysteresis (L5), is `crates/mysql/src/lag.rs`.

use std::time::Duration;

use headless_mysql::{Error, Overview, ReadOptions, RouteReason, Splitter, StalePolicy};
use headless_testkit::mariadb::MariaDb;
use tokio::task::JoinSet;

use crate::scene::{connect, own, pod, run, seen, settings, table, until};

const SECOND: Duration = Duration::from_secs(1);

async fn scene(pods: u32, max_lag: Duration) -> Option<(MariaDb, Splitter)> {
    let pods = own(pods).await?;
    let db = connect(&pods, settings().max_lag(max_lag)).await;
    table(&pods, &db, "cart").await;
    Some((pods, db))
}

fn lag(overview: &Overview, pod: &str) -> Option<Duration> {
    overview.pods.iter().find(|status| status.name == pod)?.lag
}

/// Stops replication, and writes, so that all replicas are behind from now on.
async fn fall_behind(pods: &MariaDb, db: &Splitter, ordinals: &[u32]) {
    for ordinal in ordinals {
        pod(pods, *ordinal).stop_applier().await.unwrap();
    }
    run(db, "INSERT INTO cart (id) SELECT COALESCE(MAX(id), 0) + 1 FROM cart")
        .await
        .unwrap();
}

async fn pod_and_reason(db: &Splitter, options: &ReadOptions) -> Result<(String, RouteReason), Error> {
    let read = db.read_with(options, async |c| {
        c.query_drop("SELECT id FROM cart").await?;
        Ok::<_, Error>((c.pod(), c.explain().reason))
    });
    read.await
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_lag_is_told_in_milliseconds_and_grows_with_each_probe() {
    let Some((pods, db)) = scene(2, Duration::from_secs(60)).await else {
        return;
    };
    fall_behind(&pods, &db, &[1]).await;
    let mut overview = seen(&db, "lag", |pods| {
        lag(pods, "mysql-1").is_some_and(|lag| !lag.is_zero())
    })
    .await;
    let mut lags = Vec::new();
    for _ in 0..10 {
        lags.extend(lag(&overview, "mysql-1"));
        overview = db.changed(&overview).await;
    }
    assert!(lags.is_sorted_by(|before, after| before < after), "{lags:?}");
    assert!(lags.iter().any(|lag| lag.subsec_millis() != 0), "{lags:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_replica_that_is_late_by_a_second_is_known_to_be() {
    let Some((pods, db)) = scene(2, Duration::from_secs(60)).await else {
        return;
    };
    pod(&pods, 1).delay(1).await.unwrap();
    let mut most = Duration::ZERO;
    for _ in 0..3 {
        fall_behind(&pods, &db, &[]).await;
        // Until it has applied this write, lag grows; then it is none.
        let behind = |pods: &Overview| lag(pods, "mysql-1").is_some_and(|lag| !lag.is_zero());
        let mut overview = seen(&db, "lag", behind).await;
        while behind(&overview) {
            most = most.max(lag(&overview, "mysql-1").unwrap_or_default());
            overview = db.changed(&overview).await;
        }
    }
    // The server delays by its own clock of whole seconds, which may cut the wait short.
    assert!(most > SECOND / 2, "{most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_when_all_are_too_far_behind_the_policy_decides() {
    let Some((pods, db)) = scene(3, SECOND / 2).await else {
        return;
    };
    fall_behind(&pods, &db, &[1]).await;
    seen(&db, "pod 1 is out", |pods| pods.replicas().count() == 1).await;
    fall_behind(&pods, &db, &[2]).await;
    seen(&db, "all are out", |pods| pods.replicas().count() == 0).await;

    let usual = pod_and_reason(&db, &ReadOptions::new()).await.unwrap();
    assert_eq!(usual, ("mysql-0".to_owned(), RouteReason::StaleReplicas));
    let least = ReadOptions::new().when_stale(StalePolicy::LeastStale);
    assert_eq!(
        pod_and_reason(&db, &least).await.unwrap(),
        ("mysql-2".to_owned(), RouteReason::LeastStale)
    );
    let error = pod_and_reason(&db, &ReadOptions::new().when_stale(StalePolicy::Error))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooStale { best_lag: Some(_), .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("mysql-headless") && text.contains("500ms") && text.contains("the best is"),
        "{text}"
    );
    // A token that no replica has, and none may wait for: the least stale one will not do.
    let token = least.sees(db.token().await.unwrap());
    let error = pod_and_reason(&db, &token).await.unwrap_err();
    assert!(matches!(error, Error::TooStale { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_a_read_may_ask_for_less_lag_than_usual() {
    let Some((pods, db)) = scene(3, Duration::from_secs(60)).await else {
        return;
    };
    fall_behind(&pods, &db, &[1, 2]).await;
    let limit = SECOND / 5;
    let behind = |pods: &Overview| {
        ["mysql-1", "mysql-2"]
            .iter()
            .all(|pod| lag(pods, pod).is_some_and(|lag| lag > limit))
    };
    seen(&db, "both are behind", behind).await;
    assert_eq!(
        pod_and_reason(&db, &ReadOptions::new()).await.unwrap().1,
        RouteReason::FreshReplica
    );
    let strict = ReadOptions::new().max_lag(limit);
    assert_eq!(
        pod_and_reason(&db, &strict).await.unwrap(),
        ("mysql-0".to_owned(), RouteReason::StaleReplicas)
    );
    pod(&pods, 2).start_applier().await.unwrap();
    seen(&db, "pod 2 has caught up", |pods| {
        lag(pods, "mysql-2") == Some(Duration::ZERO)
    })
    .await;
    assert_eq!(
        pod_and_reason(&db, &strict).await.unwrap(),
        ("mysql-2".to_owned(), RouteReason::FreshReplica)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_the_primary_takes_a_few_reads_at_a_time_and_no_more() {
    let Some(pods) = own(1).await else { return };
    let db = connect(&pods, settings().primary_reads(2)).await;
    // F9: without replicas, the primary it is.
    let first = db.read(async |c| {
        assert_eq!(
            (c.pod().as_str(), c.explain().reason),
            ("mysql-0", RouteReason::StaleReplicas)
        );
        let second = db.read(async |_| {
            let third = db.read(async |_| Ok::<_, Error>(())).await;
            assert!(matches!(third, Err(Error::PrimaryBusy { limit: 2, .. })), "{third:?}");
            Ok::<_, Error>(())
        });
        second.await?;
        db.read(async |_| Ok::<_, Error>(())).await
    });
    first.await.unwrap();
    // Writes are not counted.
    let mut reads = JoinSet::new();
    for _ in 0..2 {
        let db = db.clone();
        reads.spawn(async move {
            db.read(async |_| std::future::pending::<Result<(), Error>>().await)
                .await
        });
    }
    until("both read", async || {
        db.read(async |_| Ok::<_, Error>(())).await.is_err()
    })
    .await;
    run(&db, "CREATE TABLE l04 (id INT)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn l6_reads_go_on_without_a_primary_however_long() {
    let Some((pods, db)) = scene(3, SECOND / 2).await else {
        return;
    };
    pods.replicated().await.unwrap();
    pod(&pods, 0).kill().await;
    let grown =
        |pods: &Overview| pods.replicas().count() == 0 && lag(pods, "mysql-1").is_some_and(|lag| lag > SECOND / 2);
    let mut overview = db.overview();
    while !grown(&overview) {
        pod_and_reason(&db, &ReadOptions::new())
            .await
            .unwrap_or_else(|error| panic!("{error}: {overview:?}"));
        overview = db.changed(&overview).await;
    }
    // What the primary has written since is not known; so lag is not known to be little.
    let (_, reason) = pod_and_reason(&db, &ReadOptions::new()).await.unwrap();
    assert_eq!(reason, RouteReason::LeastStale);
    let strict = pod_and_reason(&db, &ReadOptions::new().max_lag(SECOND / 2))
        .await
        .unwrap_err();
    assert!(matches!(strict, Error::NoWriter { .. } | Error::NotSent(_)), "{strict}");
}
