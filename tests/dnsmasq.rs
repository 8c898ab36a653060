//! Against dnsmasq, a name server of another project: of an answer too large for TCP it sends a
//! part, with TC. Such an answer must never remove a pod.
//!
//! dnsmasq answers a TCP connection from a process of its own, with the state of when it was
//! opened; so each test uses a new resolver after the pods have changed.
//!
//! Knot DNS (`knot.rs`) sends nothing in that case. dnsmasq has no SRV worth testing: it is asked
//! for addresses.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use headless::dns::{DnsResolver, Naming};
use headless::{FailureKind, Refresh, RefreshConfig, Resolution, Resolve, Timestamp};
use headless_tests::support::resolution::{NAMESPACE, ZONE, builder, built, failed, found, says};
use headless_tests::support::server::{free_port, program};

/// More than the 4,093 addresses that dnsmasq gets into a message of 64 KiB.
const TOO_MANY: u32 = 5000;

fn resolver(dnsmasq: &Dnsmasq) -> DnsResolver {
    let settings = builder(dnsmasq.addr, "web:8080").naming(Naming::Addresses);
    built(settings.timeout(Duration::from_secs(5)))
}

#[tokio::test]
async fn a_part_of_the_pods_is_reported_as_truncated() {
    let Some(mut dnsmasq) = Dnsmasq::start(0..100).await else {
        return;
    };
    let first = resolver(&dnsmasq);
    for _ in 0..2 {
        let answer = found(&first).await;
        assert_eq!(
            (answer.endpoints.len(), answer.truncated),
            (100, false),
            "TCP has them all"
        );
    }
    dnsmasq.publish(0..TOO_MANY).await;
    let second = resolver(&dnsmasq);
    for _ in 0..2 {
        let answer = found(&second).await;
        assert!(answer.truncated, "a part must not be taken for the whole");
        let pods: BTreeSet<SocketAddr> = answer.endpoints.iter().map(|endpoint| endpoint.addr()).collect();
        assert_eq!(pods.len(), answer.endpoints.len(), "each once");
        assert!((4000..4100).contains(&pods.len()), "{} pods", pods.len());
    }
    dnsmasq.publish(0..3).await;
    let answer = found(&resolver(&dnsmasq)).await;
    assert_eq!((answer.endpoints.len(), answer.truncated), (3, false), "whole again");
}

#[tokio::test]
async fn a_partial_answer_never_removes_a_pod() {
    let Some(mut dnsmasq) = Dnsmasq::start(0..1000).await else {
        return;
    };
    let mut refresh = Refresh::new(RefreshConfig::default());
    let mut now = Timestamp::ZERO;
    let mut resolve = async |dnsmasq: &Dnsmasq, refresh: &mut Refresh| {
        now = Timestamp::from_nanos(now.as_nanos() + 5_000_000_000);
        let resolution = resolver(dnsmasq).resolve().await;
        let truncated = match &resolution {
            Resolution::Found(answer) => answer.truncated,
            other => panic!("pods expected, not {other:?}"),
        };
        refresh.on(resolution, now, 0);
        (truncated, addrs(refresh))
    };
    let (truncated, mut before) = resolve(&dnsmasq, &mut refresh).await;
    assert_eq!((truncated, before.len()), (false, 1000));
    // 4,000 pods are added and the first 10 removed: an answer that cannot list all cannot deny
    // any.
    dnsmasq.publish(10..TOO_MANY).await;
    for _ in 0..10 {
        let (truncated, after) = resolve(&dnsmasq, &mut refresh).await;
        assert!(truncated);
        assert!(
            after.is_superset(&before),
            "{} pods removed",
            before.difference(&after).count()
        );
        before = after;
    }
    assert!(before.len() > 4000, "what is listed is added: {}", before.len());
    // A whole answer removes again: at once, or, for so many, once it is confirmed.
    dnsmasq.publish(10..4000).await;
    let mut last = before.len();
    for _ in 0..6 {
        let (truncated, after) = resolve(&dnsmasq, &mut refresh).await;
        assert!(!truncated);
        last = after.len();
    }
    assert_eq!(last, 3990);
}

#[tokio::test]
async fn without_srv_records_a_named_port_is_a_failure_that_says_so() {
    let Some(dnsmasq) = Dnsmasq::start(0..2).await else {
        return;
    };
    let failure = failed(&built(builder(dnsmasq.addr, "web:http"))).await;
    says(
        &failure,
        FailureKind::Misconfigured,
        &["has no port named `http`", "DNS lists 2 addresses"],
    );
}

