//! [`Origin`]: the scheme, host and port that a client calls, and the form that it gives to
//! requests.
//!
//! The connection goes to a pod's address. `Host` and `:authority` stay the Service's name, so that
//! servers, virtual hosts and logs see the name that the caller used.

use std::mem;
use std::num::NonZeroU16;

use headless::{Port, Target};
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use crate::error::Error;
use crate::framing;
use crate::protocol::Protocol;
use crate::request_body::RequestBody;

/// What the requests of a client are for, in the terms of HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The name in `Host` and `:authority`.
    authority: Authority,
    header: HeaderValue,
    /// `https` over TLS, `http` otherwise.
    scheme: Scheme,
    protocol: Protocol,
    /// The Service as the discovery names it.
    service: Box<str>,
    /// The same, if it is a Service's full name.
    target: Option<Target>,
}

impl Origin {
    /// Takes the Service's full name. A numeric port other than the scheme's own stays; a port's
    /// name is not part of a URI.
    pub(crate) fn of_service(service: &str, scheme: Scheme, protocol: Protocol) -> Result<Self, Error> {
        let target = service.parse::<Target>().ok();
        let host = match &target {
            Some(target) if target.port().is_some() => service.rsplit_once(':').map_or(service, |(host, _)| host),
            _ => service,
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        match target.as_ref().and_then(Target::port) {
            Some(Port::Number(port)) if port.get() != default_port(&scheme) => {
                Self::new(service, &format!("{host}:{port}"), scheme, protocol)
            }
            _ => Self::new(service, host, scheme, protocol),
        }
    }

    /// Takes the authority that the caller wants.
    pub(crate) fn new(service: &str, name: &str, scheme: Scheme, protocol: Protocol) -> Result<Self, Error> {
        let (Some(authority), Ok(header)) = (host_and_port(name.as_bytes()), HeaderValue::from_str(name)) else {
            let problem = format!(
                "`{name}` is not an authority; write HOST or HOST:PORT, as in `web.shop.svc`, with a port from 1 to \
                 65535"
            );
            return Err(Error::setting(service, problem));
        };
        Ok(Self {
            authority,
            header,
            scheme,
            protocol,
            service: service.into(),
            target: service.parse().ok(),
        })
    }

    /// Returns the host without the port. An IPv6 address has its brackets.
    pub(crate) fn host(&self) -> &str {
        self.authority.host()
    }

    /// Returns the Service that the client calls, as it is watched.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Brings `request` into the form that the protocol requires, with its body framed
    /// ([`framing`]).
    ///
    /// Afterwards its URI is a path (HTTP/1) or has scheme and authority (HTTP/2), and the name is
    /// set unless the caller set it.
    pub(crate) fn prepare(&self, request: &mut Request<RequestBody>) -> Result<(), Error> {
        self.check(request)?;
        let own_host = self.own_host(request.headers())?;
        framing::settle(request, self.protocol).map_err(|problem| self.invalid(problem))?;
        match self.protocol {
            Protocol::Http1 => {
                *request.version_mut() = Version::HTTP_11;
                let uri = request.uri_mut();
                if uri.scheme().is_some() || uri.authority().is_some() {
                    *uri = Uri::from(take_path(uri));
                }
                request.headers_mut().entry(HOST).or_insert_with(|| self.header.clone());
            }
            Protocol::Http2 => {
                *request.version_mut() = Version::HTTP_2;
                // SPEC(RFC 9113 8.3.1): the name travels in `:authority`, not in `Host`.
                let own_host = request.headers_mut().remove(HOST).and(own_host);
                let mut uri = http::uri::Parts::default();
                uri.scheme = Some(self.scheme.clone());
                uri.authority = Some(own_host.unwrap_or_else(|| self.authority.clone()));
                uri.path_and_query = Some(take_path(request.uri_mut()));
                *request.uri_mut() = Uri::from_parts(uri).map_err(|error| self.invalid(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Returns the name that the caller gives in `Host`.
    ///
    /// SPEC(RFC 9112 3.2): a request has one `Host`, and a server refuses another number of them.
    fn own_host(&self, headers: &HeaderMap) -> Result<Option<Authority>, Error> {
        let host = framing::single(headers, &HOST).map_err(|problem| self.invalid(problem))?;
        let Some(host) = host else { return Ok(None) };
        let Some(authority) = host_and_port(host.as_bytes()) else {
            return Err(self.invalid(format!(
                "the `Host` header {host:?} is not HOST or HOST:PORT, with a port from 1 to 65535"
            )));
        };
        Ok(Some(authority))
    }

    /// Refuses a request that would go elsewhere than it says.
    fn check<B>(&self, request: &Request<B>) -> Result<(), Error> {
        if request.method() == Method::CONNECT {
            return Err(self.invalid("CONNECT asks for a tunnel; this client sends requests"));
        }
        if let Some(scheme) = request.uri().scheme()
            && *scheme != self.scheme
        {
            return Err(self.invalid(format!(
                "`{}` asks for `{scheme}`; this client speaks `{}`, because it was made {} `tls(..)`; write a path, \
                 as in `/cart/42`",
                request.uri(),
                self.scheme,
                match self.scheme == Scheme::HTTPS {
                    true => "with",
                    false => "without",
                },
            )));
        }
        if let Some(requested) = request.uri().authority()
            && !self.is(requested)
        {
            return Err(self.invalid(format!(
                "the URI names `{requested}`, this client calls `{}`; write a path, as in `/cart/42`, or set \
                 `authority(..)`, or make a client for that Service",
                self.authority
            )));
        }
        Ok(())
    }

    fn invalid(&self, problem: impl Into<Box<str>>) -> Error {
        Error::invalid(&self.service, problem)
    }

    /// Whether a URI with this authority means this client's Service: by the name in use or one of
    /// the Service's own names, full or short, and with no other port.
    fn is(&self, requested: &Authority) -> bool {
        if !is_host_and_port(requested) {
            return false;
        }
        let same_port = match requested.port_u16() {
            Some(port) => port == self.authority.port_u16().unwrap_or(default_port(&self.scheme)),
            None => true,
        };
        same_port && (requested.host().eq_ignore_ascii_case(self.authority.host()) || self.is_service(requested.host()))
    }

    fn is_service(&self, host: &str) -> bool {
        let (Some(own), Ok(requested)) = (&self.target, host.parse::<Target>()) else {
            return false;
        };
        requested.service() == own.service()
            && (requested.namespace().is_none() || requested.namespace() == own.namespace())
            && (requested.zone().is_none() || requested.zone() == own.zone())
    }
}

/// Reads HOST or HOST:PORT.
fn host_and_port(text: &[u8]) -> Option<Authority> {
    Authority::try_from(text).ok().filter(is_host_and_port)
}

/// Whether an authority is HOST or HOST:PORT, without a user.
///
/// WHY not by `port_u16`: it is `None` without a port, and for `:99999`, `:abc` and `:` as well.
fn is_host_and_port(authority: &Authority) -> bool {
    let host = authority.host();
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<NonZeroU16>().is_ok();
    !host.is_empty()
        && match authority.as_str().strip_prefix(host) {
            Some("") => true,
            Some(rest) => rest.strip_prefix(':').is_some_and(is_port),
            None => false,
        }
}

/// Takes the path out of `uri`. It is `/` if there is none.
fn take_path(uri: &mut Uri) -> PathAndQuery {
    let path = mem::take(uri).into_parts().path_and_query;
    path.unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// SPEC(RFC 9110 4.2.1, 4.2.2).
fn default_port(scheme: &Scheme) -> u16 {
    match *scheme == Scheme::HTTPS {
        true => 443,
        false => 80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(protocol: Protocol, uri: &str, host: Option<&str>) -> Result<Request<RequestBody>, String> {
        prepared_for(Scheme::HTTP, protocol, uri, host)
    }

    fn prepared_for(
        scheme: Scheme,
        protocol: Protocol,
        uri: &str,
        host: Option<&str>,
    ) -> Result<Request<RequestBody>, String> {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let mut request = request.body(().into()).unwrap();
        let origin = Origin::of_service("web.shop.svc.cluster.local:8080", scheme, protocol).unwrap();
        match origin.prepare(&mut request) {
            Ok(()) => Ok(request),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_name_is_the_service_with_a_numeric_port() {
        for (scheme, service, name) in [
            (Scheme::HTTP, "web", "web"),
            (Scheme::HTTP, "web.shop.svc:http", "web.shop.svc"),
            (
                Scheme::HTTP,
                "web.shop.svc.cluster.local.",
                "web.shop.svc.cluster.local",
            ),
            (Scheme::HTTP, "web.shop:8080", "web.shop:8080"),
            (Scheme::HTTP, "web.shop:80", "web.shop"),
            (Scheme::HTTP, "web.shop:443", "web.shop:443"),
            (Scheme::HTTPS, "web.shop:443", "web.shop"),
            (Scheme::HTTPS, "web.shop:80", "web.shop:80"),
        ] {
            let origin = Origin::of_service(service, scheme, Protocol::Http1).unwrap();
            assert_eq!(origin.authority.as_str(), name);
        }
    }

    #[test]
    fn http1_gets_a_path_and_a_host() {
        for uri in [
            "/cart?x=1",
            "http://web/cart?x=1",
            "http://web.shop.svc.cluster.local/cart?x=1",
            "http://WEB.shop.svc:8080/cart?x=1",
        ] {
            let request = prepared(Protocol::Http1, uri, None).unwrap();
            assert_eq!(request.uri().to_string(), "/cart?x=1");
            assert_eq!(request.headers()[HOST], "web.shop.svc.cluster.local:8080");
        }
        let request = prepared(Protocol::Http1, "http://web.shop.svc", Some("shop.example")).unwrap();
        assert_eq!(request.uri().to_string(), "/");
        assert_eq!(request.headers()[HOST], "shop.example", "the caller's own stays");
    }

    #[test]
    fn http2_gets_a_whole_uri() {
        let request = prepared(Protocol::Http2, "/cart?x=1", None).unwrap();
        assert_eq!(
            request.uri().to_string(),
            "http://web.shop.svc.cluster.local:8080/cart?x=1"
        );
        let request = prepared(Protocol::Http2, "/cart", Some("shop.example")).unwrap();
        assert_eq!(request.uri().to_string(), "http://shop.example/cart");
        assert!(!request.headers().contains_key(HOST));
        let request = prepared(Protocol::Http2, "*", None).unwrap();
        assert_eq!(request.uri().path(), "*");
    }

    #[test]
    fn over_tls_the_scheme_is_https_and_no_other() {
        for uri in ["/cart", "https://web.shop.svc/cart", "https://web.shop.svc:8080/cart"] {
            let request = prepared_for(Scheme::HTTPS, Protocol::Http2, uri, None).unwrap();
            assert_eq!(
                request.uri().to_string(),
                "https://web.shop.svc.cluster.local:8080/cart"
            );
        }
        let error = prepared_for(Scheme::HTTPS, Protocol::Http2, "http://web.shop.svc/", None).unwrap_err();
        assert!(error.contains("asks for `http`; this client speaks `https`"), "{error}");
        let error = prepared(Protocol::Http2, "https://web.shop.svc/", None).unwrap_err();
        assert!(error.contains("asks for `https`; this client speaks `http`"), "{error}");
    }

    #[test]
    fn another_server_is_refused() {
        for uri in [
            "http://other/",
            "http://web.other/",
            "http://web.shop.svc:9090/",
            "https://web.shop.svc/",
            "http://u@web.shop.svc/",
            "http://web.shop.svc:99999/",
            "http://web.shop.svc:65536/",
            "http://web.shop.svc:0/",
            "http://web.shop.svc:abc/",
            "http://web.shop.svc:+80/",
            "http://web.shop.svc:/",
        ] {
            let error = prepared(Protocol::Http1, uri, None).unwrap_err();
            assert!(
                error.starts_with("cannot call `web.shop.svc.cluster.local:8080`: "),
                "{error}"
            );
            assert!(error.contains("write a path"), "{error}");
        }
    }

    /// What is neither HOST nor HOST:PORT.
    const NO_NAMES: [&str; 12] = [
        "",
        "no spaces",
        "u@web",
        "u:p@web:80",
        "web:",
        "web:0",
        "web:65536",
        "web:99999",
        "web:abc",
        "web:+80",
        ":80",
        "web/path",
    ];

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for name in NO_NAMES {
            let error = Origin::new("web", name, Scheme::HTTP, Protocol::Http1).unwrap_err();
            assert!(error.to_string().contains("is not an authority"), "{name}: {error}");
        }
        for name in ["web", "web.shop.svc:1", "10.1.2.3:65535", "[fd00::1]", "[fd00::1]:8080"] {
            let origin = Origin::new("web", name, Scheme::HTTP, Protocol::Http1).unwrap();
            assert_eq!(origin.authority.as_str(), name);
        }
    }

    #[test]
    fn a_host_that_is_no_name_is_refused() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for host in NO_NAMES {
                let error = prepared(protocol, "/", Some(host)).unwrap_err();
                assert!(error.contains("`Host`"), "{host}: {error}");
                assert!(error.contains("is not HOST or HOST:PORT"), "{host}: {error}");
            }
            for host in ["web:80", "[fd00::1]:8080"] {
                prepared(protocol, "/", Some(host)).unwrap();
            }
        }
    }
}
