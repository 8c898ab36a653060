//! Connections whose peers are frames that the tests write themselves.

use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::poll;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::waiting::LEAST_SILENCE;
use super::*;
use crate::classify::{Classification, classify};
use crate::connector::HeadLimits;
use crate::request_body::RequestBody;

/// SETTINGS that allow `streams` streams.
fn allow(streams: u8) -> [u8; 15] {
    [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams]
}

const NO_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// The last stream is 1, and nothing is wrong.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// `:status: 200` on stream 1, which ends it.
const ANSWER: [u8; 10] = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88];

/// A window update of the connection: a frame that answers nothing.
const OTHER: [u8; 13] = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];

const HEADERS: u8 = 1;
const PING: u8 = 6;
const ACK: u8 = 1;

const LIMITS: HeadLimits = HeadLimits {
    fields: 256,
    bytes: 10_000,
};

async fn opened(first: &[u8]) -> (Handle, DuplexStream) {
    let (ours, mut theirs) = duplex(100_000);
    theirs.write_all(first).await.unwrap();
    let (handle, driver) = open(ours, Settings::default(), LIMITS).await.unwrap();
    tokio::spawn(driver.run());
    theirs.read_exact(&mut [0; 24]).await.unwrap();
    (handle, theirs)
}

fn order() -> Request<RequestBody> {
    Request::post("http://web/").body("order".into()).unwrap()
}

/// Reads until a frame of this type that is no acknowledgement, and returns its payload.
async fn frame(peer: &mut DuplexStream, wanted: u8) -> Vec<u8> {
    loop {
        let mut header = [0; 9];
        peer.read_exact(&mut header).await.unwrap();
        let [a, b, c, kind, flags, ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        peer.read_exact(&mut payload).await.unwrap();
        if kind == wanted && flags & ACK == 0 {
            return payload;
        }
    }
}

/// Counts how often the pool is told that it allows another number of streams.
fn watched(handle: &Handle) -> Arc<AtomicUsize> {
    let told = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&told);
    handle.watch(CapacityChanged::new(move || {
        count.fetch_add(1, Relaxed);
    }));
    told
}

/// Gives up a request after this time.
async fn give_up(handle: &Handle, after: Duration) {
    assert!(timeout(after, handle.send(&mut order())).await.is_err());
}

#[tokio::test]
async fn the_limit_of_streams_is_known_at_once_and_stays_the_peers() {
    let (handle, mut peer) = opened(&allow(2)).await;
    let told = watched(&handle);
    assert_eq!(handle.stream_limit(), 2);
    let other = handle.clone();
    for (times, limit) in [(1, 7), (2, 0), (3, 200)] {
        peer.write_all(&allow(limit)).await.unwrap();
        while told.load(Relaxed) < times {
            yield_now().await;
        }
        assert_eq!(other.stream_limit(), usize::from(limit));
    }
    let (handle, _peer) = opened(&NO_SETTINGS).await;
    assert_eq!(handle.stream_limit(), usize::MAX);
}

#[tokio::test]
async fn after_a_goaway_it_takes_no_more() {
    let (handle, mut peer) = opened(&NO_SETTINGS).await;
    let told = watched(&handle);
    assert!(!handle.is_closed());
    peer.write_all(&GOAWAY).await.unwrap();
    while told.load(Relaxed) == 0 {
        yield_now().await;
    }
    assert!(handle.is_closed());
    let failed = handle.send(&mut order()).await.unwrap_err();
    assert!(failed.returned.is_some_and(|request| request.body().is_replayable()));
}

#[tokio::test]
async fn a_peer_that_closes_at_once_is_no_connection() {
    let (ours, theirs) = duplex(10_000);
    let opening = open(ours, Settings::default(), LIMITS);
    let (opened, ()) = tokio::join!(opening, async move { drop(theirs) });
    assert!(opened.is_err());
}

#[tokio::test]
async fn a_request_that_waits_for_its_turn_is_not_blamed_on_its_body() {
    let (handle, mut peer) = opened(&allow(1)).await;
    let (mut first, mut second) = (order(), order());
    let mut requests = pin!(futures_util::future::join(
        handle.send(&mut first),
        handle.send(&mut second)
    ));
    for _ in 0..100 {
        assert!(poll!(requests.as_mut()).is_pending());
        yield_now().await;
    }
    peer.write_all(&GOAWAY).await.unwrap();
    drop(peer);
    let (first, second) = requests.await;
    let [first, second] = [first, second].map(|failed| classify(&failed.unwrap_err().error.unwrap()));
    assert_eq!(first, Classification::Connection);
    assert_eq!(second, Classification::NotProcessed);
}

#[tokio::test]
async fn a_request_on_a_connection_that_has_ended_comes_back_as_it_was() {
    let (handle, peer) = opened(&NO_SETTINGS).await;
    drop(peer);
    while !handle.is_closed() {
        yield_now().await;
    }
    let mut request = order();
    request.headers_mut().insert("x-order", "7".parse().unwrap());
    request.extensions_mut().insert(7_u8);
    let failed = handle.send(&mut request).await.unwrap_err();
    let returned = failed.returned.unwrap();
    assert_eq!(returned.method(), "POST");
    assert_eq!(returned.uri(), "http://web/");
    assert_eq!(returned.headers()["x-order"], "7");
    assert_eq!(returned.extensions().get(), Some(&7_u8));
    assert!(returned.body().is_replayable());
}

