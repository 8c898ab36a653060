//! The life of pods: what they serve, and what clients observe while they start and end.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::time::Duration;

use common::{addresses, get, udp};
use headless_testkit::{Address, App, Cluster, Error, Event, Failure, Phase, Roll, Termination, Workload};
use hickory_proto::rr::RecordType;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

async fn web(cluster: &Cluster, replicas: u32) -> Workload {
    let set = cluster.stateful_set("web").service("web");
    let set = set.port("http", 8080).replicas(replicas);
    set.start().await.unwrap()
}

async fn listed(cluster: &Cluster) -> Vec<std::net::IpAddr> {
    addresses(&udp(cluster, &cluster.fqdn("web"), RecordType::A).await)
}

#[tokio::test]
async fn each_pod_answers_for_itself() {
    let cluster = Cluster::builder().start().await.unwrap();
    let web = web(&cluster, 3).await;
    for (ordinal, pod) in web.pods().iter().enumerate() {
        let answer = get(pod.addr(), "/").await.unwrap();
        assert!(answer.contains(&format!("x-pod: web-{ordinal}\r\n")), "{answer}");
        assert!(answer.contains(&format!("x-ordinal: {ordinal}\r\n")));
        assert!(answer.ends_with(&format!("web-{ordinal}\n")));
        assert_eq!(pod.requests(), 1);
    }
    assert_eq!(listed(&cluster).await.len(), 3);
}

#[tokio::test]
async fn echo_says_what_the_pod_saw() {
    let cluster = Cluster::builder().start().await.unwrap();
    let pod = web(&cluster, 1).await.pod("web-0").unwrap();
    let answer = get(pod.addr(), "/echo?x=1").await.unwrap();
    let seen = "method: GET\nhost: test\npath: /echo?x=1\nversion: HTTP/1.1\nbody: 0\n";
    assert!(answer.ends_with(seen), "{answer}");
}

#[tokio::test]
async fn http2_with_prior_knowledge_on_the_same_port() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    let cluster = Cluster::builder().start().await.unwrap();
    let pod = web(&cluster, 1).await.pod("web-0").unwrap();
    let mut client = Client::builder(TokioExecutor::new());
    let client = client.http2_only(true).build_http::<Empty<bytes::Bytes>>();
    let uri: http::Uri = format!("http://{}/echo", pod.addr()).parse().unwrap();
    let answer = client.get(uri).await.unwrap();
    assert_eq!(answer.headers()["x-pod"], "web-0");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("version: HTTP/2.0"), "{text}");
    assert!(text.contains(&format!("host: {}", pod.addr())), "{text}");
}

#[tokio::test]
async fn a_head_over_http2_has_no_body() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    let cluster = Cluster::builder().start().await.unwrap();
    let pod = web(&cluster, 1).await.pod("web-0").unwrap();
    for is_http2 in [true, false] {
        let mut client = Client::builder(TokioExecutor::new());
        let client = client.http2_only(is_http2).build_http::<Empty<bytes::Bytes>>();
        for (path, length) in [("/", Some("6")), ("/stream?chunks=3&step", None)] {
            let uri: http::Uri = format!("http://{}{path}", pod.addr()).parse().unwrap();
            let request = http::Request::head(uri).body(Empty::new()).unwrap();
            let answer = client.request(request).await.unwrap();
            assert_eq!(answer.headers()["x-pod"], "web-0");
            let told = answer
                .headers()
                .get("content-length")
                .map(|length| length.to_str().unwrap());
            assert_eq!(told, length, "what a GET would bring");
            assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
    }
    pod.wait_stats(|stats| stats.in_flight == 0).await.unwrap();
}

#[tokio::test]
async fn a_terminating_pod_leaves_dns_and_serves_on() {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.replicas(2).termination(Termination {
        pre_stop: Duration::from_millis(200),
        ..Termination::default()
    });
    let web = set.start().await.unwrap();
    let mut events = cluster.events();
    let pod = web.terminate("web-1").unwrap();
    assert_eq!(pod.phase(), Phase::Terminating);
    assert_eq!(listed(&cluster).await.len(), 1);
    // During the pre-stop wait as before, keep-alive included.
    let mut stream = TcpStream::connect(pod.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 1024];
    let length = stream.read(&mut buffer).await.unwrap();
    let answer = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
    assert!(answer.starts_with("http/1.1 200") && !answer.contains("connection: close"));
    // A request that is open at SIGTERM is answered, and its connection is closed.
    pod.hold();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    pod.wait_stats(|stats| stats.in_flight == 1).await.unwrap();
    let draining = |event: &Event| matches!(event, Event::PodDraining(pod) if pod.name == "web-1");
    events.until("SIGTERM", draining).await.unwrap();
    pod.release();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    pod.wait_phase(Phase::Gone).await.unwrap();
    assert!(TcpStream::connect(pod.addr()).await.is_err());
}

