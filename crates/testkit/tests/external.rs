//! Pods whose programs open the sockets themselves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use headless_testkit::{App, Cluster, Error, Event, Phase, Pod, Termination};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Accepts connections until `end` or, if it is obedient, SIGTERM.
fn program(end: Arc<Notify>, is_obedient: bool) -> App {
    App::external(move |pod: Pod| {
        let end = Arc::clone(&end);
        async move {
            let listener = TcpListener::bind(pod.addr()).await.unwrap();
            loop {
                tokio::select! {
                    accepted = listener.accept() => drop(accepted),
                    () = pod.draining(), if is_obedient => return,
                    () = end.notified() => return,
                }
            }
        }
    })
}

fn at_once(grace: Duration) -> Termination {
    Termination {
        pre_stop: Duration::ZERO,
        stop_accepting: false,
        grace,
    }
}

#[tokio::test]
async fn a_pod_is_ready_when_its_program_accepts_and_gone_when_it_has_ended() {
    let cluster = Cluster::builder().start().await.unwrap();
    let listen = Arc::new(Notify::new());
    let begin = Arc::clone(&listen);
    let app = App::external(move |pod: Pod| {
        let begin = Arc::clone(&begin);
        async move {
            begin.notified().await;
            let _listener = TcpListener::bind(pod.addr()).await.unwrap();
            pod.draining().await;
        }
    });
    let mut events = cluster.events();
    let web = cluster.stateful_set("web").port("http", 8080).app(app);
    // Far more than the test takes: the pod ends with its program.
    let starting = web.termination(at_once(Duration::from_secs(3600))).start();
    let begun = async {
        let event = events.until("a pod", |_| true).await.unwrap();
        assert!(matches!(event, Event::PodStarted(_)));
        assert_eq!(cluster.pods()[0].phase(), Phase::Pending);
        listen.notify_one();
    };
    let (web, ()) = tokio::join!(starting, begun);
    let web = web.unwrap();
    let pod = web.pod("web-0").unwrap();
    assert_eq!(pod.phase(), Phase::Ready);
    web.delete("web-0").await.unwrap();
    assert_eq!(pod.phase(), Phase::Gone);
}

#[tokio::test]
async fn a_program_that_does_not_end_is_dropped_after_the_grace_and_when_it_is_killed() {
    let cluster = Cluster::builder().start().await.unwrap();
    let web = cluster.stateful_set("web").port("http", 8080).replicas(2);
    let web = web.termination(at_once(Duration::from_millis(20)));
    let web = web.app(program(Arc::default(), false)).start().await.unwrap();
    let pods = web.pods();
    web.kill("web-1").await.unwrap();
    assert_eq!(pods[1].phase(), Phase::Crashed);
    web.delete("web-0").await.unwrap();
    for pod in &pods {
        assert!(TcpStream::connect(pod.addr()).await.is_err());
    }
}

#[tokio::test]
async fn a_program_that_ends_by_itself_has_crashed() {
    let cluster = Cluster::builder().start().await.unwrap();
    let end = Arc::<Notify>::default();
    let web = cluster.stateful_set("web").port("http", 8080);
    let web = web.app(program(Arc::clone(&end), true)).start().await.unwrap();
    end.notify_one();
    web.pod("web-0").unwrap().wait_phase(Phase::Crashed).await.unwrap();

    let never = cluster.stateful_set("never").port("http", 8080);
    let failed = never.app(App::external(|_| async {})).start().await.unwrap_err();
    assert!(matches!(failed, Error::ProgramEnded { .. }), "{failed}");
}
