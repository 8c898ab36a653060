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
        &["nginx_http2", "haproxy_http2", "go_http2"],
        "HTTP/2: the same, and a request that GOAWAY says was not processed uses up an attempt, too",
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