#[tokio::test]
async fn http2_requests_in_flight_are_finished_before_the_pod_goes() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("h2c", 8080);
    let set = set.termination(Termination {
        pre_stop: Duration::ZERO,
        ..Termination::default()
    });
    let web = set.start().await.unwrap();
    let pod = web.pod("web-0").unwrap();
    let mut client = Client::builder(TokioExecutor::new());
    let client = client.http2_only(true).build_http::<Empty<bytes::Bytes>>();
    let uri: http::Uri = format!("http://{}/", pod.addr()).parse().unwrap();
    pod.hold();
    let request = client.get(uri.clone());
    let end = async {
        pod.wait_stats(|stats| stats.in_flight == 1).await.unwrap();
        let mut events = cluster.events();
        web.terminate("web-0").unwrap();
        let draining = |event: &Event| matches!(event, Event::PodDraining(_));
        events.until("SIGTERM", draining).await.unwrap();
        assert_eq!(pod.phase(), Phase::Terminating);
        pod.release();
    };
    let (answer, ()) = tokio::join!(request, end);
    let body = answer.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "web-0\n");
    // The pod does not wait for its whole grace: the connection ended with GOAWAY.
    pod.wait_phase(Phase::Gone).await.unwrap();
    assert!(client.get(uri).await.is_err());
}

#[tokio::test]
async fn a_pod_that_was_not_ready_is_not_listed_after_its_crash() {
    let cluster = Cluster::builder().start().await.unwrap();
    let web = web(&cluster, 2).await;
    web.set_ready("web-0", false).unwrap();
    let pod = web.kill("web-0").await.unwrap();
    assert_eq!(pod.phase(), Phase::NotReady);
    assert_eq!(listed(&cluster).await.len(), 1);
}

#[tokio::test]
async fn readiness_does_not_bring_a_terminating_pod_back() {
    let cluster = Cluster::builder().start().await.unwrap();
    let web = web(&cluster, 2).await;
    let pod = web.terminate("web-1").unwrap();
    web.set_ready("web-1", true).unwrap();
    assert_eq!(pod.phase(), Phase::Terminating);
    assert_eq!(listed(&cluster).await.len(), 1);
    // Scaling waits until the name is free.
    web.scale(2).await.unwrap();
    assert_eq!(pod.phase(), Phase::Gone);
    assert_ne!(web.pod("web-1").unwrap().uid(), pod.uid());
}

#[tokio::test]
async fn an_evicted_pod_does_not_finish_its_termination() {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.termination(Termination {
        pre_stop: Duration::from_secs(3600),
        ..Termination::default()
    });
    let web = set.start().await.unwrap();
    let pod = web.terminate("web-0").unwrap();
    web.evict("web-0").await.unwrap();
    assert_eq!(pod.phase(), Phase::Gone);
    let again = web.start_pod("web-0", Address::At(pod.ip())).await.unwrap();
    assert_eq!(again.phase(), Phase::Ready);
}

#[tokio::test]
async fn names_that_kubernetes_refuses() {
    let refused = Cluster::builder().namespace("a.b").start().await;
    assert!(matches!(refused, Err(Error::InvalidName { .. })));
    let cluster = Cluster::builder().start().await.unwrap();
    let refused = cluster.stateful_set("Web").start().await;
    assert!(matches!(refused, Err(Error::InvalidName { .. })));
    let web = web(&cluster, 1).await;
    let twice = cluster.stateful_set("web").start().await;
    assert!(matches!(twice, Err(Error::Duplicate { .. })));
    let twice = cluster.service("web").selects(&web).create();
    assert!(matches!(twice, Err(Error::Duplicate { .. })));
}

