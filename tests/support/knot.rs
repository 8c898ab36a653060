//! A Knot DNS process: a name server of another project, with a zone of the shape that CoreDNS
//! gives.
//!
//! Each server has a loopback address of its own (127.251.0.0 to 127.254.255.255), a free port, and
//! a directory that is removed with it. The zone is replaced whole and atomically. Must not live
//! here: what the tests expect of it.
//!
//! Unlike CoreDNS, Knot sends no records in a truncated answer, answers NODATA for a Service that
//! has no addresses while names exist below it, and SERVFAIL when an answer does not fit into a TCP
//! message.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::resolution::{NAMESPACE, ZONE};
use super::server::{free_port, program};

/// TTL of all records, in seconds, and of negative answers.
pub const TTL: u64 = 5;

/// A headless Service and its pods, as a zone file shows them.
#[derive(Clone, Debug)]
pub struct Service {
    name: String,
    ports: Vec<(Option<String>, u16)>,
    pods: Vec<(String, Vec<IpAddr>)>,
    unlisted: Vec<(String, Vec<IpAddr>)>,
    has_bare_srv: bool,
    has_reverse: bool,
    cluster_ip: Option<IpAddr>,
    alias: Option<String>,
}

impl Service {
    /// A Service without ports and pods.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ports: Vec::new(),
            pods: Vec::new(),
            unlisted: Vec::new(),
            has_bare_srv: true,
            has_reverse: true,
            cluster_ip: None,
            alias: None,
        }
    }

    /// A port with a name.
    #[must_use]
    pub fn port(mut self, name: &str, port: u16) -> Self {
        self.ports.push((Some(name.to_owned()), port));
        self
    }

    /// A port without a name.
    #[must_use]
    pub fn unnamed_port(mut self, port: u16) -> Self {
        self.ports.push((None, port));
        self
    }

    /// A pod with the first label of its name and its addresses.
    #[must_use]
    pub fn pod(mut self, label: &str, ips: &[IpAddr]) -> Self {
        self.pods.push((label.to_owned(), ips.to_vec()));
        self
    }

    /// `count` pods `<set>-<k>` with the addresses [`ip`]`(k)`.
    #[must_use]
    pub fn stateful_set(self, set: &str, count: u32) -> Self {
        (0..count).fold(self, |service, k| service.pod(&format!("{set}-{k}"), &[ip(k)]))
    }

    /// A name below the Service that no other record mentions.
    #[must_use]
    pub fn unlisted_pod(mut self, label: &str, ips: &[IpAddr]) -> Self {
        self.unlisted.push((label.to_owned(), ips.to_vec()));
        self
    }

    /// No SRV records at the Service's own name, as in Cloud DNS.
    #[must_use]
    pub fn without_bare_srv(mut self) -> Self {
        self.has_bare_srv = false;
        self
    }

    /// No PTR records for its pods.
    #[must_use]
    pub fn without_reverse(mut self) -> Self {
        self.has_reverse = false;
        self
    }

    /// Not headless: SPEC(k8s-dns 2.3): its name leads to this address, and its SRV records to its
    /// name.
    #[must_use]
    pub fn cluster_ip(mut self, ip: IpAddr) -> Self {
        self.cluster_ip = Some(ip);
        self
    }

    /// Of type ExternalName: SPEC(k8s-dns 2.5): a CNAME.
    #[must_use]
    pub fn external_name(mut self, target: &str) -> Self {
        self.alias = Some(target.to_owned());
        self
    }

    fn forward(&self, zone: &mut String) {
        let service = format!("{}.{NAMESPACE}.svc.{ZONE}.", self.name);
        if let Some(target) = &self.alias {
            line(zone, &service, &format!("CNAME {target}"));
            return;
        }
        if let Some(ip) = self.cluster_ip {
            line(zone, &service, &address(ip));
            self.srv(zone, &service, &service);
            return;
        }
        for (label, ips) in &self.pods {
            let pod = format!("{label}.{service}");
            for ip in ips {
                line(zone, &service, &address(*ip));
                line(zone, &pod, &address(*ip));
            }
            self.srv(zone, &service, &pod);
        }
        for (label, ips) in &self.unlisted {
            for ip in ips {
                line(zone, &format!("{label}.{service}"), &address(*ip));
            }
        }
    }

    fn srv(&self, zone: &mut String, service: &str, target: &str) {
        for (name, port) in &self.ports {
            let record = format!("SRV 0 1 {port} {target}");
            if let Some(name) = name {
                line(zone, &format!("_{name}._tcp.{service}"), &record);
            }
            if self.has_bare_srv {
                line(zone, service, &record);
            }
        }
    }

    fn reverse(&self, zone: &mut String, v4: bool) {
        let pods = self.pods.iter().filter(|_| self.has_reverse);
        for (label, ip) in pods.flat_map(|(label, ips)| ips.iter().map(move |ip| (label, ip))) {
            if ip.is_ipv4() == v4 {
                let target = format!("PTR {label}.{}.{NAMESPACE}.svc.{ZONE}.", self.name);
                line(zone, &reverse_name(*ip), &target);
            }
        }
    }
}

