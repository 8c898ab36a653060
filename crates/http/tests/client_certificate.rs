//! Pods that require a client certificate: what they refuse is a failed connect, told in words, and
//! costs no request, at once or later.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/pki.rs"]
mod pki;

use std::io;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use common::Web;
use headless::{Discovery, Endpoint, PoolConfig, StaticList};
use headless_http::{Client, ClientBuilder, Error, Protocol, Tls, TlsProvider, Verify};
use headless_testkit::App;
use pki::{Ca, Identity, Observation, SERVICE, Server, app_of_servers, serve};
use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The CA of the pods, that of the clients, and that of others.
struct Cas {
    shop: Ca,
    clients: Arc<Ca>,
    others: Ca,
}

impl Cas {
    fn new() -> Self {
        Self {
            shop: Ca::new("shop"),
            clients: Arc::new(Ca::new("clients")),
            others: Ca::new("others"),
        }
    }

    fn server(&self) -> Server {
        Server::new(self.shop.issue(&[SERVICE]))
    }

    fn demanding(&self) -> Server {
        Server {
            clients: Some(Arc::clone(&self.clients)),
            ..self.server()
        }
    }

    fn tls(&self, identity: Option<&Identity>) -> Tls {
        let tls = Tls::with_ca(self.shop.pem()).provider(TlsProvider::Ring);
        match identity {
            Some(identity) => tls.client_certificate(&*identity.chain, &*identity.key),
            None => tls,
        }
    }

