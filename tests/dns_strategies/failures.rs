//! DNS failures: each is reported as what it is, and lost or late packets are made up for.

use super::*;

#[tokio::test]
async fn each_failure_is_reported_as_what_it_is() -> Result<(), Error> {
    for (fault, kind, text) in [
        (Fault::ServFail, FailureKind::ServFail, "SERVFAIL"),
        (Fault::Refused, FailureKind::Refused, "efused"),
        (Fault::Drop, FailureKind::Timeout, "no answer in time"),
        (Fault::Malformed, FailureKind::Malformed, ""),
    ] {
        for strategy in Strategy::ALL {
            let (cluster, set) = web(cluster_for(strategy), 2).await?;
            let silent = fault == Fault::Drop;
            let timeout = if silent { SHORT } else { Duration::from_secs(1) };
            let resolver = built(strategy.settings(cluster.dns_addr()).timeout(timeout));
            let server = cluster.dns_addr().to_string();
            let question = if strategy == Strategy::NamedPort {
                NAMED
            } else {
                SERVICE
            };
            // In the first resolution, and once the resolver knows its strategy.
            for _ in 0..2 {
                let id = cluster.dns().fail(fault.clone());
                let failure = failed(&resolver).await;
                says(&failure, kind, &[&server, question, text]);
                assert!(cluster.dns().remove(id));
                assert_eq!(
                    lines(&found(&resolver).await),
                    pods(&set, 8080),
                    "{fault:?}, {strategy:?}"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_few_lost_or_late_packets_are_no_failure() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 2).await?;
    let resolver = resolver(cluster.dns_addr(), "web:http");
    for rule in [
        Fault::Drop.times(1),
        Fault::ServFail.times(1),
        Fault::Delay(Duration::from_millis(50)).times(1),
        Fault::Truncate { keep: 0 }.times(1),
    ] {
        cluster.dns().fail(rule.clone());
        assert_eq!(lines(&found(&resolver).await), pods(&set, 8080), "{rule:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_a_timeout() -> Result<(), Error> {
    let (cluster, _set) = web(settings(), 2).await?;
    let resolver = built(builder(cluster.dns_addr(), "web:http").timeout(SHORT));
    cluster.dns().fail(Fault::Delay(SHORT * 10));
    assert_eq!(failed(&resolver).await.kind, FailureKind::Timeout);
    Ok(())
}

#[tokio::test]
async fn where_names_cannot_be_queried_addresses_are_still_returned() -> Result<(), Error> {
    let (cluster, set) = web(cluster_for(Strategy::Reverse), 3).await?;
    for fault in [Fault::ServFail, Fault::Refused, Fault::NoData] {
        let id = cluster.dns().fail(fault.clone().on_type(RecordType::Ptr));
        let mut questions = Questions::from_now(&cluster);
        let resolver = Strategy::Reverse.resolver(cluster.dns_addr());
        for _ in 0..3 {
            let answer = found(&resolver).await;
            assert_eq!(
                (answer.endpoints.len(), answer.found_by),
                (3, FoundBy::Addresses),
                "{fault:?}"
            );
        }
        let asked = questions.per_type();
        assert!(asked["PTR"] <= 6, "a server that fails is not hammered: {asked:?}");
        assert!(cluster.dns().remove(id));
    }
    assert_eq!(
        lines(&found(&Strategy::Reverse.resolver(cluster.dns_addr())).await),
        pods(&set, 8080)
    );
    Ok(())
}

#[tokio::test]
async fn a_reverse_name_that_does_not_lead_back_is_not_used() -> Result<(), Error> {
    let (cluster, set) = web(cluster_for(Strategy::Reverse), 2).await?;
    let own = format!("web-1.{SERVICE}");
    cluster.dns().fail(Fault::NxDomain.on_name(&own));
    let answer = found(&Strategy::Reverse.resolver(cluster.dns_addr())).await;
    let unnamed = format!("{}:8080", set.pod("web-1")?.ip());
    assert_eq!(
        sorted(lines(&answer)),
        sorted(vec![unnamed, pods(&set, 8080)[0].clone()])
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_refuses_srv_only_is_asked_for_addresses() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 2).await?;
    cluster.dns().fail(Fault::Refused.on_type(RecordType::Srv));
    let answer = found(&resolver(cluster.dns_addr(), "web:8080")).await;
    assert_eq!((lines(&answer), answer.found_by), (pods(&set, 8080), FoundBy::Reverse));
    let failure = failed(&resolver(cluster.dns_addr(), "web:http")).await;
    assert_eq!(failure.kind, FailureKind::Refused, "addresses do not tell the port");
    Ok(())
}

#[tokio::test]
async fn one_family_failing_is_not_the_other_family_gone() -> Result<(), Error> {
    let (cluster, set) = web(cluster_for(Strategy::Reverse).dual_stack(true), 2).await?;
    let resolver = Strategy::Reverse.resolver(cluster.dns_addr());
    let id = cluster
        .dns()
        .fail(Fault::ServFail.on_type(RecordType::A).on_name(SERVICE));
    assert_eq!(
        failed(&resolver).await.kind,
        FailureKind::ServFail,
        "IPv6 must not take IPv4's place"
    );
    assert!(cluster.dns().remove(id));
    cluster.dns().fail(Fault::ServFail.on_type(RecordType::Aaaa));
    assert_eq!(lines(&found(&resolver).await), pods(&set, 8080), "IPv6 is not needed");
    Ok(())
}

#[tokio::test]
async fn a_server_that_answers_srv_no_more_is_asked_for_addresses_at_the_second_failure() -> Result<(), Error> {
    for (fault, kind) in [
        (Fault::ServFail, FailureKind::ServFail),
        (Fault::Drop, FailureKind::Timeout),
    ] {
        let (cluster, set) = web(settings(), 2).await?;
        let resolver = built(builder(cluster.dns_addr(), "web:8080").timeout(SHORT));
        cluster.dns().fail(fault.on_type(RecordType::Srv));
        assert_eq!(failed(&resolver).await.kind, kind, "it may have been a lost packet");
        let answer = found(&resolver).await;
        assert_eq!((lines(&answer), answer.found_by), (pods(&set, 8080), FoundBy::Reverse));
        let mut questions = Questions::from_now(&cluster);
        found(&resolver).await;
        let asked = questions.per_type();
        assert!(!asked.contains_key("SRV"), "{kind}: {asked:?}");
    }
    Ok(())
}