/// The address of pod `k`: 10.244.0.1 and so on, 250 to a /24.
///
/// # Panics
/// Beyond 64,000.
#[must_use]
pub fn ip(k: u32) -> IpAddr {
    let part = |n: u32| u8::try_from(n).unwrap_or_else(|_| panic!("no address for pod {k}"));
    Ipv4Addr::new(10, 244, part(k / 250), part(k % 250 + 1)).into()
}

/// A running server. Dropped, it is killed and its files are removed.
#[derive(Debug)]
pub struct Knot {
    process: Child,
    dir: PathBuf,
    addr: SocketAddr,
    serial: u32,
    /// Held, never read: while it is bound, the address is reserved.
    _lock: UdpSocket,
}

impl Knot {
    /// Starts a server with these Services; returns when it answers.
    ///
    /// `None` if Knot is not installed and `HEADLESS_SKIP_KNOT=1` says that it need not be.
    ///
    /// # Panics
    /// If Knot is not installed, or does not start.
    pub async fn start(services: &[Service]) -> Option<Self> {
        if program("knotd").is_none() || program("knotc").is_none() {
            assert!(
                std::env::var("HEADLESS_SKIP_KNOT").is_ok_and(|skip| skip == "1"),
                "Knot DNS (knotd, knotc) is not installed. install with: cargo xtask test (or apt-get install knot \
                 knot-dnsutils); HEADLESS_SKIP_KNOT=1 skips these tests"
            );
            eprintln!("SKIPPED: Knot DNS is not installed, and HEADLESS_SKIP_KNOT=1");
            return None;
        }
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let mut knot = Self::spawn(services).unwrap_or_else(|error| panic!("knotd cannot be started: {error}"));
            match knot.ready().await {
                Ok(()) => return Some(knot),
                // Between the check of the port and knotd's bind, another program may have taken
                // it.
                Err(problem) => last = problem,
            }
        }
        panic!("knotd did not start, {ATTEMPTS} times over; the last time: {last}");
    }

    /// Returns its address, for UDP and TCP.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Replaces all records; when this returns, they are what it answers with.
    ///
    /// # Panics
    /// If Knot refuses the zone.
    pub fn publish(&mut self, services: &[Service]) {
        self.serial += 1;
        write_zones(&self.dir, self.serial, services).unwrap_or_else(|error| panic!("cannot write the zone: {error}"));
        let knotc = program("knotc").unwrap_or_else(|| panic!("knotc has disappeared"));
        let reload = Command::new(knotc)
            .args(["--timeout", "10", "--blocking", "--socket"])
            .arg(self.dir.join(SOCKET))
            .arg("zone-reload")
            .output();
        let reload = reload.unwrap_or_else(|error| panic!("knotc cannot be started: {error}"));
        assert!(
            reload.status.success(),
            "knotc zone-reload: {}{}",
            String::from_utf8_lossy(&reload.stderr),
            self.log()
        );
    }

    fn spawn(services: &[Service]) -> io::Result<Self> {
        let (lock, ip) = own_address()?;
        let addr = free_port(ip)?;
        let dir = std::env::temp_dir().join(format!("headless-{ip}-{}", std::process::id()));
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let conf = dir.join("knot.conf");
        std::fs::write(&conf, config(&dir, addr))?;
        let serial = 1;
        write_zones(&dir, serial, services)?;
        let log = std::fs::File::create(dir.join(LOG))?;
        let process = Command::new(program("knotd").unwrap_or_default())
            .arg("--config")
            .arg(&conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Self {
            process,
            dir,
            addr,
            serial,
            _lock: lock,
        })
    }

    /// Asks for the zone's SOA until it is answered, or the server has ended, or `WAIT_LIMIT` has.
    async fn ready(&mut self) -> Result<(), String> {
        let answered = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            loop {
                tick.tick().await;
                if let Ok(Some(status)) = self.process.try_wait() {
                    return Err(format!("it ended ({status})"));
                }
                if answers(self.addr) {
                    return Ok(());
                }
            }
        };
        let outcome = tokio::time::timeout(WAIT_LIMIT, answered).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer at {} within {WAIT_LIMIT:?}", self.addr)));
        outcome.map_err(|problem| format!("{problem}\n{}", self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join(LOG)).unwrap_or_default()
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        // It may have ended already, and the directory may be gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Whether the server answers for the zone.
fn answers(addr: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.connect(addr)?;
        let mut query = vec![0x47, 0x11, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in ZONE.split('.').chain([""]) {
            query.push(u8::try_from(label.len()).map_err(io::Error::other)?);
            query.extend_from_slice(label.as_bytes());
        }
        query.extend([0, 6, 0, 1]); // SOA, IN
        socket.send(&query)?;
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply)?;
        let (is_ours, code, answers) = (reply[..2] == query[..2], reply[3] & 0xf, reply[7]);
        Ok(length > query.len() && is_ours && code == 0 && answers == 1)
    };
    // Not yet bound: the kernel says so (ICMP), and that is an error here.
    ask().unwrap_or(false)
}

