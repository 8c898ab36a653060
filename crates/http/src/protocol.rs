//! [`Protocol`]: the versions of HTTP.

/// The version of HTTP that the client speaks to the pods.
///
/// Without TLS the pods have to know it beforehand. With TLS it is offered by ALPN (RFC 7301):
/// HTTP/2 has to be agreed to, while HTTP/1.1 is also spoken with a pod that knows no ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive: one request per connection at a time. It is the default, because
    /// every server speaks it.
    #[default]
    Http1,
    /// HTTP/2: many requests share a connection. Without TLS it begins by prior knowledge
    /// (RFC 9113 3.3). It is for gRPC and for servers known to speak it.
    Http2,
}

impl Protocol {
    /// SPEC(RFC 7301 6, RFC 9113 3.1): the identifiers in ALPN.
    #[cfg(feature = "__tls")]
    pub(crate) const fn alpn(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}
