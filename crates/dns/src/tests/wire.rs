//! Questions over real sockets to small servers on loopback: how the DNS library handles them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless_core::{FailureKind, NegativeKind};
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{self, RData};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::name_servers::{NameServers, ServerSource};
use crate::records::{Data, Kind, LookupError, Question, Record, Transport};

const WEB: &str = "web.shop.svc.cluster.local.";

/// Starts a name server on loopback that answers each query as `respond` does, or not at all if
/// that returns nothing.
async fn serve(respond: impl Fn(&Query, Message) -> Option<Message> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(serve_udp(socket, respond));
    addr
}

/// Starts a name server whose answers never fit into UDP; `respond` makes those over TCP.
async fn serve_too_much(respond: impl Fn(&Query, Message) -> Option<Message> + Send + 'static) -> SocketAddr {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        // Another program may use the UDP port of this number.
        if let Ok(socket) = UdpSocket::bind(addr).await {
            tokio::spawn(serve_udp(socket, truncated));
            tokio::spawn(serve_tcp(listener, respond));
            return addr;
        }
    }
}

async fn serve_udp(socket: UdpSocket, respond: impl Fn(&Query, Message) -> Option<Message>) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        if let Some(response) = respond_to(&buffer[..length], &respond) {
            socket.send_to(&response, client).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, respond: impl Fn(&Query, Message) -> Option<Message>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        while let Ok(length) = stream.read_u16().await {
            let mut query = vec![0; usize::from(length)];
            stream.read_exact(&mut query).await.unwrap();
            let response = respond_to(&query, &respond).unwrap();
            stream.write_u16(u16::try_from(response.len()).unwrap()).await.unwrap();
            stream.write_all(&response).await.unwrap();
        }
    }
}

fn respond_to(query: &[u8], respond: &impl Fn(&Query, Message) -> Option<Message>) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).unwrap();
    assert_eq!(query.edns.as_ref().unwrap().max_payload(), 4096, "EDNS is on");
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.add_query(query.queries[0].clone());
    respond(&query.queries[0], response).map(|response| response.to_vec().unwrap())
}

fn name(name: &str) -> rr::Name {
    rr::Name::from_ascii(name).unwrap()
}

fn with_code(code: ResponseCode) -> impl Fn(&Query, Message) -> Option<Message> {
    move |_, mut response| {
        response.metadata.response_code = code;
        Some(response)
    }
}

fn with_address(query: &Query, mut response: Message) -> Option<Message> {
    let data = RData::A(rr::rdata::A::new(10, 0, 0, 1));
    response.add_answer(rr::Record::from_rdata(query.name().clone(), 0, data));
    Some(response)
}

fn client(servers: &[SocketAddr]) -> NameServers {
    NameServers::new(ServerSource::Fixed, servers, Duration::from_millis(300)).unwrap()
}

fn web() -> Question {
    Question::new(Kind::A, WEB)
}

#[tokio::test]
async fn records_come_through_with_their_ttl_and_in_lower_case() {
    let addr = serve(|query, mut response| {
        let srv = rr::rdata::SRV::new(0, 50, 8080, name("WEB-0.web.shop.svc.cluster.local."));
        response.add_answer(rr::Record::from_rdata(query.name().clone(), 5, RData::SRV(srv)));
        Some(response)
    });
    let records = client(&[addr.await])
        .query(&Question::new(Kind::Srv, WEB))
        .await
        .unwrap();
    let data = Data::Srv {
        target: "web-0.web.shop.svc.cluster.local.".to_owned(),
        port: 8080,
    };
    assert_eq!(
        records.answers,
        [Record {
            owner: WEB.to_owned(),
            ttl: Duration::from_secs(5),
            data
        }]
    );
}

#[tokio::test]
async fn nothing_is_cached_and_no_zone_is_answered_at_home() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let addr = serve(move |query, mut response| {
        seen.lock().unwrap().push(query.name().to_ascii());
        let target = rr::rdata::PTR(name(WEB));
        response.add_answer(rr::Record::from_rdata(query.name().clone(), 3600, RData::PTR(target)));
        Some(response)
    });
    let client = client(&[addr.await]);
    let question = Question::reverse("127.0.0.1".parse().unwrap());
    for _ in 0..2 {
        assert_eq!(
            client.query(&question).await.unwrap().answers[0].data,
            Data::Name(WEB.to_owned())
        );
    }
    assert_eq!(
        *asked.lock().unwrap(),
        ["1.0.0.127.in-addr.arpa.", "1.0.0.127.in-addr.arpa."]
    );
}

fn truncated(_: &Query, mut response: Message) -> Option<Message> {
    response.metadata.truncation = true;
    Some(response)
}