/// An address that no other server of this kind has, in this process or another, and its lock.
fn own_address() -> io::Result<(UdpSocket, Ipv4Addr)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..1000 {
        // ORDERING: Relaxed: a counter and nothing else; the bind below decides.
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let [_, _, second, third] = std::process::id().wrapping_mul(64).wrapping_add(next).to_be_bytes();
        let ip = Ipv4Addr::new(127, 251 + third % 4, second, third.max(1));
        match UdpSocket::bind((ip, LOCK_PORT)) {
            Ok(lock) => return Ok((lock, ip)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn config(dir: &Path, addr: SocketAddr) -> String {
    let (ip, port, dir) = (addr.ip(), addr.port(), dir.display());
    let zones: String = ZONES.iter().fold(String::new(), |mut text, zone| {
        let _ = writeln!(text, "  - domain: {zone}");
        text
    });
    format!(
        r#"server:
    rundir: "{dir}"
    listen: {ip}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 4096
log:
  - target: stderr
    any: notice
control:
    listen: "{dir}/{SOCKET}"
database:
    storage: "{dir}"
template:
  - id: default
    storage: "{dir}"
    file: "%s.zone"
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
zone:
{zones}"#
    )
}

fn write_zones(dir: &Path, serial: u32, services: &[Service]) -> io::Result<()> {
    for zone in ZONES {
        let mut text = format!("$TTL {TTL}\n");
        let apex = format!("{zone}.");
        // SPEC(RFC 2308 4): the last number is the TTL of negative answers.
        let soa = format!("SOA ns.dns.{ZONE}. hostmaster.{ZONE}. {serial} 7200 1800 86400 {TTL}");
        line(&mut text, &apex, &soa);
        line(&mut text, &apex, &format!("NS ns.dns.{ZONE}."));
        for service in services {
            match zone {
                ZONE => service.forward(&mut text),
                reverse => service.reverse(&mut text, reverse == REVERSE_V4),
            }
        }
        std::fs::write(dir.join(format!("{zone}.zone")), text)?;
    }
    Ok(())
}

fn line(zone: &mut String, owner: &str, record: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(zone, "{owner} {record}");
}

fn address(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("A {ip}"),
        IpAddr::V6(ip) => format!("AAAA {ip}"),
    }
}

/// SPEC(RFC 1035 3.5, RFC 3596 2.5): octets, or nibbles, in reverse.
fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.{REVERSE_V4}.")
        }
        IpAddr::V6(ip) => {
            let hex: Vec<char> = format!("{:032x}", ip.to_bits()).chars().rev().collect();
            hex.iter().fold(String::new(), |name, digit| format!("{name}{digit}.")) + &format!("{REVERSE_V6}.")
        }
    }
}

const REVERSE_V4: &str = "in-addr.arpa";
const REVERSE_V6: &str = "ip6.arpa";
const ZONES: [&str; 3] = [ZONE, REVERSE_V4, REVERSE_V6];
const SOCKET: &str = "knot.sock";
const LOG: &str = "knot.log";
/// The server that has bound this UDP port owns its address.
const LOCK_PORT: u16 = 53_053;
const ATTEMPTS: usize = 3;
const WAIT_LIMIT: Duration = Duration::from_secs(10);
