//! TLS to the pods: which CAs are trusted, which name the pods prove, what is remembered of each,
//! and what the errors say.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/pki.rs"]
mod pki;

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::Web;
use headless::PoolConfig;
use headless::policy::RoundRobin;
use headless_http::{Client, ClientBuilder, Error, Pem, Protocol, Tls, TlsProvider, Verify};
use headless_testkit::App;
use http::Request;
use http_body_util::BodyExt;
use pki::{Ca, Observation, SERVICE, Server, app_of, serve};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use tokio::sync::Notify;
use tokio_rustls::rustls::crypto::ring;

/// Trusts this CA. The provider is named, so that the tests run with both compiled in too.
fn trust(ca: &Ca) -> Tls {
    Tls::with_ca(ca.pem()).provider(TlsProvider::Ring)
}

async fn builder(web: &Web, tls: Tls) -> ClientBuilder {
    let mut pool = PoolConfig::default();
    // A busy machine must not fail the test.
    pool.connect_timeout = Duration::from_secs(30);
    web.builder().await.policy(RoundRobin::default()).pool(pool).tls(tls)
}

async fn client(web: &Web, tls: Tls) -> Client {
    builder(web, tls).await.build().unwrap()
}

async fn ask(client: &Client, path: &str) -> Result<Observation, Error> {
    Ok(Observation::parse(&client.get(path).await?.text().await?))
}

/// Returns why the only pod of `web` cannot be connected to.
///
/// The second connection to it shows that the first has failed. The rest of the wait then takes no
/// time.
async fn unreachable(web: &Web, client: Client) -> String {
    let asking = tokio::spawn(async move { client.get("/").await });
    let pod = web.set.pod("web-0").unwrap();
    pod.wait_stats(|stats| stats.accepted >= 2).await.unwrap();
    tokio::time::pause();
    let error = asking.await.unwrap().unwrap_err();
    tokio::time::resume();
    assert!(matches!(error, Error::Acquire(_)), "{error}");
    error.to_string()
}

/// Returns why no pod of `web` can be connected to. It is certain at once, and each pod is asked
/// once.
async fn misconfigured(web: &Web, client: &Client) -> String {
    let error = client.get("/").await.unwrap_err();
    assert!(matches!(error, Error::Acquire(_)), "{error}");
    assert_eq!(web.accepted(), web.set.pods().len() as u64, "{error}");
    error.to_string()
}

async fn refusal(server: &Server, tls: Tls, protocol: Protocol) -> String {
    let web = Web::start_with(2, server.app()).await;
    // No request waits until then.
    let patient = Duration::from_secs(3600);
    let builder = builder(&web, tls).await.request_timeout(None).acquire_timeout(patient);
    misconfigured(&web, &builder.protocol(protocol).build().unwrap()).await
}

/// Returns the error with all its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn every_pod_proves_the_services_name() {
    let ca = Ca::new("shop");
    let web = Web::start_with(3, Server::new(ca.issue(&[SERVICE])).app()).await;
    for (protocol, alpn, scheme) in [(Protocol::Http1, "http/1.1", "-"), (Protocol::Http2, "h2", "https")] {
        let tls = trust(&ca);
        let client = builder(&web, tls).await.protocol(protocol).build().unwrap();
        let mut pods = Vec::new();
        for path in ["/", "https://web.shop.svc/", "https://web.shop.svc.cluster.local:443/"] {
            let seen = ask(&client, path).await.unwrap();
            assert_eq!((&*seen.sni, &*seen.alpn, &*seen.scheme), (SERVICE, alpn, scheme));
            assert!(!seen.client_certificate);
            pods.push(seen.pod);
        }
        pods.sort();
        assert_eq!(pods, ["web-0", "web-1", "web-2"]);
        let error = ask(&client, "http://web.shop.svc/").await.unwrap_err().to_string();
        assert!(error.contains("asks for `http`; this client speaks `https`"), "{error}");
    }
}

