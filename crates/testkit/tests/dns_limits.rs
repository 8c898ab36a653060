//! Message sizes: CoreDNS's numbers of records for a 26-byte name, truncation over UDP and TCP, and
//! ageing TTLs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{addresses, tcp, udp, udp_sized};
use headless_testkit::{App, Cluster, Workload};
use hickory_proto::rr::RecordType;

/// `svc.ns.svc.cluster.local.` takes 26 bytes on the wire.
const SHORT: &str = "svc.ns.svc.cluster.local.";

async fn pods(replicas: u32) -> (Cluster, Workload) {
    let cluster = Cluster::builder().namespace("ns").start().await.unwrap();
    let set = cluster.stateful_set("web").service("svc").port("p", 80);
    let set = set.replicas(replicas).app(App::none());
    let set = set.start().await.unwrap();
    (cluster, set)
}

#[tokio::test]
async fn what_fits_is_not_truncated_and_one_more_is() {
    // Without EDNS 29 A records fit, at 1232 bytes 73, at 4096 252.
    for (payload, fits) in [(None, 29), (Some(1232), 73), (Some(4096), 252)] {
        let limit = usize::from(payload.unwrap_or(512));
        let (cluster, set) = pods(fits).await;
        let (whole, size) = udp_sized(&cluster, SHORT, RecordType::A, payload).await;
        assert!(!whole.metadata.truncation, "{fits} at {limit}");
        assert_eq!(addresses(&whole).len(), fits as usize);
        assert!(size <= limit);
        assert_eq!(whole.edns.is_some(), payload.is_some());
        set.scale(fits + 1).await.unwrap();
        let (cut, size) = udp_sized(&cluster, SHORT, RecordType::A, payload).await;
        assert!(cut.metadata.truncation, "{} at {limit}", fits + 1);
        assert_eq!(addresses(&cut).len(), fits as usize);
        assert!(size <= limit);
    }
}

#[tokio::test]
async fn a_payload_size_below_512_counts_as_512() {
    let (cluster, _set) = pods(20).await;
    let (answer, _) = udp_sized(&cluster, SHORT, RecordType::A, Some(100)).await;
    assert!(!answer.metadata.truncation);
}

#[tokio::test]
async fn a_small_answer_is_not_compressed() {
    let (cluster, _set) = pods(2).await;
    let (_, size) = udp_sized(&cluster, SHORT, RecordType::A, None).await;
    assert_eq!(size, 12 + (26 + 4) + 2 * (26 + 14));
}

#[tokio::test]
async fn srv_with_addresses_fits_for_17_pods_at_1232() {
    let (cluster, set) = pods(17).await;
    let (whole, _) = udp_sized(&cluster, SHORT, RecordType::SRV, Some(1232)).await;
    assert!(!whole.metadata.truncation);
    assert_eq!((whole.answers.len(), whole.additionals.len()), (17, 17));
    set.scale(18).await.unwrap();
    let (cut, _) = udp_sized(&cluster, SHORT, RecordType::SRV, Some(1232)).await;
    // A missing additional record is enough for TC.
    assert!(cut.metadata.truncation);
    assert_eq!(cut.answers.len(), 18);
    assert!(cut.additionals.len() < 18);
}

#[tokio::test]
async fn a_truncated_answer_is_a_different_part_each_time() {
    let (cluster, _set) = pods(200).await;
    let mut seen = BTreeSet::new();
    let mut parts = BTreeSet::new();
    for _ in 0..5 {
        let (cut, _) = udp_sized(&cluster, SHORT, RecordType::A, Some(1232)).await;
        assert!(cut.metadata.truncation);
        seen.extend(addresses(&cut));
        parts.insert(addresses(&cut));
    }
    assert_eq!(parts.len(), 5);
    assert!(seen.len() > 100, "{}", seen.len());
    let (all, _) = tcp(&cluster, SHORT, RecordType::A).await;
    assert_eq!(addresses(&all).len(), 200);
}

#[tokio::test]
async fn tcp_carries_4092_addresses_and_truncates_beyond() {
    let (cluster, set) = pods(4092).await;
    let (whole, size) = tcp(&cluster, SHORT, RecordType::A).await;
    assert!(!whole.metadata.truncation, "{size}");
    assert_eq!(addresses(&whole).len(), 4092);
    set.scale(4093).await.unwrap();
    let (cut, size) = tcp(&cluster, SHORT, RecordType::A).await;
    assert!(cut.metadata.truncation);
    assert_eq!(addresses(&cut).len(), 4092);
    assert!(size <= 65_535);
}

#[tokio::test]
async fn tcp_carries_896_srv_with_addresses_and_truncates_beyond() {
    let (cluster, set) = pods(896).await;
    let (whole, size) = tcp(&cluster, SHORT, RecordType::SRV).await;
    assert!(!whole.metadata.truncation, "{size}");
    assert_eq!((whole.answers.len(), whole.additionals.len()), (896, 896));
    // Pointers are right on both sides of the 16 KiB that they reach.
    let owners = whole.additionals.iter().map(|record| record.name.to_ascii());
    let owners: BTreeSet<_> = owners.collect();
    let names = set.pods().into_iter().map(|pod| format!("{}.{SHORT}", pod.name()));
    assert_eq!(owners, names.collect());
    set.scale(1000).await.unwrap();
    let (cut, _) = tcp(&cluster, SHORT, RecordType::SRV).await;
    assert!(cut.metadata.truncation);
    assert_eq!(cut.answers.len(), 1000);
    assert!((600..700).contains(&cut.additionals.len()));
}

#[tokio::test]
async fn the_cache_ages_its_answers_and_hides_changes() {
    let cluster = Cluster::builder().ttl(30).dns_cache(true);
    let cluster = cluster.start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").app(App::none());
    let set = set.start().await.unwrap();
    let name = cluster.fqdn("web");
    let resolve = async || {
        let answer = udp(&cluster, &name, RecordType::A).await;
        (addresses(&answer).len(), answer.answers[0].ttl)
    };
    assert_eq!(resolve().await, (1, 30));
    cluster.dns().age_cache(Duration::from_secs(10));
    set.scale(2).await.unwrap();
    let (seen, ttl) = resolve().await;
    assert_eq!(seen, 1);
    assert!((19..=20).contains(&ttl), "{ttl}");
    cluster.dns().age_cache(Duration::from_secs(20));
    assert_eq!(resolve().await, (2, 30));
    set.scale(3).await.unwrap();
    cluster.dns().flush_cache();
    assert_eq!(resolve().await, (3, 30));
}

#[tokio::test]
async fn the_cache_keeps_negative_answers_too() {
    let cluster = Cluster::builder().ttl(30).dns_cache(true);
    let cluster = cluster.start().await.unwrap();
    let name = cluster.fqdn("web");
    let absent = udp(&cluster, &name, RecordType::A).await;
    assert_eq!(absent.authorities[0].ttl, 30);
    let set = cluster.stateful_set("web").service("web").app(App::none());
    set.start().await.unwrap();
    assert!(udp(&cluster, &name, RecordType::A).await.answers.is_empty());
    cluster.dns().age_cache(Duration::from_secs(30));
    assert_eq!(udp(&cluster, &name, RecordType::A).await.answers.len(), 1);
}