#[tokio::test]
async fn what_does_not_fit_into_udp_comes_over_tcp() {
    let addr = serve_too_much(with_address).await;
    let client = client(&[addr]);
    for _ in 0..2 {
        assert_eq!(
            client.query(&web()).await.unwrap().answers[0].data,
            Data::Ip("10.0.0.1".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_into_tcp_either_is_truncated() {
    let addr = serve_too_much(truncated).await;
    assert_eq!(client(&[addr]).query(&web()).await, Err(LookupError::Truncated));
}

#[tokio::test]
async fn a_negative_answer_is_not_put_to_the_next_server() {
    let first = serve(|_, mut response| {
        let soa = rr::rdata::SOA::new(
            name("ns.dns.cluster.local."),
            name("hostmaster.cluster.local."),
            1,
            7200,
            1800,
            86400,
            5,
        );
        response.add_authority(rr::Record::from_rdata(name("cluster.local."), 30, RData::SOA(soa)));
        response.metadata.response_code = ResponseCode::NXDomain;
        Some(response)
    });
    let second = serve(with_address);
    let Err(LookupError::Negative(negative)) = client(&[first.await, second.await]).query(&web()).await else {
        panic!()
    };
    assert_eq!(
        (negative.kind, negative.ttl),
        (NegativeKind::NoSuchName, Some(Duration::from_secs(5)))
    );
}

#[tokio::test]
async fn a_failure_is_put_to_the_next_server_which_is_then_asked_first() {
    let failing = serve(with_code(ResponseCode::ServFail)).await;
    let silent = serve(|_, _| None).await;
    let good = serve(with_address).await;
    let client = client(&[failing, silent, good]);
    for _ in 0..2 {
        assert_eq!(
            client.query(&web()).await.unwrap().answers[0].data,
            Data::Ip("10.0.0.1".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn if_all_fail_the_failure_names_them_all() {
    let refusing = serve(with_code(ResponseCode::Refused)).await;
    let silent = serve(|_, _| None).await;
    let Err(LookupError::Failed(failure)) = client(&[refusing, silent]).query(&web()).await else {
        panic!()
    };
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(
        failure.detail.contains(&refusing.to_string()) && failure.detail.contains(&silent.to_string()),
        "{failure}"
    );
}

#[tokio::test]
async fn what_fits_of_an_answer_that_is_too_large_for_tcp_is_kept() {
    let addr =
        serve_too_much(|query, response| with_address(query, response).and_then(|response| truncated(query, response)));
    let records = client(&[addr.await]).query(&web()).await.unwrap();
    assert!(records.truncated);
    assert_eq!(records.answers.len(), 1);
}

#[tokio::test]
async fn an_answer_to_another_question_or_of_another_class_is_refused_over_tcp() {
    let other = |query: &Query, mut response: Message| {
        response.queries[0].set_name(name("other.shop.svc.cluster.local."));
        with_address(query, response)
    };
    let chaos = |query: &Query, response: Message| {
        let mut response = with_address(query, response)?;
        response.answers[0].dns_class = rr::DNSClass::CH;
        Some(response)
    };
    for addr in [serve_too_much(other).await, serve_too_much(chaos).await] {
        let Err(LookupError::Failed(failure)) = client(&[addr]).query(&web()).await else {
            panic!()
        };
        assert_eq!(failure.kind, FailureKind::Malformed, "{failure}");
    }
}

#[tokio::test]
async fn a_ttl_that_is_no_number_of_seconds_is_zero() {
    for (ttl, seconds) in [
        (u32::MAX, 0),
        (0x8000_0000, 0),
        (0x7fff_ffff, 0x7fff_ffff),
        (0, 0),
        (30, 30),
    ] {
        let addr = serve(move |query, response| {
            let mut response = with_address(query, response)?;
            response.answers[0].ttl = ttl;
            Some(response)
        });
        let records = client(&[addr.await]).query(&web()).await.unwrap();
        assert_eq!(records.answers[0].ttl, Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn as_many_records_as_a_message_holds_are_read() {
    let addr = serve_too_much(|query, mut response| {
        for i in 0..1500_u32 {
            let data = RData::A(rr::rdata::A(std::net::Ipv4Addr::from(0x0a00_0000 + i)));
            response.add_answer(rr::Record::from_rdata(query.name().clone(), 5, data));
        }
        Some(response)
    });
    assert_eq!(client(&[addr.await]).query(&web()).await.unwrap().answers.len(), 1500);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // It answers one query per connection.
        while let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut query = vec![0; usize::from(length)];
            stream.read_exact(&mut query).await.unwrap();
            stream.write_u16(length).await.unwrap();
            stream.write_all(&query).await.unwrap();
        }
    });
    let tcp = crate::tcp::Tcp::new(addr);
    for i in 0..5_u8 {
        assert_eq!(tcp.exchange(&[i; 20]).await.unwrap(), [i; 20]);
    }
}
