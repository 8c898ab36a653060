//! Every strategy to find pods and their ordinals, its queries, and pods without ordinals.

use super::*;

#[tokio::test]
async fn ordinals_by_each_of_the_four_strategies() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 3).await?;
        let answer = found(&strategy.resolver(cluster.dns_addr())).await;
        assert_eq!(lines(&answer), pods(&set, 8080), "{strategy:?}");
        assert_eq!(answer.found_by, strategy.found_by());
        assert_eq!(answer.ttl, Duration::from_secs(u64::from(TTL)));
        assert!(!answer.truncated);
    }
    Ok(())
}

#[tokio::test]
async fn the_first_resolution_asks_what_its_strategy_needs_and_the_next_ones_one_question() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 2).await?;
        let mut questions = Questions::from_now(&cluster);
        let resolver = strategy.resolver(cluster.dns_addr());
        assert!(questions.since().is_empty(), "building a resolver sends nothing");
        found(&resolver).await;
        let first = questions.since();
        let reverse: Vec<String> = set.pods().iter().map(|pod| reverse_question(pod.ip())).collect();
        let first: Vec<&str> = first.iter().map(String::as_str).collect();
        match strategy {
            Strategy::NamedPort => assert_eq!(first, ["SRV _http._tcp.web"]),
            Strategy::ServiceSrv => assert_eq!(first, ["SRV web"]),
            Strategy::PodNames => {
                assert!(first.starts_with(&["A web", "A web-0.web", "A web-1.web"]), "{first:?}");
                assert!(first.ends_with(&["SRV web"]) && first.len() <= 3 + 2 * 4, "{first:?}");
            }
            Strategy::Reverse => {
                let mut expected = vec!["A web", "A web-0.web", "A web-1.web", "AAAA web", "SRV web"];
                expected.extend(reverse.iter().map(String::as_str));
                expected.sort_unstable();
                assert_eq!(first, expected);
            }
        }
        for _ in 0..3 {
            found(&resolver).await;
            assert_eq!(questions.since(), steady(strategy), "{strategy:?}");
        }
    }
    Ok(())
}

fn reverse_question(ip: Ipv4Addr) -> String {
    let [a, b, c, d] = ip.octets();
    format!("PTR {d}.{c}.{b}.{a}")
}

