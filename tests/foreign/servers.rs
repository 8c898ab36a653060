//! The table of the servers, and of what each can do.
//!
//! Every server answers requests that carry a number in `x-id` with the same number in `x-id`, and
//! writes the method and the number into its log. `GET /id` and its like are answered with the
//! number and the length of the request's body.

use std::fmt;

use headless_http::Protocol;

use crate::program::Program;

/// What a server can do. `is_implemented_as_said` tests the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
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
    /// `/none`: 204. `/same`: 304.
    NoBody,
    /// HTTPS, with the certificate of a file.
    Tls,
    /// Closes connections that are idle for some milliseconds.
    ClosesIdle,
}

use Ability::{Big, ClosesIdle, CountsStreams, Early, Gzip, NoBody, Slow, Stream, Tls, Trailers};

/// One server with its settings.
#[derive(Clone, Copy)]
pub struct Server {
    pub name: &'static str,
    pub program: Program,
    pub protocol: Protocol,
    can: &'static [Ability],
}

impl Server {
    pub fn can(&self, ability: Ability) -> bool {
        self.can.contains(&ability)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! table {
    ($($server:ident, $program:expr, $protocol:ident, $can:expr;)*) => {
        $(pub fn $server() -> Server {
            Server {
                name: stringify!($server),
                program: $program,
                protocol: Protocol::$protocol,
                can: $can,
            }
        })*
    };
}

const fn nginx_with(settings: &'static str, listen: &'static str) -> Program {
    Program::Nginx { settings, listen }
}

table! {
    nginx, nginx_with("", ""), Http1, &[Big, Early, NoBody, Tls, ClosesIdle];
    nginx_without_keep_alive, nginx_with("keepalive_timeout 0;", ""), Http1, &[Big, Early, NoBody];
    nginx_50_requests, nginx_with("keepalive_requests 50;", ""), Http1, &[Big, Early, NoBody, ClosesIdle];
    nginx_gzip, nginx_with("gzip on; gzip_types text/plain;", ""), Http1, &[Big, Gzip, Early, NoBody, ClosesIdle];
    nginx_http2, nginx_with("", "http2"), Http2, &[Big, Early, NoBody, Tls, ClosesIdle];
    gunicorn, Program::Gunicorn, Http1, &[CountsStreams, Big, Stream, Slow, Early, NoBody];
    uvicorn, Program::Uvicorn, Http1, &[CountsStreams, Big, Stream, Slow, Early, NoBody, ClosesIdle];
    node, Program::Node("http"), Http1, &[CountsStreams, Big, Stream, Slow, Early, Trailers, NoBody, ClosesIdle];
    node_http2, Program::Node("http2"), Http2, &[CountsStreams, Big, Stream, Slow, Early, Trailers, NoBody];
    go, Program::Go, Http1, &[CountsStreams, Big, Stream, Slow, Early, Trailers, NoBody, Tls, ClosesIdle];
    go_http2, Program::Go, Http2, &[CountsStreams, Big, Stream, Slow, Early, Trailers, NoBody, Tls, ClosesIdle];
    hyper, Program::Rust("hyper"), Http1, &[CountsStreams, Big, Stream, Slow, Early, Trailers, NoBody];
    hyper_http2, Program::Rust("hyper"), Http2, &[CountsStreams, Big, Stream, Slow, Early, Trailers, NoBody];
    axum, Program::Rust("axum"), Http1, &[CountsStreams, Big, Stream, Slow, Early, Trailers, NoBody];
}
