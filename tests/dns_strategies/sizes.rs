//! Many pods: TCP, the step from SRV to A, and the limits of what DNS can list.

use std::collections::BTreeSet;
use std::ops::Range;

use headless::Answer;

use super::*;

#[tokio::test]
async fn what_has_outgrown_udp_is_asked_over_tcp_at_once() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 100).await?;
    let resolver = resolver(cluster.dns_addr(), "web:http");
    let mut questions = Questions::from_now(&cluster);
    let udp = "SRV _http._tcp.web";
    let tcp = "SRV _http._tcp.web over TCP";
    // To this node's own server UDP takes 4096 bytes, about 50 pods; back to it from half of that.
    for (pods_now, resolutions) in [
        (100, [vec![udp, tcp], vec![tcp], vec![tcp]]),
        (25, [vec![tcp], vec![tcp], vec![tcp]]),
        (5, [vec![tcp], vec![udp], vec![udp]]),
        (25, [vec![udp], vec![udp], vec![udp]]),
        (100, [vec![udp, tcp], vec![tcp], vec![tcp]]),
        (
            0,
            [
                vec![tcp, "A web", "AAAA web"],
                vec![udp, "A web", "AAAA web"],
                vec![udp, "A web", "AAAA web"],
            ],
        ),
    ] {
        set.scale(pods_now).await?;
        for (round, expected) in resolutions.into_iter().enumerate() {
            if pods_now == 0 {
                no_endpoints(&resolver).await;
            } else {
                let answer = found(&resolver).await;
                assert_eq!(lines(&answer), pods(&set, 8080));
                assert!(!answer.truncated);
            }
            let expected = sorted(expected.into_iter().map(str::to_owned).collect());
            assert_eq!(questions.since(), expected, "resolution {round} at {pods_now} pods");
        }
    }
    Ok(())
}

#[tokio::test]
async fn where_tcp_fails_udp_is_asked_again() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 100).await?;
    let resolver = resolver(cluster.dns_addr(), "web:http");
    found(&resolver).await;
    for fault in [Fault::ServFail, Fault::Malformed, Fault::Refused] {
        cluster.dns().fail(fault.clone().over(Transport::Tcp).times(1));
        let mut questions = Questions::from_now(&cluster);
        assert_eq!(lines(&found(&resolver).await), pods(&set, 8080), "{fault:?}");
        assert_eq!(
            questions.since(),
            ["SRV _http._tcp.web", "SRV _http._tcp.web over TCP x2"]
        );
        found(&resolver).await;
        assert_eq!(questions.since(), ["SRV _http._tcp.web over TCP"], "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_pods_are_too_many_for_srv_and_not_for_addresses() -> Result<(), Error> {
    for (strategy, bare_srv) in [
        (Strategy::Reverse, BareSrv::AllPorts),
        (Strategy::Reverse, BareSrv::Off),
        (Strategy::PodNames, BareSrv::AllPorts),
    ] {
        let (cluster, set) = web(settings().bare_srv(bare_srv), 1000).await?;
        let named = Strategy::NamedPort.resolver(cluster.dns_addr());
        is_a_part(&found(&named).await, &pods(&set, 8080), 500..1000);
        let resolver = strategy.resolver(cluster.dns_addr());
        let answer = found(&resolver).await;
        assert_eq!(answer.found_by, strategy.found_by(), "{bare_srv:?}");
        assert_eq!(lines(&answer), pods(&set, 8080), "{strategy:?}, {bare_srv:?}");
        let mut questions = Questions::from_now(&cluster);
        found(&resolver).await;
        assert_eq!(
            questions.since(),
            ["A web over TCP", "AAAA web"],
            "{strategy:?}: no name is asked for again"
        );
        set.replace("web-500", Address::New).await?;
        assert_eq!(lines(&found(&resolver).await), pods(&set, 8080), "{strategy:?}");
        let asked = questions.since().len();
        assert!(asked <= 3 + 2 * 4, "one new pod takes a few questions, not {asked}");
    }
    Ok(())
}

/// A truncated answer with some of `all`.
fn is_a_part(answer: &Answer, all: &[String], count: Range<usize>) {
    assert!(answer.truncated, "a part must not be taken for the whole");
    let all: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    let lines = lines(answer);
    assert!(count.contains(&lines.len()), "{} pods", lines.len());
    let different: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(different.len(), lines.len(), "each once");
    assert!(different.is_subset(&all));
}

#[tokio::test]
async fn of_more_pods_than_a_message_can_list_a_part_is_used() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 4200).await?;
    for target in ["web:http", "web"] {
        let resolver = resolver(cluster.dns_addr(), target);
        let mut questions = Questions::from_now(&cluster);
        let first = found(&resolver).await;
        is_a_part(&first, &pods(&set, 8080), 128..4200);
        let asked = questions.per_type();
        assert!(asked["A"] <= 128, "{asked:?}: not one question for each pod");
        let second = found(&resolver).await;
        assert_ne!(lines(&first), lines(&second), "the next resolution returns others");
    }
    let addresses = built(builder(cluster.dns_addr(), "web:8080").naming(Naming::Addresses));
    let answer = found(&addresses).await;
    let all: Vec<String> = set.ready().iter().map(|pod| format!("{}:8080", pod.ip())).collect();
    is_a_part(&answer, &all, 4000..4200);
    assert!(answer.endpoints.iter().all(|endpoint| endpoint.pod().is_none()));
    Ok(())
}

#[tokio::test]
async fn a_truncated_packet_is_never_taken_for_the_answer() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, set) = web(cluster_for(strategy), 10).await?;
        let resolver = strategy.resolver(cluster.dns_addr());
        cluster.dns().fail(Fault::Truncate { keep: 4 }.over(Transport::Udp));
        assert_eq!(
            lines(&found(&resolver).await),
            pods(&set, 8080),
            "{strategy:?}: TCP has it all"
        );
        cluster.dns().heal();
        cluster.dns().fail(Fault::Truncate { keep: 4 });
        is_a_part(&found(&resolver).await, &pods(&set, 8080), 4..5);
        cluster.dns().heal();
        cluster.dns().fail(Fault::Truncate { keep: 0 });
        let failure = failed(&resolver).await;
        says(&failure, FailureKind::TooLarge, &["64 KiB"]);
    }
    Ok(())
}
