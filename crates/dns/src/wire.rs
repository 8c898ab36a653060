//! One question to one name server. Only this file and `failure.rs` use the DNS library.
//!
//! UDP is the library's, TCP is `tcp.rs`. The library's connection pool is used without its
//! `Resolver`, which adds a cache (a poll would see no changes), search lists (they hide failures),
//! the hosts file (it would always answer for this pod itself) and its own answers for reserved
//! zones. Which server is asked is decided in `name_servers.rs`.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headless_core::FailureKind;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::FirstAnswer;
use hickory_resolver::net::{DnsError, DnsHandle, NetError};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::proto::rr::{self, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

use crate::failure;
use crate::records::{Data, Kind, LookupError, Question, Record, Records, Reply};
use crate::sync::lock;
use crate::tcp::Tcp;

/// One name server, and the connections to it.
pub(crate) struct NameServer {
    addr: SocketAddr,
    udp: NameServerPool<TokioRuntimeProvider>,
    tcp: Tcp,
    timeout: Duration,
    /// Questions whose answers did not fit into UDP: they are sent over TCP at once.
    large: Mutex<BTreeSet<Question>>,
}

impl NameServer {
    /// Returns a client with `timeout` for each attempt. It opens no socket yet.
    pub(crate) fn new(addr: SocketAddr, timeout: Duration) -> Result<Self, String> {
        let tls = TlsConfig::new().map_err(|error| error.to_string())?;
        let context = Arc::new(PoolContext::new(options(addr.ip(), timeout), tls));
        Ok(Self {
            addr,
            udp: NameServerPool::from_config([server(addr)], context, TokioRuntimeProvider::default()),
            tcp: Tcp::new(addr),
            timeout,
            large: Mutex::default(),
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Asks over UDP, and over TCP if the answer does not fit.
    pub(crate) async fn query(&self, question: &Question) -> Reply {
        let name = rr::Name::from_ascii(&question.name);
        let name = name.map_err(|error| LookupError::failed(FailureKind::Malformed, format!("{question}: {error}")))?;
        let query = Query::query(name, record_type(question.kind));
        // INVARIANT(I8): the library checks its own deadline between rounds only.
        let reply = tokio::time::timeout(self.timeout * ROUNDS, self.send(question, &query))
            .await
            .unwrap_or(Err(NetError::Timeout));
        match reply.and_then(|response| DnsError::from_response(response).map_err(NetError::from)) {
            Ok(response) if response.truncation && response.answers.is_empty() => Err(LookupError::Truncated),
            Ok(response) => Ok(Records {
                answers: response.answers.iter().filter_map(record).collect(),
                additionals: response.additionals.iter().filter_map(record).collect(),
                truncated: response.truncation,
            }),
            Err(error) => Err(failure::meaning(&error, question, self.addr)),
        }
    }

    /// Sends the question over UDP, or over TCP at once if UDP was too small for the last answer,
    /// which saves a round trip per lookup.
    async fn send(&self, question: &Question, query: &Query) -> Result<DnsResponse, NetError> {
        if self.large().contains(question) {
            let reply = self.over_tcp(query).await;
            let stays = reply.as_ref().is_ok_and(|response| self.is_large(response));
            if !stays {
                self.large().remove(question);
            }
            // If TCP fails, UDP may still work, or the answer may have become smaller.
            if matches!(reply, Ok(_) | Err(NetError::Dns(DnsError::NoRecordsFound(_)))) {
                return reply;
            }
        }
        match self.over_udp(query).await {
            Err(NetError::Truncated) => {}
            reply => return reply,
        }
        let response = self.over_tcp(query).await?;
        let mut large = self.large();
        if self.is_large(&response) && large.len() < MAX_LARGE {
            large.insert(question.clone());
        }
        Ok(response)
    }

    async fn over_udp(&self, query: &Query) -> Result<DnsResponse, NetError> {
        let mut retries = RETRIES;
        loop {
            match self.udp.lookup(query.clone(), self.request()).first_answer().await {
                Err(error) if retries > 0 && may_be_a_lost_packet(&error) => retries -= 1,
                reply => return reply,
            }
        }
    }

    async fn over_tcp(&self, query: &Query) -> Result<DnsResponse, NetError> {
        let mut request = DnsRequest::from_query(query.clone(), self.request());
        // A connection carries one question at a time, so any number will do.
        request.metadata.id = 1;
        let bytes = request.to_vec()?;
        let exchange = tokio::time::timeout(self.timeout, self.tcp.exchange(&bytes)).await;
        let response = DnsResponse::from_buffer(exchange.map_err(|_| NetError::Timeout)??)?;
        let is_ours = response.metadata.id == request.metadata.id && response.queries == request.queries;
        let mut records = response.answers.iter().chain(&response.additionals);
        if !is_ours {
            Err(NetError::Message("an answer to another question"))
        } else if records.any(|record| record.dns_class != query.query_class) {
            Err(NetError::Message("a record of another class than was asked"))
        } else {
            Ok(DnsError::from_response(response)?)
        }
    }

    fn request(&self) -> DnsRequestOptions {
        let mut request = DnsRequestOptions::default();
        request.use_edns = true;
        request.edns_payload_len = payload(self.addr.ip());
        request
    }

    /// Returns whether this answer, which came over TCP, is expected not to fit into UDP the next
    /// time.
    ///
    /// WHY half the limit: a set that varies by one pod around the limit must not use both
    /// transports each time.
    fn is_large(&self, response: &DnsResponse) -> bool {
        response.truncation || response.as_buffer().len() > usize::from(payload(self.addr.ip()) / 2)
    }

    /// Never held across an await.
    fn large(&self) -> MutexGuard<'_, BTreeSet<Question>> {
        lock(&self.large)
    }
}

/// Returns whether the same question may be answered a moment later. A negative answer and a
/// truncated one are answers.
fn may_be_a_lost_packet(error: &NetError) -> bool {
    !matches!(
        error,
        NetError::Truncated | NetError::NoConnections | NetError::Dns(DnsError::NoRecordsFound(_))
    )
}

fn server(addr: SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = addr.port();
        connection
    };
    NameServerConfig::new(addr.ip(), true, vec![with_port(ConnectionConfig::udp())])
}

fn options(server: IpAddr, timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.attempts = RETRIES;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
    options.edns_payload_len = payload(server);
    options.num_concurrent_reqs = 1;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.preserve_intermediates = true;
    options
}

/// Returns the largest UDP answer: 1232 bytes pass each network unfragmented (RFC 9715). To a
/// server on this node (NodeLocal DNSCache listens on a link-local address) nothing is fragmented,
/// and 4096 is all that the library receives.
fn payload(server: IpAddr) -> u16 {
    let on_this_node = match server {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    if on_this_node { 4096 } else { 1232 }
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Srv => RecordType::SRV,
        Kind::Ptr => RecordType::PTR,
    }
}

fn record(record: &rr::Record) -> Option<Record> {
    let name = |name: &rr::Name| name.to_ascii().to_ascii_lowercase();
    let data = match &record.data {
        RData::A(ip) => Data::Ip(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => Data::Ip(IpAddr::V6(ip.0)),
        RData::SRV(srv) => Data::Srv {
            target: name(&srv.target),
            port: srv.port,
        },
        RData::PTR(ptr) => Data::Name(name(&ptr.0)),
        RData::CNAME(cname) => Data::Alias(name(&cname.0)),
        _ => return None,
    };
    Some(Record {
        owner: name(&record.name),
        // SPEC(RFC 2181 8): a TTL with the most significant bit set is zero.
        ttl: Duration::from_secs(i32::try_from(record.ttl).map_or(0, |seconds| seconds.unsigned_abs().into())),
        data,
    })
}

/// Repetitions after the first attempt. One suffices: `Refresh` asks again anyway, with pauses that
/// the library does not make.
const RETRIES: usize = 1;
/// Two attempts over UDP and one exchange over TCP, in units of the timeout: the bound for one
/// server.
const ROUNDS: u32 = 3;
/// The number of questions that are remembered as large. One Service has three, and the answers for
/// its pods fit.
const MAX_LARGE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_packets_only_from_this_node() {
        for (server, bytes) in [
            ("10.96.0.10", 1232),
            ("169.254.20.10", 4096),
            ("127.0.0.1", 4096),
            ("::1", 4096),
            ("fd00::a", 1232),
        ] {
            assert_eq!(payload(server.parse().unwrap()), bytes, "{server}");
        }
    }
}