#[tokio::test]
async fn a_pod_with_another_name_is_refused_and_the_others_serve() {
    let ca = Ca::new("shop");
    let other = ca.issue(&["other.shop.svc.cluster.local", "*.other.shop.svc"]);
    let app = app_of([
        ("web-0", other),
        ("web-1", ca.issue(&[SERVICE])),
        ("web-2", ca.issue(&[SERVICE])),
    ]);
    let web = Web::start_with(3, app).await;
    let client = client(&web, trust(&ca)).await;
    for _ in 0..9 {
        assert_ne!(ask(&client, "/").await.unwrap().pod, "web-0");
    }
    let failure = client
        .balancer()
        .stats()
        .endpoints
        .into_iter()
        .find_map(|pod| pod.last_failure)
        .unwrap();
    let text = failure.to_string();
    assert!(text.contains("web-0"), "{text}");
    assert!(text.contains(&format!("TLS to `{SERVICE}` failed")), "{text}");
    assert!(
        text.contains("is for `other.shop.svc.cluster.local`, `*.other.shop.svc`"),
        "{text}"
    );
}

#[tokio::test]
async fn the_name_verified_is_the_authority_or_what_the_user_says() {
    let ca = Ca::new("shop");
    let server = Server::new(ca.issue(&["web.shop.svc", "shop.example"]));
    let tls = trust(&ca);
    let text = refusal(&server, tls.clone(), Protocol::Http1).await;
    assert!(text.contains("is for `web.shop.svc`, `shop.example`"), "{text}");
    let web = Web::start_with(1, server.app()).await;
    let named = client(&web, tls.clone().verify(Verify::Name("web.shop.svc".into()))).await;
    assert_eq!(ask(&named, "/").await.unwrap().sni, "web.shop.svc");
    let renamed = builder(&web, tls).await.authority("shop.example:8443").build().unwrap();
    assert_eq!(ask(&renamed, "/").await.unwrap().sni, "shop.example");
}

#[tokio::test]
async fn a_pod_can_be_asked_for_its_own_name() {
    let ca = Ca::new("shop");
    let own = |pod: &str| ca.issue(&[&format!("{pod}.{SERVICE}"), SERVICE]);
    let app = app_of([
        ("web-0", own("web-0")),
        ("web-1", own("web-1")),
        ("web-2", own("web-0")),
    ]);
    let web = Web::start_with(3, app).await;
    let client = client(&web, trust(&ca).verify(Verify::EndpointName)).await;
    let mut pods = Vec::new();
    for _ in 0..6 {
        let seen = ask(&client, "/").await.unwrap();
        assert_eq!(seen.sni, format!("{}.{SERVICE}", seen.pod));
        pods.push(seen.pod);
    }
    pods.sort();
    pods.dedup();
    assert_eq!(pods, ["web-0", "web-1"], "web-2 has the certificate of web-0");
    let failure = client
        .balancer()
        .stats()
        .endpoints
        .into_iter()
        .find_map(|pod| pod.last_failure)
        .unwrap();
    let text = failure.to_string();
    assert!(text.contains(&format!("to `web-2.{SERVICE}` failed")), "{text}");
    assert!(text.contains(&format!("is for `web-0.{SERVICE}`")), "{text}");
}

#[tokio::test]
async fn an_unknown_ca_and_an_expired_certificate_are_refused() {
    let (ours, theirs, renewed) = (Ca::new("shop"), Ca::new("other"), Ca::new("shop"));
    for (identity, says) in [
        (theirs.issue(&[SERVICE]), "not signed by a CA that this client trusts"),
        (renewed.issue(&[SERVICE]), "not signed by a CA that this client trusts"),
        (ours.issue_until(&[SERVICE], 2000), "the pod's certificate expired "),
    ] {
        let tls = trust(&ours);
        let text = refusal(&Server::new(identity), tls, Protocol::Http1).await;
        assert!(text.contains(says), "{text}");
    }
    for both in [
        Tls::with_ca(format!("{}{}", ours.pem(), theirs.pem())),
        Tls::with_ca(ours.pem()).and_ca(theirs.pem()),
    ] {
        let tls = both.provider(TlsProvider::Ring);
        let web = Web::start_with(1, Server::new(theirs.issue(&[SERVICE])).app()).await;
        ask(&client(&web, tls).await, "/").await.unwrap();
    }
}

