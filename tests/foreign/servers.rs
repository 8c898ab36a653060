//! The table of the servers, and of what each can do.
//!
//! Every server answers requests that carry a number in `x-id` with the same number in `x-id`, and
//! writes the method and the number into its log. `GET /id` and its like are answered with the
//! number and the length of the request's body.
//!
//! A row of the table is: the name, which is also the module of the server's tests; the program
//! with its settings; the version of HTTP; and two lists of abilities, which count together. The
//! first is what programs of ours have in common ([`PROGRAM`]; empty for servers that are only
//! configured), the second is what this server can do beside that. A scenario asks a server only
//! for what it can do, and so a missing ability takes requests out of a scenario, or all of it.

use std::fmt;

use headless_http::Protocol;

use crate::program::Program;

/// What a server can do. `is_implemented_as_said` tests the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// `/id` is answered when a body of 1 MiB was read.
    Uploads,
    /// `/id` also tells the length of a body that came without `Content-Length`.
    CountsStreams,
    /// `/big`: 1 MiB with `Content-Length`.
    Big,
    /// `/stream?bytes=`: without.
    Stream,
    /// `/big` is compressed when the client accepts it.
    Gzip,
    /// `/slow?ms=`: waits so long, then answers as `/id`.
    Slow,
    /// `/early`: 413 before the body is read.
    Early,
    /// `/trailers`: `x-trailer` carries the number once more.
    Trailers,
    /// `/none`: 204.
    NoContent,
    /// `/same`: 304.
    NotModified,
    /// HTTPS, with the certificate of a file.
    Tls,
    /// Closes connections that are idle for some milliseconds.
    ClosesIdle,
}

use Ability::{
    Big, ClosesIdle, CountsStreams, Early, Gzip, NoContent, NotModified, Slow, Stream, Tls, Trailers, Uploads,
};

/// One server with its settings.
#[derive(Clone, Copy)]
pub struct Server {
    pub name: &'static str,
    pub program: Program,
    pub protocol: Protocol,
    can: [&'static [Ability]; 2],
}

impl Server {
    pub fn can(&self, ability: Ability) -> bool {
        self.can.iter().any(|can| can.contains(&ability))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! table {
    ($($server:ident, $program:expr, $protocol:ident, $can:expr, $also:expr;)*) => {
        $(pub fn $server() -> Server {
            Server {
                name: stringify!($server),
                program: $program,
                protocol: Protocol::$protocol,
                can: [$can, $also],
            }
        })*
    };
}

const fn nginx_with(settings: &'static str, listen: &'static str) -> Program {
    Program::Nginx { settings, listen }
}

/// What each of the programs in `servers/` can do.
#[rustfmt::skip]
const PROGRAM: &[Ability] = &[Uploads, CountsStreams, Big, Stream, Slow, Early, NoContent, NotModified];

#[rustfmt::skip]
table! {
    nginx, nginx_with("", ""), Http1, &[], &[Uploads, Big, Early, NoContent, NotModified, Tls, ClosesIdle];
    nginx_without_keep_alive, nginx_with("keepalive_timeout 0;", ""), Http1, &[], &[Uploads, Big, Early, NoContent, NotModified];
    nginx_50_requests, nginx_with("keepalive_requests 50;", ""), Http1, &[], &[Uploads, Big, Early, NoContent, NotModified, ClosesIdle];
    nginx_gzip, nginx_with("gzip on; gzip_types text/plain;", ""), Http1, &[], &[Uploads, Big, Gzip, Early, NoContent, NotModified, ClosesIdle];
    nginx_http2, nginx_with("", "http2"), Http2, &[], &[Uploads, Big, Early, NoContent, NotModified, Tls, ClosesIdle];
    haproxy, Program::Haproxy(""), Http1, &[], &[Early, NoContent, NotModified, ClosesIdle, Tls];
    haproxy_http2, Program::Haproxy("proto h2"), Http2, &[], &[Early, NoContent, NotModified, ClosesIdle, Tls];
    apache, Program::Apache, Http1, &[], &[Uploads, Big, Early, NoContent, ClosesIdle, Tls];
    gunicorn, Program::Gunicorn, Http1, PROGRAM, &[Tls];
    uvicorn, Program::Uvicorn, Http1, PROGRAM, &[ClosesIdle, Tls];
    node, Program::Node("http"), Http1, PROGRAM, &[Trailers, ClosesIdle, Tls];
    node_http2, Program::Node("http2"), Http2, PROGRAM, &[Trailers, Tls];
    go, Program::Go, Http1, PROGRAM, &[Trailers, Tls, ClosesIdle];
    go_http2, Program::Go, Http2, PROGRAM, &[Trailers, Tls, ClosesIdle];
    // Its limit of idleness is also one of answering, which a busy machine would reach.
    jetty, Program::Jetty, Http1, PROGRAM, &[Trailers];
    jetty_http2, Program::Jetty, Http2, PROGRAM, &[Trailers];
    hyper, Program::Rust("hyper"), Http1, PROGRAM, &[Trailers];
    hyper_http2, Program::Rust("hyper"), Http2, PROGRAM, &[Trailers];
    axum, Program::Rust("axum"), Http1, PROGRAM, &[Trailers];
    axum_http2, Program::Rust("axum"), Http2, PROGRAM, &[Trailers];
}
