//! Several name servers: which one is queried, in which order, and after what.

use super::*;

/// Two clusters with the same names: which server answered shows in the addresses.
async fn two() -> Result<[(Cluster, Workload); 2], Error> {
    Ok([web(settings().seed(1), 1).await?, web(settings().seed(2), 1).await?])
}

#[tokio::test]
async fn the_second_server_answers_when_the_first_one_fails() -> Result<(), Error> {
    let [(first, first_set), (second, second_set)] = two().await?;
    for fault in [Fault::ServFail, Fault::Refused, Fault::Drop] {
        let resolver = builder(first.dns_addr(), "web:http").nameserver(second.dns_addr());
        let resolver = built(resolver.timeout(Duration::from_millis(200)));
        assert_eq!(
            lines(&found(&resolver).await),
            pods(&first_set, 8080),
            "in the order given"
        );
        let id = first.dns().fail(fault.clone());
        assert_eq!(lines(&found(&resolver).await), pods(&second_set, 8080), "{fault:?}");
        let mut questions = Questions::from_now(&first);
        assert_eq!(lines(&found(&resolver).await), pods(&second_set, 8080), "{fault:?}");
        assert!(
            questions.since().is_empty(),
            "the server that answered last is queried first"
        );
        assert!(first.dns().remove(id));
        let id = second.dns().fail(fault.clone());
        assert_eq!(
            lines(&found(&resolver).await),
            pods(&first_set, 8080),
            "{fault:?}: and back"
        );
        assert!(second.dns().remove(id));
    }
    Ok(())
}

#[tokio::test]
async fn a_dead_first_server_costs_its_time_once() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 2).await?;
    let dead = Dead::new();
    let resolver = builder(dead.addr, "web:http").nameserver(cluster.dns_addr());
    let resolver = built(resolver.timeout(Duration::from_millis(200)));
    for _ in 0..3 {
        assert_eq!(lines(&found(&resolver).await), pods(&set, 8080));
    }
    Ok(())
}

#[tokio::test]
async fn a_negative_answer_is_not_sent_to_the_next_server() -> Result<(), Error> {
    let [(first, first_set), (second, _second_set)] = two().await?;
    first_set.scale(0).await?;
    let resolver = built(builder(first.dns_addr(), "web:http").nameserver(second.dns_addr()));
    assert_eq!(no_endpoints(&resolver).await.kind, NegativeKind::NoSuchName);
    assert_eq!(second.dns().total(), 0);
    Ok(())
}

#[tokio::test]
async fn when_all_servers_fail_each_is_named() -> Result<(), Error> {
    let [(first, _first_set), (second, _second_set)] = two().await?;
    first.dns().fail(Fault::Refused);
    second.dns().fail(Fault::ServFail);
    let resolver = built(builder(first.dns_addr(), "web:http").nameserver(second.dns_addr()));
    says(
        &failed(&resolver).await,
        FailureKind::ServFail,
        &[
            &first.dns_addr().to_string(),
            "efused",
            &second.dns_addr().to_string(),
            "SERVFAIL",
        ],
    );
    Ok(())
}

/// A dead server: over UDP it never answers, and TCP is refused.
struct Dead {
    addr: SocketAddr,
    _socket: UdpSocket,
}

impl Dead {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 251, 0, 53), 0)).expect("a free port");
        let addr = socket.local_addr().expect("bound");
        Self { addr, _socket: socket }
    }
}

#[tokio::test]
async fn no_server_at_all() {
    let dead = Dead::new();
    let resolver = built(builder(dead.addr, "web:http").timeout(SHORT));
    says(
        &failed(&resolver).await,
        FailureKind::Timeout,
        &[&dead.addr.to_string(), NAMED, "no answer in time"],
    );
    assert_eq!(resolver.service(), "web.shop.svc.cluster.local:http");
}