/// Every pod would accept every ticket, so only the client keeps them apart.
#[tokio::test]
async fn a_session_is_resumed_with_the_pod_that_it_was_made_with() {
    for only_tls12 in [false, true] {
        let ca = Ca::new("shop");
        let server = Server {
            only_tls12,
            ..Server::new(ca.issue(&[SERVICE]))
        };
        let web = Web::start_with(2, server.app()).await;
        let client = client(&web, trust(&ca)).await;
        let mut handshakes = Vec::new();
        for _ in 0..6 {
            let request = Request::get("/").header("connection", "close").body(()).unwrap();
            let seen = Observation::parse(&client.request(request).await.unwrap().text().await.unwrap());
            handshakes.push((seen.pod, seen.handshake));
        }
        assert_eq!(web.accepted(), 6);
        handshakes.sort();
        for (pod, handshakes) in ["web-0", "web-1"].into_iter().zip(handshakes.chunks(3)) {
            let kinds = ["Full", "Resumed", "Resumed"].map(|kind| (pod.to_owned(), kind.to_owned()));
            assert_eq!(handshakes, kinds);
        }
    }
}

/// The address goes to another pod of the same deployment: it knows the tickets, not the name.
#[tokio::test]
async fn an_address_that_went_to_another_pod_is_noticed_although_its_tickets_are_known() {
    let ca = Ca::new("shop");
    for only_tls12 in [false, true] {
        let tickets = ring::Ticketer::new().unwrap();
        let config = |pod: &str| {
            let server = Server {
                only_tls12,
                ..Server::new(ca.issue(&[&format!("{pod}.{SERVICE}")]))
            };
            let mut config = Arc::unwrap_or_clone(server.config());
            config.ticketer = Arc::clone(&tickets);
            Arc::new(config)
        };
        let serves = Arc::new(Mutex::new(config("web-0")));
        let app = App::custom({
            let serves = Arc::clone(&serves);
            move |pod, stream| serve(pod, stream, Arc::clone(&serves.lock().unwrap()))
        });
        let web = Web::start_with(1, app).await;
        let client = client(&web, trust(&ca).verify(Verify::EndpointName)).await;
        for _ in 0..2 {
            let request = Request::get("/").header("connection", "close").body(()).unwrap();
            let seen = Observation::parse(&client.request(request).await.unwrap().text().await.unwrap());
            assert_eq!(seen.handshake, "Full");
        }
        *serves.lock().unwrap() = config("web-1");
        let text = client.get("/").await.unwrap_err().to_string();
        assert!(text.contains(&format!("TLS to `web-0.{SERVICE}` failed")), "{text}");
        assert!(text.contains(&format!("is for `web-1.{SERVICE}`")), "{text}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_with_dates_and_advice() {
    let ca = Ca::new("shop");
    let chained = |depth: usize| {
        let mut issuers = vec![ca.intermediate("1")];
        for number in 2..=depth {
            issuers.push(issuers[issuers.len() - 1].intermediate(&number.to_string()));
        }
        let mut identity = issuers[depth - 1].issue(&[SERVICE]);
        for issuer in issuers.iter().rev() {
            identity.chain += &issuer.pem();
        }
        identity
    };
    let set = |set: fn(&mut CertificateParams)| ca.issue_with(&[SERVICE], set);
    let self_signed = Ca::new(SERVICE);
    for (identity, says) in [
        (ca.issue_until(&[SERVICE], 2020), &[" days ago (on 2020-01-01)"][..]),
        (
            set(|params| params.not_before = date_time_ymd(4000, 2, 29)),
            &["will be valid in ", " days (from 4000-02-29)"],
        ),
        (
            set(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            &["is for `ClientAuth`", "issue it with `serverAuth`"],
        ),
        (
            set(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            &["is that of a CA"],
        ),
        (set(|params| params.subject_alt_names.clear()), &["carries no name"]),
        (chained(8), &["has more than 6 intermediate certificates"]),
        (self_signed.issue(&[SERVICE]), &["not signed by a CA", "self-signed"]),
    ] {
        let text = refusal(&Server::new(identity), trust(&ca), Protocol::Http1).await;
        assert!(says.iter().all(|says| text.contains(says)), "{text}");
    }
    let web = Web::start_with(1, Server::new(chained(6)).app()).await;
    ask(&client(&web, trust(&ca)).await, "/").await.unwrap();
}

#[tokio::test]
async fn a_pod_that_does_not_agree_to_the_protocol_is_refused() {
    let ca = Ca::new("shop");
    let tls = trust(&ca);
    for (alpn, protocol, says) in [
        (&["h2"][..], Protocol::Http1, "does not agree to speak `http/1.1`"),
        (&["http/1.1"], Protocol::Http2, "does not agree to speak `h2`"),
        (&[], Protocol::Http2, "does not agree to speak `h2`"),
    ] {
        let server = Server {
            alpn,
            ..Server::new(ca.issue(&[SERVICE]))
        };
        let text = refusal(&server, tls.clone(), protocol).await;
        assert!(text.contains(says), "{text}");
    }
    let silent = Server {
        alpn: &[],
        ..Server::new(ca.issue(&[SERVICE]))
    };
    let web = Web::start_with(1, silent.app()).await;
    assert_eq!(
        ask(&client(&web, tls).await, "/").await.unwrap().alpn,
        "-",
        "HTTP/1.1 needs no agreement"
    );
}

#[tokio::test]
async fn tls_on_one_side_only_is_named() {
    let ca = Ca::new("shop");
    let tls = trust(&ca);
    let plain = Web::start(1).await;
    let text = misconfigured(&plain, &client(&plain, tls).await).await;
    assert!(text.contains("does this port speak plain HTTP?"), "{text}");
    let web = Web::start_with(1, Server::new(ca.issue(&[SERVICE])).app()).await;
    let http1 = web.builder().await.max_retries(0).build().unwrap();
    let http2 = web.builder().await.protocol(Protocol::Http2).build().unwrap();
    for text in [
        chain(&http1.get("/").await.unwrap_err()),
        unreachable(&web, http2).await,
    ] {
        assert!(text.contains("answered with an alert of TLS"), "{text}");
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_at_the_connect_timeout() {
    let greeted = Arc::new(Notify::new());
    let app = App::custom({
        let greeted = Arc::clone(&greeted);
        move |_, stream| {
            let greeted = Arc::clone(&greeted);
            async move {
                stream.readable().await.unwrap();
                greeted.notify_one();
                std::future::pending().await
            }
        }
    });
    let web = Web::start_with(1, app).await;
    let mut pool = PoolConfig::default();
    pool.connect_timeout = Duration::from_secs(600);
    let tls = trust(&Ca::new("shop"));
    let client = web.builder().await.pool(pool).tls(tls).request_timeout(None);
    let client = client.acquire_timeout(Duration::from_secs(1200)).build().unwrap();
    let hanging = tokio::spawn(async move { client.get("/").await });
    greeted.notified().await;
    tokio::time::pause();
    let error = hanging.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("no connection within 600s"), "{error}");
}

#[tokio::test]
async fn what_a_removed_pod_has_not_finished_is_aborted_below_tls() {
    let ca = Ca::new("shop");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let web = Web::start_with(2, Server::new(ca.issue(&[SERVICE])).app()).await;
        let mut pool = PoolConfig::default();
        pool.drain_timeout = Duration::from_millis(10);
        let builder = web.builder().await.protocol(protocol).pool(pool);
        let client = builder.tls(trust(&ca)).build().unwrap();
        let reply = client.get("/endless").await.unwrap();
        let pod = reply.endpoint().pod().unwrap().to_string();
        let mut body = reply.into_http().into_body();
        body.frame().await.unwrap().unwrap();
        web.set.set_ready(&pod, false).unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(
            error.endpoint().unwrap().pod().unwrap().as_str(),
            pod,
            "{protocol:?}: {error}"
        );
    }
}

/// Builds a client with each `tls`, and expects an error that says so.
async fn refused<const N: usize>(cases: [(Tls, &str); N]) {
    let web = Web::start(1).await;
    for (tls, says) in cases {
        let error = builder(&web, tls).await.build().unwrap_err();
        assert!(error.is_not_sent());
        assert!(error.to_string().contains(says), "{error} instead of {says}");
    }
}

#[tokio::test]
async fn bad_settings_are_refused_with_their_names() {
    let ca = Ca::new("shop");
    let me = ca.issue(&["shop"]);
    let other = ca.issue(&["shop"]);
    let ring = |tls: Tls| tls.provider(TlsProvider::Ring);
    let good = trust(&ca);
    let named = |name: &str| good.clone().verify(Verify::Name(name.to_owned()));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let half = &me.chain[..me.chain.len() / 2];
    refused([
        (ring(Tls::with_ca("")), "`with_ca`: there is no certificate in it"),
        (ring(Tls::with_ca(&*me.key)), "`with_ca`: there is no certificate in it"),
        (
            ring(Tls::with_ca(half)),
            "`with_ca`: the PEM cannot be read: section `CERTIFICATE` has no end",
        ),
        (
            ring(Tls::with_ca(format!("{}{garbage}", ca.pem()))),
            "`with_ca`: certificate 2 cannot be read",
        ),
        (
            ring(Tls::with_ca(Pem::file("/nowhere/ca.crt"))),
            "`with_ca`: /nowhere/ca.crt cannot be read",
        ),
        (
            good.clone().client_certificate("", &*me.key),
            "`client_certificate`: there is no certificate in it",
        ),
        (
            good.clone().client_certificate(&*me.chain, &*me.chain),
            "`client_certificate`: there is no private key in it",
        ),
        (
            good.clone().client_certificate(&*me.chain, &*other.key),
            "`client_certificate`: this certificate and this private key cannot be used together",
        ),
        (
            good.clone().client_certificate(garbage, &*me.key),
            "`client_certificate`: this certificate and this private key cannot be used together",
        ),
        (named(""), "`verify`: a certificate cannot carry ``"),
        (named("two words"), "`verify`: a certificate cannot carry `two words`"),
        (
            named("web.shop.svc:8443"),
            "`verify`: a certificate cannot carry `web.shop.svc:8443`",
        ),
    ])
    .await;
}

/// Which of the two it is depends on the features, and so on the command that runs the tests.
#[tokio::test]
async fn a_provider_is_chosen_explicitly_or_is_the_only_one() {
    let web = Web::start(1).await;
    let tls = Tls::with_ca(Ca::new("shop").pem());
    let unchosen = builder(&web, tls.clone()).await.build();
    let other = builder(&web, tls.provider(TlsProvider::AwsLc)).await.build();
    match cfg!(feature = "tls-aws-lc") {
        true => {
            let error = unchosen.unwrap_err().to_string();
            assert!(error.contains("choose one with `Tls::provider`"), "{error}");
            other.unwrap();
        }
        false => {
            unchosen.unwrap();
            let error = other.unwrap_err().to_string();
            assert!(error.contains("enable the feature `tls-aws-lc`"), "{error}");
        }
    }
}

/// The environment belongs to a process, so the test starts itself in another.
#[test]
fn the_systems_roots_are_those_of_ssl_cert_file() {
    const INSIDE: &str = "HEADLESS_TEST_ROOTS";
    if let Ok(roots) = std::env::var(INSIDE) {
        let tls = Tls::with_system_roots().provider(TlsProvider::Ring);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let built = runtime.block_on(async { builder(&Web::start(1).await, tls).await.build() });
        match (built, &*roots) {
            (Ok(_), "1") => {}
            (Err(error), "0") => assert!(error.to_string().contains("install `ca-certificates`"), "{error}"),
            (other, _) => panic!("{other:?}"),
        }
        return;
    }
    let folder = std::env::temp_dir().join(format!("headless-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (roots, text) in [("1", Ca::new("shop").pem()), ("0", String::new())] {
        let file = folder.join(roots);
        std::fs::write(&file, text).unwrap();
        let mut inside = std::process::Command::new(std::env::current_exe().unwrap());
        inside.args(["--exact", "the_systems_roots_are_those_of_ssl_cert_file"]);
        let output = inside
            .env(INSIDE, roots)
            .env("SSL_CERT_FILE", &file)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    std::fs::remove_dir_all(folder).unwrap();
}
