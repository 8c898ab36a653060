//! The wire: one question, put to one name server. With `failure.rs`, the only file that knows the DNS library.
//!
//! The library's pool of connections is used without its `Resolver` around it: that adds a cache (we poll to see
//! changes), search lists (they hide failures), the hosts file (it would answer for our own pod for ever) and answers
//! of its own for reserved zones. Which server is asked is decided in `transport.rs`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use headless_core::FailureKind;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::FirstAnswer;
use hickory_resolver::net::{DnsError, DnsHandle, NetError, RetryDnsHandle};
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::{self, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

use crate::failure;
use crate::records::{Data, Kind, Miss, Question, Record, Records, Reply};

/// One name server, and the connections to it.
pub(crate) struct NameServer {
    addr: SocketAddr,
    pool: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,
    limit: Duration,
}

impl NameServer {
    /// A server that is given `timeout` for each attempt. Opens no socket yet.
    pub(crate) fn new(addr: SocketAddr, timeout: Duration) -> Result<Self, String> {
        let tls = TlsConfig::new().map_err(|error| error.to_string())?;
        let context = Arc::new(PoolContext::new(options(addr.ip(), timeout), tls));
        let pool = NameServerPool::from_config([server(addr)], context, TokioRuntimeProvider::default());
        Ok(Self {
            addr,
            pool: RetryDnsHandle::new(pool, RETRIES),
            limit: timeout * ROUNDS,
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Asks over UDP, and over TCP if the answer does not fit.
    pub(crate) async fn ask(&self, question: &Question) -> Reply {
        let name = rr::Name::from_ascii(&question.name);
        let name = name.map_err(|error| Miss::failed(FailureKind::Malformed, format!("{question}: {error}")))?;
        let mut request = DnsRequestOptions::default();
        request.use_edns = true;
        request.edns_payload_len = payload(self.addr.ip());
        let reply = self
            .pool
            .lookup(Query::query(name, record_type(question.kind)), request)
            .first_answer();
        // INVARIANT(I8): the library checks its own deadline between rounds only.
        let reply = tokio::time::timeout(self.limit, reply)
            .await
            .unwrap_or(Err(NetError::Timeout));
        match reply.and_then(|response| DnsError::from_response(response).map_err(NetError::from)) {
            Ok(response) => Ok(Records {
                answers: response.answers.iter().filter_map(record).collect(),
                additionals: response.additionals.iter().filter_map(record).collect(),
            }),
            Err(error) => Err(failure::meaning(&error, question, self.addr)),
        }
    }
}

fn server(addr: SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = addr.port();
        connection
    };
    NameServerConfig::new(
        addr.ip(),
        true,
        vec![with_port(ConnectionConfig::udp()), with_port(ConnectionConfig::tcp())],
    )
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

/// How large a UDP answer may be: 1232 bytes pass every network unfragmented (RFC 9715); to a server on this very node
/// (NodeLocal DNSCache listens on a link-local address) nothing is fragmented, and 4096 is all the library receives.
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
        ttl: Duration::from_secs(u64::from(record.ttl)),
        data,
    })
}

/// Repetitions after the first attempt. One: `Refresh` asks again anyway, with pauses that the library does not make.
const RETRIES: usize = 1;
/// Two attempts over UDP and one exchange over TCP, in units of the timeout: the bound for one server.
const ROUNDS: u32 = 3;

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