#[tokio::test]
async fn addresses_alone_when_no_strategy_gives_names() -> Result<(), Error> {
    let (cluster, set) = web(cluster_for(Strategy::Reverse), 3).await?;
    let answer = found(&built(
        builder(cluster.dns_addr(), "web:8080").naming(Naming::Addresses),
    ))
    .await;
    let expected: Vec<String> = set.pods().iter().map(|pod| format!("{}:8080", pod.ip())).collect();
    assert_eq!(lines(&answer), expected);
    assert_eq!(answer.found_by, FoundBy::Addresses);
    // No reverse zone: queried once, and not again.
    cluster.dns().fail(Fault::NxDomain.on_type(RecordType::Ptr));
    let resolver = resolver(cluster.dns_addr(), "web:8080");
    let mut questions = Questions::from_now(&cluster);
    let answer = found(&resolver).await;
    assert_eq!((lines(&answer), answer.found_by), (expected, FoundBy::Addresses));
    assert_eq!(questions.per_type().get("PTR"), Some(&3));
    found(&resolver).await;
    assert_eq!(questions.since(), ["A web", "AAAA web"]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_answers_service_srv_with_port_zero_gives_names_all_the_same() -> Result<(), Error> {
    let (cluster, set) = web(settings().bare_srv(BareSrv::PortZero), 2).await?;
    let answer = found(&resolver(cluster.dns_addr(), "web:8080")).await;
    assert_eq!(
        (lines(&answer), answer.found_by),
        (pods(&set, 8080), FoundBy::ServiceSrv)
    );
    let failure = failed(&resolver(cluster.dns_addr(), "web")).await;
    says(
        &failure,
        FailureKind::Misconfigured,
        &["does not tell the port", "add :PORT"],
    );
    Ok(())
}

#[tokio::test]
async fn names_are_written_in_four_lengths() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 2).await?;
    for target in [
        "web:http",
        "web.shop:http",
        "web.shop.svc:http",
        "WEB.shop.svc.cluster.local.:http",
    ] {
        assert_eq!(
            lines(&found(&resolver(cluster.dns_addr(), target)).await),
            pods(&set, 8080),
            "{target}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn several_ports() -> Result<(), Error> {
    let cluster = settings().start().await?;
    let set = cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .port("admin", 9090)
        .unnamed_port(7070);
    let set = set.replicas(2).app(App::none()).start().await?;
    for (port, number) in [("http", 8080), ("admin", 9090), ("8080", 8080), ("7070", 7070)] {
        let answer = found(&resolver(cluster.dns_addr(), &format!("web:{port}"))).await;
        assert_eq!(lines(&answer), pods(&set, number), "{port}");
    }
    let failure = failed(&resolver(cluster.dns_addr(), "web")).await;
    says(
        &failure,
        FailureKind::Misconfigured,
        &[
            "no port was given for Service web.shop.svc.cluster.local",
            "7070, 8080, 9090",
            "add :PORT",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn the_only_port_need_not_be_given() -> Result<(), Error> {
    let cluster = settings().start().await?;
    let set = cluster
        .stateful_set("web")
        .service("web")
        .unnamed_port(7070)
        .replicas(2);
    let set = set.app(App::none()).start().await?;
    let answer = found(&resolver(cluster.dns_addr(), "web")).await;
    assert_eq!(
        (lines(&answer), answer.found_by),
        (pods(&set, 7070), FoundBy::ServiceSrv)
    );
    Ok(())
}

#[tokio::test]
async fn a_deployment_has_dashed_names_and_no_ordinals() -> Result<(), Error> {
    for (bare_srv, target) in [
        (BareSrv::AllPorts, "api:http"),
        (BareSrv::AllPorts, "api:8080"),
        (BareSrv::Off, "api:8080"),
    ] {
        let cluster = settings().bare_srv(bare_srv).start().await?;
        let api = cluster.deployment("api").service("api").port("http", 8080).replicas(3);
        let api = api.app(App::none()).start().await?;
        let answer = found(&resolver(cluster.dns_addr(), target)).await;
        assert_eq!(sorted(lines(&answer)), dashed(&api), "{target}, {bare_srv:?}");
        assert!(answer.endpoints.iter().all(|endpoint| endpoint.ordinal().is_none()));
    }
    Ok(())
}

#[tokio::test]
async fn only_the_governing_service_gives_ordinals() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 3).await?;
    cluster.service("web-read").selects(&set).port("http", 8080).create()?;
    for target in ["web-read:http", "web-read:8080"] {
        assert_eq!(
            sorted(lines(&found(&resolver(cluster.dns_addr(), target)).await)),
            dashed(&set),
            "{target}"
        );
        let of_set = built(builder(cluster.dns_addr(), target).stateful_set("web"));
        says(
            &failed(&of_set).await,
            FailureKind::Misconfigured,
            &[
                "no pod of StatefulSet `web` found under Service web-read.shop.svc",
                "lists 3 pods",
                ".spec.serviceName",
            ],
        );
    }
    Ok(())
}

#[tokio::test]
async fn two_sets_under_one_service_keep_their_ordinals_apart() -> Result<(), Error> {
    let (cluster, web) = web(settings(), 2).await?;
    let blue = cluster
        .stateful_set("blue")
        .service("web")
        .port("http", 8080)
        .replicas(2);
    let blue = blue.app(App::none()).first_ordinal(5).start().await?;
    let all = found(&resolver(cluster.dns_addr(), "web:http")).await;
    assert_eq!(
        sorted(lines(&all)),
        sorted([pods(&web, 8080), pods(&blue, 8080)].concat())
    );
    let one = found(&built(builder(cluster.dns_addr(), "web:http").stateful_set("blue"))).await;
    let with_ordinal: Vec<String> = lines(&one).into_iter().filter(|line| line.contains('#')).collect();
    assert_eq!((one.endpoints.len(), with_ordinal), (4, pods(&blue, 8080)));
    assert!(lines(&one)[0].starts_with("blue-5 "), "{:?}", lines(&one));
    Ok(())
}

#[tokio::test]
async fn ordinals_need_not_begin_at_zero() -> Result<(), Error> {
    let cluster = cluster_for(Strategy::PodNames).start().await?;
    let set = cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .replicas(3)
        .first_ordinal(100);
    let set = set.app(App::none()).start().await?;
    let resolver = built(Strategy::PodNames.settings(cluster.dns_addr()).first_ordinal(100));
    let answer = found(&resolver).await;
    assert_eq!((lines(&answer), answer.found_by), (pods(&set, 8080), FoundBy::PodNames));
    Ok(())
}
