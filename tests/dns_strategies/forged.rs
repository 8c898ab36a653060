//! Answers that do not describe the cluster.

use headless::{Refresh, RefreshConfig, Timestamp};

use super::*;

#[tokio::test]
async fn an_alias_is_about_another_name() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 2).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        found(&resolver).await;
        cluster.dns().fail(ForgedAnswer::new().cname("web.shop.example.com"));
        says(
            &failed(&resolver).await,
            FailureKind::Foreign,
            &[
                if strategy == Strategy::NamedPort {
                    NAMED
                } else {
                    SERVICE
                },
                "alias (CNAME) for web.shop.example.com.",
                "autopath",
                "allow_external_name(true)",
            ],
        );
        cluster.dns().heal();
        assert_eq!(lines(&found(&resolver).await), pods(&set, 8080), "{strategy:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_alias_is_followed_where_that_is_allowed() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 2).await?;
    cluster.dns().fail(ForgedAnswer::new().cname("web.shop.example.com"));
    let allowed = builder(cluster.dns_addr(), "web:8080")
        .naming(Naming::Addresses)
        .allow_external_name(true);
    let expected: Vec<String> = set.pods().iter().map(|pod| format!("{}:8080", pod.ip())).collect();
    assert_eq!(lines(&found(&built(allowed)).await), expected);
    Ok(())
}

#[tokio::test]
async fn addresses_that_no_pod_can_have_are_left_out() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 2).await?;
        let forged = ForgedAnswer::new()
            .add_address(Ipv4Addr::UNSPECIFIED.into())
            .add_address(Ipv4Addr::BROADCAST.into());
        cluster
            .dns()
            .fail(forged.add_address(Ipv4Addr::new(224, 0, 0, 1).into()));
        assert_eq!(
            lines(&found(&strategy.resolver(cluster.dns_addr())).await),
            pods(&set, 8080),
            "{strategy:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_partial_answer_is_an_answer() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 3).await?;
    cluster.dns().fail(ForgedAnswer::new().omit("web-1"));
    let all = pods(&set, 8080);
    let answer = found(&resolver(cluster.dns_addr(), "web:http")).await;
    assert_eq!(lines(&answer), [all[0].clone(), all[2].clone()]);
    Ok(())
}

#[tokio::test]
async fn what_is_refused_leaves_the_good_set_as_it_was() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 3).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        let mut refresh = Refresh::new(RefreshConfig::default());
        let mut seconds = 0;
        let mut resolve = async |refresh: &mut Refresh| {
            seconds += 5;
            let now = Timestamp::from_elapsed(Duration::from_secs(seconds));
            refresh.on(resolver.resolve().await, now, 0);
            refresh
                .snapshot()
                .iter()
                .map(|endpoint| endpoint.addr())
                .collect::<Vec<_>>()
        };
        let good = resolve(&mut refresh).await;
        assert_eq!(good.len(), set.ready().len());
        let no_pods = ForgedAnswer::new().omit("web-0").omit("web-1").omit("web-2");
        for forged in [
            Fault::Forge(ForgedAnswer::new().cname("web.shop.example.com")),
            Fault::Malformed,
            Fault::Truncate { keep: 0 },
            Fault::Truncate { keep: 1 },
            // Without any pod it is a negative answer, which does not remove pods at once either.
            Fault::Forge(no_pods.add_address(Ipv4Addr::BROADCAST.into())),
        ] {
            cluster.dns().fail(forged.clone());
            for _ in 0..2 {
                assert_eq!(resolve(&mut refresh).await, good, "{strategy:?}, {forged:?}");
            }
            cluster.dns().heal();
            assert_eq!(resolve(&mut refresh).await, good, "{strategy:?}, after {forged:?}");
        }
    }
    Ok(())
}
