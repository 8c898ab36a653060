//! DNS faults, the query log, and a frozen name server.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{net::IpAddr, time::Duration};

use common::{addresses, question, tcp, udp, udp_bytes};
use headless_testkit::{App, Cluster, Event, Fault, ForgedAnswer, RecordType as Type, Transport, Workload};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
    serialize::binary::BinDecodable,
};

async fn web() -> (Cluster, Workload, String) {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 80);
    let set = set.replicas(4).app(App::none()).start().await.unwrap();
    let name = cluster.fqdn("web");
    (cluster, set, name)
}

#[tokio::test]
async fn codes_are_answered_as_told_and_as_often_as_told() {
    let (cluster, _set, name) = web().await;
    let cases = [
        (Fault::ServFail, ResponseCode::ServFail),
        (Fault::Refused, ResponseCode::Refused),
        (Fault::NxDomain, ResponseCode::NXDomain),
        (Fault::NoData, ResponseCode::NoError),
    ];
    for (fault, code) in cases {
        cluster.dns().fail(fault.clone().times(2));
        for _ in 0..2 {
            let answer = udp(&cluster, &name, RecordType::A).await;
            assert_eq!(answer.metadata.response_code, code, "{fault:?}");
            assert!(answer.answers.is_empty());
            let negative = matches!(fault, Fault::NxDomain | Fault::NoData);
            assert_eq!(answer.authorities.len(), usize::from(negative));
        }
        let healed = udp(&cluster, &name, RecordType::A).await;
        assert_eq!(addresses(&healed).len(), 4);
    }
}