fn addrs(refresh: &Refresh) -> BTreeSet<SocketAddr> {
    refresh.snapshot().iter().map(|endpoint| endpoint.addr()).collect()
}

/// A dnsmasq process with an address of its own. Dropping it kills it and removes its files.
struct Dnsmasq {
    process: Child,
    dir: PathBuf,
    addr: SocketAddr,
}

impl Dnsmasq {
    /// Starts a server that lists these pods; returns when it answers.
    ///
    /// `None` if dnsmasq is not installed and `HEADLESS_SKIP_KNOT=1` says that foreign name servers
    /// need not be.
    async fn start(pods: std::ops::Range<u32>) -> Option<Self> {
        let Some(program) = program("dnsmasq") else {
            assert!(
                std::env::var("HEADLESS_SKIP_KNOT").is_ok_and(|skip| skip == "1"),
                "dnsmasq is not installed. install with: apt-get install --no-install-recommends dnsmasq-base; \
                 HEADLESS_SKIP_KNOT=1 skips these tests"
            );
            eprintln!("SKIPPED: dnsmasq is not installed, and HEADLESS_SKIP_KNOT=1");
            return None;
        };
        let mut dnsmasq = Self::spawn(&program).unwrap_or_else(|error| panic!("dnsmasq cannot be started: {error}"));
        dnsmasq.publish(pods).await;
        Some(dnsmasq)
    }

    fn spawn(program: &PathBuf) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // ORDERING: Relaxed: a counter and nothing else.
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let [_, _, second, third] = std::process::id().wrapping_mul(16).wrapping_add(next).to_be_bytes();
        let addr = free_port(Ipv4Addr::new(127, 250, second, third.max(1)))?;
        let dir = std::env::temp_dir().join(format!("headless-dnsmasq-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("hosts"), "")?;
        let log = std::fs::File::create(dir.join("log"))?;
        let process = Command::new(program)
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
            ])
            .args([
                "--bind-interfaces",
                "--local-ttl=5",
                "--edns-packet-max=1232",
                "--cache-size=10000",
            ])
            .arg(format!("--local=/{ZONE}/"))
            .arg(format!("--listen-address={}", addr.ip()))
            .arg(format!("--port={}", addr.port()))
            .arg(format!("--addn-hosts={}", dir.join("hosts").display()))
            .arg(format!("--pid-file={}", dir.join("pid").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Self { process, dir, addr })
    }

    /// Lists these pods, and no others; returns when it does.
    async fn publish(&mut self, pods: std::ops::Range<u32>) {
        static EDITION: AtomicU32 = AtomicU32::new(0);
        // ORDERING: Relaxed: a counter and nothing else.
        let edition = EDITION.fetch_add(1, Ordering::Relaxed);
        let mut hosts = String::new();
        for k in pods {
            let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 244, 0, 1)) + k);
            // Writing to a String cannot fail.
            let _ = writeln!(hosts, "{ip} web.{NAMESPACE}.svc.{ZONE}");
        }
        let _ = writeln!(hosts, "192.0.2.1 edition-{edition}.{ZONE}");
        std::fs::write(self.dir.join("hosts"), hosts).unwrap_or_else(|error| panic!("cannot write hosts: {error}"));
        let published = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            for round in 0_u32.. {
                tick.tick().await;
                let ended = self.process.try_wait().ok().flatten();
                assert!(ended.is_none(), "dnsmasq ended ({ended:?}):\n{}", self.log());
                // Not before it answers: until then the signal may end it.
                if round > 0 && round.is_multiple_of(10) && self.answers("edition-none").is_some() {
                    self.reload();
                }
                if self.answers(&format!("edition-{edition}")) == Some(true) {
                    return;
                }
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(20), published).await;
        outcome.unwrap_or_else(|_| panic!("dnsmasq does not answer at {}", self.addr));
    }

    /// It reads the file again.
    fn reload(&self) {
        let kill = Command::new("kill")
            .args(["-HUP", &self.process.id().to_string()])
            .status();
        assert!(kill.is_ok_and(|status| status.success()), "kill -HUP");
    }

    /// Whether `label` exists; `None` without an answer.
    fn answers(&self, label: &str) -> Option<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        socket.connect(self.addr).ok()?;
        let mut query = vec![0x47, 0x11, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in format!("{label}.{ZONE}.").split('.') {
            query.push(u8::try_from(label.len()).ok()?);
            query.extend_from_slice(label.as_bytes());
        }
        query.extend([0, 1, 0, 1]); // A, IN
        socket.send(&query).ok()?;
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).ok()?;
        (length > 12 && reply[..2] == query[..2]).then_some(reply[7] == 1)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        // It may have ended already, and the directory may be gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