#[tokio::test]
async fn a_request_that_cannot_be_expressed_is_not_the_connections_fault() {
    let (handle, _peer) = opened(&NO_SETTINGS).await;
    let mut request = order();
    request.headers_mut().insert("connection", "x".parse().unwrap());
    let failed = handle.send(&mut request).await.unwrap_err();
    assert!(failed.returned.is_none());
    assert_eq!(classify(&failed.error.unwrap()), Classification::Request);
    assert!(!handle.is_closed());
}

#[tokio::test]
async fn the_last_handle_closes_the_connection() {
    let (handle, mut peer) = opened(&NO_SETTINGS).await;
    drop(handle.clone());
    assert!(!handle.is_closed());
    drop(handle);
    tokio::io::copy(&mut peer, &mut tokio::io::sink()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_has_to_prove_itself() {
    let (handle, mut peer) = opened(&NO_SETTINGS).await;
    let told = watched(&handle);
    give_up(&handle, Duration::from_millis(300)).await;
    assert!(handle.is_suspect());
    let mut ping = frame(&mut peer, PING).await;
    peer.write_all(&OTHER).await.unwrap();
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(handle.is_suspect(), "only the answer proves it");
    let mut pong = vec![0, 0, 8, PING, ACK, 0, 0, 0, 0];
    pong.append(&mut ping);
    peer.write_all(&pong).await.unwrap();
    while told.load(Relaxed) == 0 {
        yield_now().await;
    }
    assert!(!handle.is_suspect() && !handle.is_closed());
    // The stream that was given up was 1.
    let mut request = order();
    let answer = async {
        frame(&mut peer, HEADERS).await;
        let mut answer = ANSWER;
        answer[8] = 3;
        peer.write_all(&answer).await.unwrap();
    };
    let (answer, ()) = tokio::join!(handle.send(&mut request), answer);
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_not_answered_ends_the_connection() {
    let (handle, _peer) = opened(&NO_SETTINGS).await;
    let told = watched(&handle);
    let mut request = order();
    let (waiting, ()) = tokio::join!(handle.send(&mut request), async {
        give_up(&handle, Duration::from_millis(300)).await;
        assert!(handle.is_suspect());
    });
    let error = waiting.unwrap_err().error.unwrap();
    assert!(error.to_string().contains("PING"), "{error}");
    assert_eq!(classify(&error), Classification::Connection);
    assert!(handle.is_closed());
    while told.load(Relaxed) == 0 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn silence_counts_from_the_first_request_in_it() {
    let (handle, _peer) = opened(&NO_SETTINGS).await;
    let short = LEAST_SILENCE / 3;
    give_up(&handle, short).await;
    give_up(&handle, short).await;
    assert!(!handle.is_suspect(), "callers that gave up at once");
    give_up(&handle, 2 * short).await;
    assert!(handle.is_suspect(), "but nothing came for long");

    let (handle, mut peer) = opened(&NO_SETTINGS).await;
    let mut request = order();
    let heard = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        peer.write_all(&OTHER).await.unwrap();
        std::future::pending::<()>().await;
    };
    let given_up = timeout(
        Duration::from_millis(300),
        futures_util::future::join(handle.send(&mut request), heard),
    );
    assert!(given_up.await.is_err());
    assert!(!handle.is_suspect(), "the peer is there, and slow");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_given_up_in_silence_counts_too() {
    use http_body_util::BodyExt;

    let (handle, mut peer) = opened(&NO_SETTINGS).await;
    let mut request = order();
    let answer = async {
        frame(&mut peer, HEADERS).await;
        let mut head = ANSWER;
        // It does not end the stream.
        head[4] = 4;
        peer.write_all(&head).await.unwrap();
    };
    let (answer, ()) = tokio::join!(handle.send(&mut request), answer);
    let mut body = answer.unwrap().into_body();
    let rest = timeout(Duration::from_millis(300), body.frame());
    assert!(rest.await.is_err());
    assert!(!handle.is_suspect(), "it is still wanted");
    drop(body);
    assert!(handle.is_suspect());
}

#[test]
fn settings_that_do_not_work_are_refused_with_their_names() {
    let good = Settings::default();
    assert_eq!(good.check(), Ok(()));
    let keep_alive = good.keep_alive;
    for (settings, name) in [
        (Settings { max_streams: 0, ..good }, "http2_max_concurrent_streams"),
        (
            Settings {
                max_streams: usize::MAX,
                ..good
            },
            "http2_max_concurrent_streams",
        ),
        (
            Settings {
                stream_window: Some(0),
                ..good
            },
            "http2_stream_window",
        ),
        (
            Settings {
                stream_window: Some(u32::MAX),
                ..good
            },
            "http2_stream_window",
        ),
        (
            Settings {
                keep_alive: KeepAlive {
                    interval: Some(Duration::ZERO),
                    ..keep_alive
                },
                ..good
            },
            "http2_keep_alive_interval",
        ),
        (
            Settings {
                keep_alive: KeepAlive {
                    timeout: Duration::MAX,
                    ..keep_alive
                },
                ..good
            },
            "http2_keep_alive_timeout",
        ),
    ] {
        let problem = settings.check().unwrap_err();
        assert!(problem.contains(name), "{problem}");
    }
}

#[test]
fn the_windows_of_all_streams_fit_into_the_connections() {
    for max_streams in [1, 2, 100, 2047, 2048, 10_000, 32_768] {
        let settings = Settings {
            max_streams,
            ..Settings::default()
        };
        assert_eq!(settings.check(), Ok(()), "{max_streams}");
        let all = settings.window() as usize * max_streams;
        assert!(settings.connection_window() as usize >= all, "{max_streams}");
    }
}
