//! The raw pod: what its scripts read, how their connections end, and what is counted. The client
//! is a bare socket.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use headless_testkit::{App, Cluster, RawConnection, RawPod};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn connect(pod: &RawPod) -> TcpStream {
    TcpStream::connect(pod.addr()).unwrap()
}

#[test]
fn a_request_is_read_with_its_body_and_the_next_one_after_it() {
    let pod = RawPod::answering("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let mut stream = connect(&pod);
    let requests = b"PUT /a HTTP/1.1\r\nX: 1\r\nContent-Length: 3\r\nx: 2\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n";
    stream.write_all(requests).unwrap();
    let mut answers = [0; 54];
    stream.read_exact(&mut answers).unwrap();
    let seen = pod.requests();
    assert_eq!(
        (seen[0].method(), seen[0].path(), &*seen[0].body),
        ("PUT", "/a", &b"abc"[..])
    );
    assert_eq!(seen[0].fields("x").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((seen[1].method(), seen[1].path(), seen[1].body.len()), ("GET", "/b", 0));
    assert_eq!(pod.received(0), requests);
    assert_eq!(pod.stats().requests, 2);
}

#[test]
fn bytes_are_counted_and_what_was_read_too_far_stays() {
    let pod = RawPod::start(|mut connection| async move {
        let three = connection.read(3).await.unwrap();
        let head = connection.head().await.unwrap();
        connection.write(three).await;
        connection.write(head.head).await;
        connection.finish().await;
        connection.write("not sent").await;
        connection.rest().await;
    })
    .unwrap();
    let mut stream = connect(&pod);
    stream.write_all(b"123GET / HTTP/1.1\r\n\r\nrest").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "123GET / HTTP/1.1\r\n\r\n");
}

#[tokio::test]
async fn a_connection_ends_by_fin_by_reset_or_not_at_all() {
    let pod = RawPod::start(|mut connection| async move {
        let request = connection.request().await.unwrap();
        match request.path() {
            "/reset" => connection.reset(),
            "/stall" => connection.stall().await,
            _ => {}
        }
    })
    .unwrap();
    let asked = |path: &str| {
        let mut stream = connect(&pod);
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        stream
    };
    assert_eq!(asked("/fin").read(&mut [0]).unwrap(), 0);
    assert_eq!(
        asked("/reset").read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    let mut stalled = asked("/stall");
    let stats = pod
        .wait_stats(|stats| (stats.requests, stats.open) == (3, 1))
        .await
        .unwrap();
    assert_eq!(stats.accepted, 3);
    stalled.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert_eq!(stalled.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let addr = pod.addr();
    drop(pod);
    assert_eq!(
        TcpStream::connect(addr).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    stalled.set_read_timeout(None).unwrap();
    assert_eq!(stalled.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_script_that_panics_ends_its_connection_only() {
    let pod = RawPod::start(|mut connection| async move {
        let request = connection.request().await.unwrap();
        assert_ne!(request.path(), "/panic");
        connection.write("ok").await;
    })
    .unwrap();
    for (path, expected) in [("/panic", ""), ("/", "ok")] {
        let mut stream = connect(&pod);
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
}

#[tokio::test]
async fn a_custom_application_counts_its_requests() {
    let app = App::custom(|pod, stream| async move {
        let mut connection = RawConnection::new(stream);
        while connection.request().await.is_some() {
            let in_flight = pod.begin_request();
            connection.write("begun").await;
            // The answer is over when the client says so.
            connection.read(1).await;
            drop(in_flight);
        }
    });
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster
        .stateful_set("raw")
        .port("p", 7000)
        .app(app)
        .start()
        .await
        .unwrap();
    let pod = set.pod("raw-0").unwrap();
    let mut stream = tokio::net::TcpStream::connect(pod.addr()).await.unwrap();
    for number in 1..=2 {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!((pod.requests(), pod.stats().in_flight), (number, 1));
        stream.write_all(b".").await.unwrap();
        pod.wait_stats(|stats| stats.in_flight == 0).await.unwrap();
    }
}