#[tokio::test]
async fn a_fault_can_be_narrowed_and_removed() {
    let (cluster, _set, name) = web().await;
    let rule = Fault::ServFail.on_type(Type::A).on_name(&name);
    let id = cluster.dns().fail(rule.over(Transport::Udp));
    let failed = udp(&cluster, &name.to_uppercase(), RecordType::A).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    let other_type = udp(&cluster, &name, RecordType::SRV).await;
    let other_name = udp(&cluster, &format!("web-0.{name}"), RecordType::A).await;
    let (other_transport, _) = tcp(&cluster, &name, RecordType::A).await;
    for answer in [other_type, other_name, other_transport] {
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }
    assert!(cluster.dns().remove(id));
    assert!(!cluster.dns().remove(id));
    let healed = udp(&cluster, &name, RecordType::A).await;
    assert_eq!(healed.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test]
async fn a_dropped_query_is_logged_and_not_answered() {
    let (cluster, _set, name) = web().await;
    cluster.dns().fail(Fault::Drop);
    let silence = question(&name, RecordType::A, None);
    let reply = udp_bytes(cluster.dns_addr(), &silence, Duration::from_millis(100)).await;
    assert_eq!(reply, None);
    assert_eq!(cluster.dns().count_of(&name, Type::A), 1);
    cluster.dns().heal();
    assert_eq!(addresses(&udp(&cluster, &name, RecordType::A).await).len(), 4);
}

#[tokio::test]
async fn a_delayed_answer_does_not_hold_up_the_next() {
    let (cluster, _set, name) = web().await;
    let late = Fault::Delay(Duration::from_millis(200)).times(1);
    cluster.dns().fail(late.on_type(Type::A));
    let begun = tokio::time::Instant::now();
    let slow = async {
        let answer = udp(&cluster, &name, RecordType::A).await;
        (answer, begun.elapsed())
    };
    let quick = async {
        cluster.dns().wait_total(1).await.unwrap();
        udp(&cluster, &name, RecordType::SRV).await;
        begun.elapsed()
    };
    let ((answer, slow), quick) = tokio::join!(slow, quick);
    assert_eq!(addresses(&answer).len(), 4);
    assert!(slow >= Duration::from_millis(200));
    assert!(quick < slow);
}

#[tokio::test]
async fn truncation_as_told() {
    let (cluster, _set, name) = web().await;
    cluster.dns().fail(Fault::Truncate { keep: 2 }.over(Transport::Udp));
    let cut = udp(&cluster, &name, RecordType::A).await;
    assert!(cut.metadata.truncation);
    assert_eq!(addresses(&cut).len(), 2);
    let (whole, _) = tcp(&cluster, &name, RecordType::A).await;
    assert!(!whole.metadata.truncation);
}

#[tokio::test]
async fn a_malformed_answer_has_the_right_id_and_cannot_be_read() {
    let (cluster, _set, name) = web().await;
    cluster.dns().fail(Fault::Malformed);
    let message = question(&name, RecordType::A, Some(1232));
    let bytes = udp_bytes(cluster.dns_addr(), &message, Duration::from_secs(5)).await;
    let bytes = bytes.unwrap();
    assert_eq!(bytes[..2], message.metadata.id.to_be_bytes());
    assert!(Message::from_bytes(&bytes).is_err());
}

#[tokio::test]
async fn lies() {
    let (cluster, set, name) = web().await;
    let foreign: IpAddr = "10.9.9.9".parse().unwrap();
    let omitted: IpAddr = set.pod("web-1").unwrap().ip().into();
    cluster
        .dns()
        .fail(ForgedAnswer::new().omit("web-1").add_address(foreign));
    let found = addresses(&udp(&cluster, &name, RecordType::A).await);
    assert_eq!(found.len(), 4);
    assert!(found.contains(&foreign) && !found.contains(&omitted));
    let srv = udp(&cluster, &name, RecordType::SRV).await;
    assert!(common::targets(&srv)[3].0.starts_with("10-9-9-9.web."));
    cluster.dns().heal();
    cluster.dns().fail(ForgedAnswer::new().cname("web.example.org"));
    let answer = udp(&cluster, &name, RecordType::A).await;
    assert_eq!(answer.answers[0].record_type(), RecordType::CNAME);
    assert_eq!(answer.answers[0].data.to_string(), "web.example.org.");
    assert_eq!(answer.answers[1].name.to_ascii(), "web.example.org.");
    assert_eq!(addresses(&answer).len(), 4);
}

#[tokio::test]
async fn a_frozen_server_answers_from_the_past() {
    let (cluster, set, name) = web().await;
    cluster.dns().freeze();
    set.scale(1).await.unwrap();
    assert_eq!(addresses(&udp(&cluster, &name, RecordType::A).await).len(), 4);
    cluster.dns().thaw();
    assert_eq!(addresses(&udp(&cluster, &name, RecordType::A).await).len(), 1);
}

#[tokio::test]
async fn queries_are_logged_counted_and_announced() {
    let (cluster, _set, name) = web().await;
    let mut events = cluster.events();
    udp(&cluster, &name.to_uppercase(), RecordType::A).await;
    udp(&cluster, &name, RecordType::AAAA).await;
    tcp(&cluster, &name, RecordType::A).await;
    assert_eq!(cluster.dns().total(), 3);
    assert_eq!(cluster.dns().count_of(&name, Type::A), 2);
    assert_eq!(cluster.dns().count(|q| q.transport == Transport::Tcp), 1);
    assert_eq!(cluster.dns().counts().len(), 3);
    let queries = cluster.dns().queries();
    assert_eq!(queries[1].rtype, Type::Aaaa);
    assert_eq!(format!("{}.", queries[0].name), name);
    for query in queries {
        assert_eq!(events.next().await, Some(Event::DnsQuery(query)));
    }
    let next = cluster.dns().total() + 1;
    let (waited, _) = tokio::join!(cluster.dns().wait_total(next), udp(&cluster, &name, RecordType::A),);
    waited.unwrap();
    let three = cluster.dns().wait_count(3, |q| q.rtype == Type::A);
    three.await.unwrap();
}

#[tokio::test]
async fn several_queries_on_one_connection_and_garbage() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (cluster, _set, name) = web().await;
    let garbage = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    garbage.send_to(b"?", cluster.dns_addr()).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(cluster.dns_addr()).await.unwrap();
    for rtype in [RecordType::A, RecordType::SRV] {
        let bytes = question(&name, rtype, None).to_vec().unwrap();
        stream.write_u16(bytes.len() as u16).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(Message::from_bytes(&reply).unwrap().answers.len(), 4);
    }
}
