//! What happens to names and addresses: a pod leaves DNS and returns, and an address passes to
//! another pod.

use headless::Role;
use headless_mysql::Overview;
use headless_testkit::{Address, Fault};

use crate::ledger::Outcome;
use crate::load::EACH;
use crate::primary::{UNTIL_IT_IS_BACK, only};
use crate::scene::{NAMES, Scene, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_leaves_dns_takes_nothing_and_returns() {
    let Some(scene) = Scene::under_load("DNS record removed, and added").await else {
        return;
    };
    for ordinal in [2, 0] {
        let pod = scene.pod(ordinal);
        pod.set_ready(false).unwrap();
        scene
            .overview_when("it is gone", |overview| status(overview, ordinal as usize).is_none())
            .await;
        if ordinal == 0 {
            scene.more(Outcome::NoWriter, 20).await;
        } else {
            scene.more(Outcome::Acknowledged, 20).await;
        }
        let before = scene.ledger.tally().read_from(pod.name());
        scene.plain_reads_go_on().await;
        // One read may have begun before.
        let since = scene.ledger.tally().read_from(pod.name()) - before;
        assert!(since <= 2 * EACH as u64, "{since} reads from a pod that is gone");
        pod.set_ready(true).unwrap();
        scene
            .roles([Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)])
            .await;
        scene.all_go_on().await;
    }
    scene.read_from(NAMES[2]).await;
    scene.more(Outcome::Acknowledged, 20).await;
    let (tally, _) = scene.ends(&NAMES[..1]).await;
    only(&tally, &[Outcome::Acknowledged, Outcome::NoWriter]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pod_at_a_known_address_is_not_taken_for_its_owner() {
    let Some(scene) = Scene::under_load("IP reused by another pod").await else {
        return;
    };
    let is_mismatch = |overview: &Overview, ordinal| {
        let problem = status(overview, ordinal).and_then(|pod| pod.problem.as_deref());
        problem.is_some_and(|problem| problem.contains("another server"))
    };

    // A replica at the primary's address, while DNS does not say so.
    let (primary, replica) = (scene.pod(0), scene.pod(2));
    let old = primary.ip();
    let silence = scene.pods.cluster().dns().fail(Fault::ServFail);
    primary.evict().await;
    replica.start_at(Address::At(old)).await.unwrap();
    scene
        .overview_when("another server at the primary's address", |overview| {
            is_mismatch(overview, 0)
        })
        .await;
    scene.more(Outcome::NoWriter, 20).await;
    scene.plain_reads_go_on().await;
    assert!(scene.pods.cluster().dns().remove(silence));
    scene
        .overview_when("the replica at its new address", |overview| {
            let found = status(overview, 2);
            found.is_some_and(|pod| pod.key.addr() == replica.addr() && pod.follows)
        })
        .await;
    primary.start_at(Address::New).await.unwrap();
    scene
        .roles([Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)])
        .await;
    scene.read_from(NAMES[2]).await;
    scene.all_go_on().await;

    // The primary at a replica's address.
    let replica = scene.pod(1);
    let old = replica.ip();
    let silence = scene.pods.cluster().dns().fail(Fault::ServFail);
    replica.evict().await;
    primary.start_at(Address::At(old)).await.unwrap();
    scene
        .overview_when("another server at the replica's address", |overview| {
            is_mismatch(overview, 1)
        })
        .await;
    scene.more(Outcome::NoWriter, 20).await;
    scene.plain_reads_go_on().await;
    assert!(scene.pods.cluster().dns().remove(silence));
    scene.primary(0).await;
    replica.start_at(Address::New).await.unwrap();
    scene
        .roles([Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)])
        .await;
    scene.read_from(NAMES[1]).await;
    scene.all_go_on().await;
    let (tally, _) = scene.ends(&NAMES[..1]).await;
    // No write is sent to the wrong server: it would have said that it is read-only.
    only(&tally, &UNTIL_IT_IS_BACK);
}
