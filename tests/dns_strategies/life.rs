//! Pods that become unready, move, end and return, and Services without pods.

use super::*;

#[tokio::test]
async fn unready_pods_vanish_and_leave_a_gap() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 3).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        let all = lines(&found(&resolver).await);
        set.set_ready("web-1", false).expect("web-1 is there");
        assert_eq!(
            lines(&found(&resolver).await),
            [all[0].clone(), all[2].clone()],
            "{strategy:?}"
        );
        set.set_ready("web-1", true).expect("web-1 is there");
        assert_eq!(lines(&found(&resolver).await), all, "{strategy:?}");
        // A fresh resolver sees the same gap.
        set.set_ready("web-0", false).expect("web-0 is there");
        assert_eq!(
            lines(&found(&strategy.resolver(cluster.dns_addr())).await),
            all[1..],
            "{strategy:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn scaled_up_and_down() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 2).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        found(&resolver).await;
        let mut questions = Questions::from_now(&cluster);
        for replicas in [5, 1, 3] {
            set.scale(replicas).await?;
            let answer = found(&resolver).await;
            assert_eq!(lines(&answer), pods(&set, 8080), "{strategy:?}, {replicas}");
            assert_eq!(answer.endpoints.len(), replicas as usize);
            assert_eq!(answer.found_by, strategy.found_by());
            let asked = questions.since();
            // Only new pods are queried.
            assert!(
                !asked
                    .iter()
                    .any(|question| question.contains("web-0") || question.contains("x2")),
                "{strategy:?}, {replicas}: {asked:?}"
            );
            let reverse = asked.iter().filter(|question| question.starts_with("PTR")).count();
            let new = match (strategy, replicas) {
                (Strategy::Reverse, 5) => 3,
                (Strategy::Reverse, 3) => 2,
                _ => 0,
            };
            assert_eq!(reverse, new, "{strategy:?}, {replicas}: {asked:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_same_pod_at_a_new_address() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 3).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        let before = found(&resolver).await;
        let new = set.replace("web-1", Address::New).await?;
        let after = found(&resolver).await;
        assert_eq!(lines(&after), pods(&set, 8080), "{strategy:?}");
        assert_eq!(after.endpoints.len(), 3);
        let moved: Vec<&headless::Endpoint> = after
            .endpoints
            .iter()
            .filter(|endpoint| !before.endpoints.contains(endpoint))
            .collect();
        assert_eq!(moved.len(), 1, "{strategy:?}");
        assert_eq!(moved[0].addr().ip(), IpAddr::V4(new.ip()));
        assert_eq!(moved[0].ordinal().map(headless::Ordinal::get), Some(1));
        set.roll(Roll::default()).await?;
        assert_eq!(
            lines(&found(&resolver).await),
            pods(&set, 8080),
            "{strategy:?}: all are new"
        );
    }
    Ok(())
}

/// Noticed in between, or from SRV: with A records alone an address that never left the answer
/// keeps its name for a while.
#[tokio::test]
async fn another_pod_at_the_same_address_is_another_endpoint() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 3).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        let before = found(&resolver).await;
        let ip = set.pod("web-2")?.ip();
        set.evict("web-2").await?;
        if matches!(strategy, Strategy::PodNames | Strategy::Reverse) {
            assert_eq!(found(&resolver).await.endpoints.len(), 2);
        }
        set.replace("web-1", Address::At(ip)).await?;
        let after = found(&resolver).await;
        assert_eq!(lines(&after), pods(&set, 8080), "{strategy:?}");
        let line = format!("web-1 ({ip}:8080) #1");
        assert!(
            lines(&after).contains(&line) && !lines(&before).contains(&line),
            "{strategy:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_crashed_pod_is_listed_until_it_is_removed() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 2).await?;
    let resolver = resolver(cluster.dns_addr(), "web:http");
    set.kill("web-0").await?;
    assert_eq!(found(&resolver).await.endpoints.len(), 2);
    set.evict("web-0").await?;
    assert_eq!(lines(&found(&resolver).await), pods(&set, 8080));
    Ok(())
}

#[tokio::test]
async fn pods_that_are_not_ready_are_listed_where_the_service_publishes_them() -> Result<(), Error> {
    let cluster = settings().start().await?;
    let set = cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .replicas(2);
    let set = set.app(App::none()).publish_not_ready_addresses().start().await?;
    let all = pods(&set, 8080);
    set.set_ready("web-0", false)?;
    assert_eq!(lines(&found(&resolver(cluster.dns_addr(), "web:http")).await), all);
    Ok(())
}

#[tokio::test]
async fn no_pods_and_no_service_are_nxdomain() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 2).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        found(&resolver).await;
        set.scale(0).await?;
        let mut questions = Questions::from_now(&cluster);
        for _ in 0..2 {
            let negative = no_endpoints(&resolver).await;
            assert_eq!(negative.kind, NegativeKind::NoSuchName, "{strategy:?}");
            assert_eq!(negative.ttl, Some(Duration::from_secs(u64::from(TTL))), "{strategy:?}");
            let text = negative.to_string();
            assert!(
                text.contains(SERVICE) && text.contains("answered with NXDOMAIN"),
                "{strategy:?}: {text}"
            );
        }
        let asked = questions.per_type();
        assert!(
            asked.values().sum::<u64>() <= 6 && !asked.contains_key("PTR"),
            "{strategy:?}: {asked:?}"
        );
        set.scale(1).await?;
        assert_eq!(
            lines(&found(&resolver).await),
            pods(&set, 8080),
            "{strategy:?}: and back"
        );
        assert!(cluster.delete_service("web"));
        assert_eq!(
            no_endpoints(&resolver).await.kind,
            NegativeKind::NoSuchName,
            "{strategy:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn more_negative_answers_in_a_row_than_the_dns_library_allows_do_not_stop_it() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 0).await?;
    let resolver = resolver(cluster.dns_addr(), "web:http");
    for _ in 0..50 {
        no_endpoints(&resolver).await;
    }
    set.scale(1).await?;
    cluster.dns().fail(Fault::Drop.times(1));
    assert_eq!(
        lines(&found(&resolver).await),
        pods(&set, 8080),
        "one lost packet is sent again"
    );
    Ok(())
}

#[tokio::test]
async fn the_ttl_is_what_a_cache_has_left_of_it() -> Result<(), Error> {
    let (cluster, set) = web(settings().ttl(30).dns_cache(true), 2).await?;
    let resolver = resolver(cluster.dns_addr(), "web:http");
    assert_eq!(found(&resolver).await.ttl, Duration::from_secs(30));
    let old = pods(&set, 8080);
    set.replace("web-1", Address::New).await?;
    cluster.dns().age_cache(Duration::from_secs(20));
    let answer = found(&resolver).await;
    assert!(answer.ttl <= Duration::from_secs(10), "{:?}", answer.ttl);
    assert_eq!(lines(&answer), old, "the cache's answer");
    cluster.dns().age_cache(Duration::from_secs(11));
    assert_eq!(lines(&found(&resolver).await), pods(&set, 8080));
    Ok(())
}