    /// What the pods refuse, and what the error then says in TLS 1.3 and 1.2.
    fn refused(&self) -> Vec<(Option<Identity>, [&'static str; 2])> {
        let requires = "the pod requires a client certificate; set `Tls::client_certificate`; it accepts those issued \
                        by `clients`";
        let only_serves = self.clients.issue_with(&["shop"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        let untrusted = "the pod does not trust the CA that issued the client's certificate; it accepts those issued \
                         by `clients`";
        vec![
            (None, [requires; 2]),
            (Some(self.others.issue(&["shop"])), [untrusted; 2]),
            (
                Some(self.clients.issue_until(&["shop"], 2000)),
                ["the client's certificate has expired"; 2],
            ),
            (Some(only_serves), ["extended key usage `clientAuth`"; 2]),
        ]
    }
}

async fn builder(web: &Web, tls: Tls, protocol: Protocol) -> ClientBuilder {
    let mut pool = PoolConfig::default();
    // A busy machine must not fail the test.
    pool.connect_timeout = std::time::Duration::from_secs(30);
    web.builder().await.pool(pool).tls(tls).protocol(protocol)
}

fn last_failure(client: &Client) -> String {
    let endpoints = client.balancer().stats().endpoints;
    let failure = endpoints.into_iter().find_map(|pod| pod.last_failure);
    failure.unwrap().to_string()
}

#[tokio::test]
async fn a_known_client_is_served() {
    let cas = Cas::new();
    let me = cas.clients.issue(&["shop"]);
    for only_tls12 in [false, true] {
        for tickets in [0, 2] {
            let server = Server {
                only_tls12,
                tickets,
                ..cas.demanding()
            };
            let web = Web::start_with(1, server.app()).await;
            for protocol in [Protocol::Http1, Protocol::Http2] {
                let client = builder(&web, cas.tls(Some(&me)), protocol).await.build().unwrap();
                let text = client.get("/").await.unwrap().text().await.unwrap();
                assert!(Observation::parse(&text).client_certificate);
            }
        }
    }
}

#[tokio::test]
async fn one_pod_that_refuses_the_client_costs_no_write_and_few_handshakes() {
    let cas = Cas::new();
    for (identity, says) in cas.refused() {
        for (only_tls12, says) in [false, true].into_iter().zip(says) {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                let demanding = Server {
                    only_tls12,
                    ..cas.demanding()
                };
                let app = app_of_servers([("web-0", demanding), ("web-1", cas.server()), ("web-2", cas.server())]);
                let web = Web::start_with(3, app).await;
                let tls = cas.tls(identity.as_ref());
                let client = builder(&web, tls, protocol).await.build().unwrap();
                for _ in 0..100 {
                    let answer = client.post("/", "order").await.unwrap().text().await.unwrap();
                    assert_ne!(Observation::parse(&answer).pod, "web-0");
                }
                let accepted = web.set.pod("web-0").unwrap().stats().accepted;
                assert!((1..=10).contains(&accepted), "{accepted} handshakes");
                let text = last_failure(&client);
                assert!(text.contains(says), "{protocol:?}, only TLS 1.2: {only_tls12}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn if_all_pods_refuse_the_client_the_error_says_so_at_once() {
    let cas = Cas::new();
    for (identity, [says, _]) in cas.refused() {
        let web = Web::start_with(2, cas.demanding().app()).await;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let client = builder(&web, cas.tls(identity.as_ref()), protocol).await;
            let patient = std::time::Duration::from_secs(3600);
            let client = client.request_timeout(None).acquire_timeout(patient).build().unwrap();
            let error = client.post("/", "order").await.unwrap_err();
            assert!(matches!(error, Error::Acquire(_)), "{error}");
            assert!(error.is_not_sent());
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}

/// A server's side of TCP that receives nothing more after the client's greeting until a part of a
/// request is there too: its refusal comes late.
struct Late {
    stream: TcpStream,
    has_answered: bool,
    held: Vec<u8>,
}

/// More than the rest of a handshake without a certificate.
const HELD: usize = 1000;

impl AsyncRead for Late {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.has_answered && this.held.len() < HELD {
            let mut bytes = [0; HELD];
            let mut part = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
            if part.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.held.extend(part.filled());
        }
        match this.has_answered {
            true => {
                let count = this.held.len().min(buf.remaining());
                buf.put_slice(&this.held[..count]);
                this.held.drain(..count);
                // What is left is never waited for: the refusal comes before.
                Poll::Ready(Ok(()))
            }
            false => Pin::new(&mut this.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Late {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.has_answered = true;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// As a demanding server, and late with its refusal.
fn late(cas: &Cas, others: &[&'static str]) -> App {
    let (demanding, lax) = (cas.demanding().config(), cas.server().config());
    let others = others.to_vec();
    App::custom(move |pod, stream| {
        let (demanding, lax) = (Arc::clone(&demanding), Arc::clone(&lax));
        let is_late = !others.contains(&pod.name());
        async move {
            match is_late {
                true => {
                    let (held, has_answered) = (Vec::new(), false);
                    let late = Late {
                        stream,
                        has_answered,
                        held,
                    };
                    serve(pod, late, demanding).await;
                }
                false => serve(pod, stream, lax).await,
            }
        }
    })
}

#[tokio::test]
async fn a_refusal_that_meets_the_request_means_that_it_was_not_processed() {
    let cas = Cas::new();
    let says = "the pod requires a client certificate";
    // What does not fit into what the server reads is answered with a reset.
    for size in [2000, 200_000] {
        let web = Web::start_with(3, late(&cas, &["web-1", "web-2"])).await;
        let client = builder(&web, cas.tls(None), Protocol::Http1).await.max_retries(0);
        let client = client.build().unwrap();
        for _ in 0..30 {
            let answer = client.post("/", vec![b'x'; size]).await.unwrap().text().await.unwrap();
            assert_ne!(Observation::parse(&answer).pod, "web-0");
        }
        assert!(web.set.pod("web-0").unwrap().stats().accepted >= 1);
        assert!(last_failure(&client).contains(says), "{}", last_failure(&client));
        // If all are late, the request is not sent at all.
        let web = Web::start_with(1, late(&cas, &[])).await;
        let client = builder(&web, cas.tls(None), Protocol::Http1).await.build().unwrap();
        for _ in 0..5 {
            let error = client.post("/", vec![b'x'; size]).await.unwrap_err();
            assert!(error.is_not_sent(), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}

/// A server of OpenSSL; ends with it.
struct OpenSsl {
    child: Child,
    port: u16,
}

impl OpenSsl {
    /// Starts a server that answers a GET if the client shows a certificate of `clients`; `None` if
    /// there is no `openssl` in the path.
    fn start(identity: &Identity, clients: &Ca, version: &str) -> Option<Self> {
        use std::io::{BufRead, BufReader};

        let folder = std::env::temp_dir().join(format!("headless-openssl-{}{version}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [
            ("cert", &identity.chain),
            ("key", &identity.key),
            ("ca", &clients.pem()),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let mut command = Command::new("openssl");
        command.current_dir(&folder).arg("s_server").arg(version);
        command.args([
            "-accept",
            "127.0.0.1:0",
            "-cert",
            "cert",
            "-key",
            "key",
            "-CAfile",
            "ca",
            "-www",
        ]);
        command.args(["-Verify", "2", "-verify_return_error", "-naccept", "1000"]);
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match started {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            started => started.unwrap(),
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok());
        // What it says later must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        // It has read its files.
        std::fs::remove_dir_all(folder).unwrap();
        Some(Self {
            child,
            port: port.unwrap(),
        })
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is OpenSSL depends on the machine: without it, the test says so and shows nothing.
#[tokio::test]
async fn what_openssl_refuses_is_told_in_the_same_words() {
    let cas = Cas::new();
    let me = cas.clients.issue(&["shop"]);
    let unknown = cas.others.issue(&["shop"]);
    for version in ["-tls1_3", "-tls1_2"] {
        let Some(server) = OpenSsl::start(&cas.shop.issue(&[SERVICE]), &cas.clients, version) else {
            println!("skipped: no `openssl` in the path");
            return;
        };
        for (identity, says) in [
            (Some(&me), None),
            (None, Some("requires a client certificate")),
            (Some(&unknown), Some("does not trust the CA")),
        ] {
            let endpoint = Endpoint::new(([127, 0, 0, 1], server.port).into());
            let discovery = Discovery::builder(StaticList::new("web", vec![endpoint])).start().await;
            let tls = cas.tls(identity).verify(Verify::Name(SERVICE.to_owned()));
            let client = Client::builder(discovery.unwrap()).authority(SERVICE).tls(tls);
            let answer = client.build().unwrap().get("/").await;
            match (answer, says) {
                (Ok(answer), None) => assert_eq!(answer.status(), 200),
                (Err(error), Some(says)) => {
                    assert!(error.is_not_sent(), "{version}: {error}");
                    assert!(error.to_string().contains(says), "{version}: {error}");
                }
                (other, says) => panic!("{version}: {other:?} instead of {says:?}"),
            }
        }
    }
}
