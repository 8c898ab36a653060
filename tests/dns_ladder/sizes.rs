//! Many pods: TCP, the step from SRV to A, and the end of what DNS can list.

use super::*;

#[tokio::test]
async fn a_hundred_pods_come_over_tcp() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 100).await?;
    let resolver = resolver(cluster.nameserver(), "web:http");
    let mut questions = Questions::from_now(&cluster);
    for _ in 0..2 {
        let answer = found(&resolver).await;
        assert_eq!(lines(&answer), pods(&set, 8080));
        assert!(!answer.truncated);
        assert_eq!(questions.since(), ["SRV _http._tcp.web", "SRV _http._tcp.web over TCP"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_pods_are_too_many_for_srv_and_not_for_addresses() -> Result<(), Error> {
    for (way, bare_srv) in [
        (Way::Reverse, BareSrv::AllPorts),
        (Way::Reverse, BareSrv::Off),
        (Way::PodNames, BareSrv::AllPorts),
    ] {
        let (cluster, set) = web(settings().bare_srv(bare_srv), 1000).await?;
        let named = failed(&Way::NamedPort.resolver(&cluster)).await;
        says(
            &named,
            FailureKind::TooLarge,
            &[
                SERVICE.trim_end_matches('.'),
                "64 KiB",
                "give the container's port number",
            ],
        );
        let resolver = way.resolver(&cluster);
        let answer = found(&resolver).await;
        assert_eq!(answer.found_by, way.found_by(), "{bare_srv:?}");
        assert_eq!(lines(&answer), pods(&set, 8080), "{way:?}, {bare_srv:?}");
        let mut questions = Questions::from_now(&cluster);
        found(&resolver).await;
        assert_eq!(
            questions.since(),
            ["A web", "A web over TCP", "AAAA web"],
            "{way:?}: no name is asked for again"
        );
        set.replace("web-500", Address::New).await?;
        assert_eq!(lines(&found(&resolver).await), pods(&set, 8080), "{way:?}");
        let asked = questions.since().len();
        assert!(asked <= 3 + 2 * 4, "one new pod takes a few questions, not {asked}");
    }
    Ok(())
}

#[tokio::test]
async fn more_pods_than_a_message_can_list() -> Result<(), Error> {
    let (cluster, _set) = web(settings(), 4200).await?;
    for target in ["web:http", "web:8080", "web"] {
        says(
            &failed(&resolver(cluster.nameserver(), target)).await,
            FailureKind::TooLarge,
            &["web.shop.svc.cluster.local has more pods than a DNS message of 64 KiB can list"],
        );
    }
    says(
        &failed(&resolver(cluster.nameserver(), "web:8080")).await,
        FailureKind::TooLarge,
        &["4,090 A", "shard the Service", "Kubernetes API"],
    );
    Ok(())
}

#[tokio::test]
async fn a_truncated_packet_is_never_taken_for_the_answer() -> Result<(), Error> {
    for way in Way::ALL {
        let (cluster, set) = web(way.cluster(), 10).await?;
        let resolver = way.resolver(&cluster);
        cluster.dns().fail(Fault::Truncate { keep: 4 }.over(Transport::Udp));
        assert_eq!(
            lines(&found(&resolver).await),
            pods(&set, 8080),
            "{way:?}: TCP has it all"
        );
        cluster.dns().heal();
        cluster.dns().fail(Fault::Truncate { keep: 4 });
        assert_eq!(
            failed(&resolver).await.kind,
            FailureKind::TooLarge,
            "{way:?}: TCP has not"
        );
    }
    Ok(())
}
