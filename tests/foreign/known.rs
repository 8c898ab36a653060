//! Faults of the client that these scenarios have found, and that are not mended yet.
//!
//! Such a scenario still runs. Its failure is printed, and fails no test; each line goes with the
//! fault that it names.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;

use crate::servers::Server;

/// Scenario, servers, and what is wrong.
const KNOWN: &[(&str, &[&str], &str)] = &[
    (
        "an_answer_before_the_body_was_read_arrives",
        &["haproxy", "apache", "gunicorn", "uvicorn", "jetty", "hyper", "axum"],
        "HTTP/1: the server answers and closes with a part of the body unread. The write fails before the answer is \
         read, although it has arrived, and the caller gets an error in its place",
    ),
    (
        "idle_connections_that_end_lose_no_read",
        &[
            "nginx",
            "nginx_50_requests",
            "nginx_gzip",
            "apache",
            "haproxy",
            "uvicorn",
            "node",
            "go",
        ],
        "HTTP/1: each retry goes to another pod, over an idle connection that ends at the same time; no attempt is \
         made on a new connection",
    ),
    (
        "idle_connections_that_end_lose_no_read",
        &["nginx_http2", "haproxy_http2"],
        "HTTP/2: GOAWAY has arrived together with the end of the connection, and the write that fails is seen first: \
         requests above its last stream count as perhaps processed",
    ),
    (
        "idle_connections_that_end_lose_no_read",
        &["go_http2"],
        "HTTP/2: a connection that its server ends with GOAWAY and NO_ERROR before the first request counts as one \
         that was closed without an answer, and uses up the attempts of requests that were never processed",
    ),
];

/// Runs a scenario, which may fail if its fault is known.
pub async fn unless_known(scenario: &str, server: &Server, run: impl Future<Output = ()>) {
    let Err(panic) = AssertUnwindSafe(run).catch_unwind().await else {
        return;
    };
    let mut known = KNOWN
        .iter()
        .filter(|(name, servers, _)| *name == scenario && servers.contains(&server.name));
    match known.next() {
        Some((_, _, why)) => println!("KNOWN FAULT: {server}: {scenario}: {why}"),
        None => resume_unwind(panic),
    }
}
