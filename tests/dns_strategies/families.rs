//! IPv4 and IPv6: a pod is one endpoint, whichever addresses it has.

use super::*;

#[tokio::test]
async fn both_families_of_a_pod_are_one_endpoint() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy).dual_stack(true), 3).await?;
        let v6: Vec<String> = set
            .pods()
            .iter()
            .zip(0..)
            .map(|(pod, k)| format!("{} ([{}]:8080) #{k}", pod.name(), pod.ipv6().expect("dual stack")))
            .collect();
        for (family, expected) in [
            (IpFamily::PreferV4, pods(&set, 8080)),
            (IpFamily::V4Only, pods(&set, 8080)),
            (IpFamily::PreferV6, v6.clone()),
            (IpFamily::V6Only, v6.clone()),
        ] {
            let answer = found(&built(strategy.settings(cluster.dns_addr()).family(family))).await;
            assert_eq!(lines(&answer), expected, "{strategy:?}, {family:?}");
            assert_eq!(answer.found_by, strategy.found_by());
        }
    }
    Ok(())
}

/// Without hostnames each address has a name of its own, so one pod is two SRV targets.
#[tokio::test]
async fn a_dual_stack_deployment_is_counted_once_and_asked_once() -> Result<(), Error> {
    let cluster = settings().dual_stack(true).start().await?;
    let api = cluster.deployment("api").service("api").port("http", 8080).replicas(3);
    let api = api.app(App::none()).start().await?;
    let v6 = |ip: std::net::Ipv6Addr| format!("{} ([{ip}]:8080)", ip.to_string().replace(':', "-"));
    let v6 = sorted(api.pods().iter().filter_map(|pod| pod.ipv6()).map(v6).collect());
    let mut questions = Questions::from_now(&cluster);
    for target in ["api:http", "api:8080", "api"] {
        for (family, expected) in [
            (IpFamily::PreferV4, dashed(&api)),
            (IpFamily::V4Only, dashed(&api)),
            (IpFamily::PreferV6, v6.clone()),
            (IpFamily::V6Only, v6.clone()),
        ] {
            let answer = found(&built(builder(cluster.dns_addr(), target).family(family))).await;
            assert_eq!(sorted(lines(&answer)), expected, "{target}, {family:?}");
            assert_eq!(
                questions.per_type(),
                BTreeMap::from([("SRV".to_owned(), 1)]),
                "{target}, {family:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_family_that_the_cluster_does_not_have_is_no_data() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, _set) = web(cluster_for(strategy), 2).await?;
        let negative = no_endpoints(&built(strategy.settings(cluster.dns_addr()).family(IpFamily::V6Only))).await;
        assert_eq!(negative.kind, NegativeKind::NoData, "{strategy:?}: {negative}");
        let mut questions = Questions::from_now(&cluster);
        found(&built(strategy.settings(cluster.dns_addr()).family(IpFamily::V4Only))).await;
        assert_eq!(questions.per_type().get("AAAA"), None, "{strategy:?}");
    }
    Ok(())
}