#[tokio::test]
async fn a_pod_that_keeps_accepting_serves_until_its_grace_is_over() {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.termination(Termination {
        pre_stop: Duration::ZERO,
        stop_accepting: false,
        grace: Duration::from_millis(200),
    });
    let web = set.start().await.unwrap();
    let mut events = cluster.events();
    let pod = web.terminate("web-0").unwrap();
    let draining = |event: &Event| matches!(event, Event::PodDraining(_));
    events.until("SIGTERM", draining).await.unwrap();
    // Not asked to close by the client: the pod does it.
    let mut stream = TcpStream::connect(pod.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    pod.wait_phase(Phase::Gone).await.unwrap();
    assert!(get(pod.addr(), "/").await.is_err());
}

#[tokio::test]
async fn a_roll_keeps_names_and_changes_addresses_from_the_highest_ordinal_down() {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.replicas(3).termination(Termination::at_once());
    let web = set.start().await.unwrap();
    let before = web.pods();
    let mut events = cluster.events();
    web.roll(Roll::default()).await.unwrap();
    let after = web.pods();
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.name(), new.name());
        assert_ne!(old.ip(), new.ip());
        assert_ne!(old.uid(), new.uid());
        assert_eq!(old.phase(), Phase::Gone);
        assert!(get(old.addr(), "/").await.is_err());
        assert!(get(new.addr(), "/").await.is_ok());
    }
    let mut order = Vec::new();
    while order.len() < 3 {
        if let Some(Event::PodReady(pod)) = events.next().await {
            order.push(pod.name);
        }
    }
    assert_eq!(order, ["web-2", "web-1", "web-0"]);
    web.roll(Roll::default().keep_addresses().partition(2)).await.unwrap();
    let again = web.pods();
    assert_eq!(again[2].ip(), after[2].ip());
    assert_ne!(again[2].uid(), after[2].uid());
    assert_eq!(again[1].uid(), after[1].uid());
}

#[tokio::test]
async fn a_killed_pod_refuses_connections_while_dns_lists_it() {
    let cluster = Cluster::builder().start().await.unwrap();
    let web = web(&cluster, 2).await;
    let pod = web.pod("web-1").unwrap();
    pod.hold();
    let mut open = TcpStream::connect(pod.addr()).await.unwrap();
    open.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    pod.wait_stats(|stats| stats.in_flight == 1).await.unwrap();
    web.kill("web-1").await.unwrap();
    assert_eq!(pod.phase(), Phase::Crashed);
    assert_eq!((pod.stats().open, pod.stats().in_flight), (0, 0));
    let refused = TcpStream::connect(pod.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(matches!(open.read(&mut [0]).await, Ok(0) | Err(_)));
    assert_eq!(listed(&cluster).await.len(), 2);
    web.set_ready("web-1", false).unwrap();
    assert_eq!(listed(&cluster).await.len(), 1);
    let new = web.replace("web-1", Address::New).await.unwrap();
    assert_ne!(new.ip(), pod.ip());
    assert_eq!(listed(&cluster).await.len(), 2);
}

#[tokio::test]
async fn a_killed_pod_leaves_dns_after_the_crash_lag() {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.crash_lag(Duration::from_millis(50));
    let web = set.start().await.unwrap();
    let pod = web.kill("web-0").await.unwrap();
    assert_eq!(listed(&cluster).await.len(), 1);
    pod.wait_phase(Phase::Gone).await.unwrap();
    assert!(listed(&cluster).await.is_empty());
}

#[tokio::test]
async fn an_address_can_be_reused_by_another_pod() {
    let cluster = Cluster::builder().start().await.unwrap();
    let web = web(&cluster, 2).await;
    let old = web.pod("web-1").unwrap();
    let taken = web.start_pod("web-5", Address::At(old.ip())).await;
    assert!(matches!(taken, Err(Error::AddressInUse { pod, .. }) if pod == "web-1"));
    web.evict("web-1").await.unwrap();
    let new = web.start_pod("web-5", Address::At(old.ip())).await.unwrap();
    assert_eq!(new.ip(), old.ip());
    assert!(get(old.addr(), "/").await.unwrap().ends_with("web-5\n"));
    let wrong = web.start_pod("api-1", Address::New).await;
    assert!(matches!(wrong, Err(Error::InvalidName { .. })));
    let unknown = web.pod("web-1").unwrap_err().to_string();
    assert_eq!(unknown, "workload web has no pod web-1; it has [web-0, web-5]");
}

#[tokio::test]
async fn scaling_goes_up_and_down_at_the_end() {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.first_ordinal(3).termination(Termination::at_once());
    let web = set.replicas(2).start().await.unwrap();
    let names = || web.pods().iter().map(|p| p.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(), ["web-3", "web-4"]);
    web.scale(4).await.unwrap();
    web.delete("web-4").await.unwrap();
    assert_eq!(names(), ["web-3", "web-5", "web-6"]);
    web.scale(3).await.unwrap();
    assert_eq!(names(), ["web-3", "web-4", "web-5"]);
    web.scale(0).await.unwrap();
    assert!(cluster.pods().is_empty());
}

#[tokio::test]
async fn a_deployment_rolls_with_a_surge_and_new_names() {
    let cluster = Cluster::builder().seed(3).start().await.unwrap();
    let api = cluster.deployment("web").service("web").port("http", 80);
    let api = api.replicas(2).termination(Termination::at_once());
    let api = api.start().await.unwrap();
    let before = api.pods();
    let mut events = cluster.events();
    api.roll(Roll::default()).await.unwrap();
    assert_eq!(api.ready().len(), 2);
    assert!(before.iter().all(|pod| pod.phase() == Phase::Gone));
    let first = events.until("a pod", |event| event.pod().is_some()).await;
    assert!(matches!(first, Ok(Event::PodStarted(_))));
}

#[tokio::test]
async fn a_pod_is_listed_when_its_startup_is_over() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut events = cluster.events();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let starting = set.startup(Duration::from_millis(50)).start();
    let pending = async {
        let started = |event: &Event| matches!(event, Event::PodStarted(_));
        events.until("a start", started).await.unwrap();
        assert!(listed(&cluster).await.is_empty());
    };
    let (web, ()) = tokio::join!(starting, pending);
    assert_eq!(web.unwrap().ready().len(), 1);
    assert_eq!(listed(&cluster).await.len(), 1);
}

#[tokio::test]
async fn failures_and_their_end() {
    let cluster = Cluster::builder().start().await.unwrap();
    let pod = web(&cluster, 1).await.pod("web-0").unwrap();
    pod.fail_next(1, Failure::Status(503));
    assert!(get(pod.addr(), "/").await.unwrap().starts_with("HTTP/1.1 503"));
    assert!(get(pod.addr(), "/").await.unwrap().starts_with("HTTP/1.1 200"));
    pod.fail_next(1, Failure::CloseConnection);
    assert!(!get(pod.addr(), "/").await.is_ok_and(|text| !text.is_empty()));

    pod.fail(Failure::Refuse);
    let closed = pod.wait_stats(|stats| stats.listening == 0);
    closed.await.unwrap();
    let refused = TcpStream::connect(pod.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    pod.heal();
    let opened = pod.wait_stats(|stats| stats.listening == 1);
    opened.await.unwrap();

    let accepted = pod.stats().accepted;
    pod.fail(Failure::StallAccept);
    let mut waiting = TcpStream::connect(pod.addr()).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    waiting.write_all(request).await.unwrap();
    assert_eq!(pod.stats().accepted, accepted);
    pod.heal();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"));

    let served = pod.requests();
    pod.fail(Failure::Blackhole);
    let mut hung = TcpStream::connect(pod.addr()).await.unwrap();
    let accepted = pod.wait_stats(|stats| stats.open == 1);
    accepted.await.unwrap();
    hung.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    pod.heal();
    get(pod.addr(), "/").await.unwrap();
    assert_eq!(pod.requests(), served + 1, "the hung request is not read as one");
    assert_eq!(
        hung.try_read(&mut [0]).unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn a_stepped_body_is_sent_chunk_by_chunk_and_counts_to_its_end() {
    let cluster = Cluster::builder().start().await.unwrap();
    let pod = web(&cluster, 1).await.pod("web-0").unwrap();
    let mut stream = TcpStream::connect(pod.addr()).await.unwrap();
    stream
        .write_all(b"GET /stream?chunks=2&bytes=4&step HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    pod.release_chunks(1);
    let mut lines = BufReader::new(stream).lines();
    while lines.next_line().await.unwrap().unwrap() != "xxxx" {}
    assert_eq!(pod.stats().in_flight, 1);
    pod.release_chunks(1);
    while lines.next_line().await.unwrap().unwrap() != "xxxx" {}
    pod.wait_stats(|stats| stats.in_flight == 0).await.unwrap();
}

#[tokio::test]
async fn the_line_echo_and_custom_applications() {
    let cluster = Cluster::builder().start().await.unwrap();
    let custom = App::custom(|pod, mut stream: TcpStream| async move {
        let _ = stream.write_all(format!("I am {}\n", pod.name()).as_bytes()).await;
        pod.draining().await;
        let _ = stream.write_all(b"bye\n").await;
    });
    for (name, app, expected) in [
        ("echo", App::echo(), vec!["echo-0 hello"]),
        ("custom", custom, vec!["I am custom-0", "bye"]),
    ] {
        let set = cluster.stateful_set(name).port("p", 7000).app(app);
        let set = set.start().await.unwrap();
        let pod = set.pod(&format!("{name}-0")).unwrap();
        let mut stream = BufReader::new(TcpStream::connect(pod.addr()).await.unwrap());
        stream.write_all(b"hello\n").await.unwrap();
        let mut lines = stream.lines();
        let first = lines.next_line().await.unwrap();
        set.terminate(pod.name()).unwrap();
        let mut got = vec![first.unwrap()];
        // Reset instead of end: the custom application never read the line.
        while let Ok(Some(line)) = lines.next_line().await {
            got.push(line);
        }
        assert_eq!(got, expected);
        pod.wait_phase(Phase::Gone).await.unwrap();
    }
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let cluster = Cluster::builder().start().await.unwrap();
    let pod = web(&cluster, 1).await.pod("web-0").unwrap();
    pod.set_latency(Duration::from_millis(50));
    let begun = tokio::time::Instant::now();
    get(pod.addr(), "/").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn clusters_live_side_by_side_and_end_when_dropped() {
    let first = Cluster::builder().seed(1).start().await.unwrap();
    let second = Cluster::builder().seed(1).start().await.unwrap();
    let (left, right) = (web(&first, 2).await, web(&second, 2).await);
    assert_ne!(listed(&first).await, listed(&second).await);
    let pod = left.pods()[0].clone();
    let mut events = first.events();
    drop(first);
    assert_eq!(events.next().await, None);
    assert_eq!(pod.phase(), Phase::Gone);
    let closed = pod.wait_stats(|stats| stats.listening == 0);
    closed.await.unwrap();
    assert!(TcpStream::connect(pod.addr()).await.is_err());
    assert!(matches!(left.scale(5).await, Err(Error::Stopped)));
    assert!(get(right.pods()[0].addr(), "/").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_lists_all_but_one_pod_at_each_moment_of_a_roll() {
    let cluster = Cluster::builder().start().await.unwrap();
    let set = cluster.stateful_set("web").service("web").port("http", 8080);
    let set = set.replicas(5).termination(Termination {
        pre_stop: Duration::from_millis(5),
        ..Termination::default()
    });
    let web = set.start().await.unwrap();
    let mut roll = std::pin::pin!(web.roll(Roll::default()));
    let mut seen = std::collections::BTreeSet::new();
    loop {
        tokio::select! {
            done = &mut roll => break done.unwrap(),
            now = listed(&cluster) => {
                assert!((4..=5).contains(&now.len()), "{now:?}");
                seen.extend(now);
            }
        }
    }
    seen.extend(listed(&cluster).await);
    assert!(seen.len() > 5);
}

#[tokio::test]
async fn a_deleted_service_is_unknown_and_its_pods_go_on() {
    let cluster = Cluster::builder().start().await.unwrap();
    let web = web(&cluster, 1).await;
    assert!(cluster.delete_service("web"));
    assert!(!cluster.delete_service("web"));
    assert!(listed(&cluster).await.is_empty());
    assert!(get(web.pods()[0].addr(), "/").await.is_ok());
}

#[test]
fn clusters_on_several_threads_do_not_clash() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let cluster = Cluster::builder().start().await.unwrap();
            let web = web(&cluster, 3).await;
            for pod in web.pods() {
                assert!(get(pod.addr(), "/").await.unwrap().contains(pod.name()));
            }
        });
    };
    let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(run)).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
