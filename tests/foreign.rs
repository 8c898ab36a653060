//! The HTTP client against servers that we did not write, behind the testkit's DNS: each pod is a
//! process of a real server, on an address of its own.
//!
//! The same scenarios run over every server that can do what they need: `foreign/servers.rs` has
//! the table. Requests that only read, or are marked as idempotent, must not be lost; no write may
//! be processed twice; and each answer must be that of its request.
//!
//! `cargo xtask test` installs the servers where it may. `HEADLESS_FOREIGN_REQUESTS` is the number
//! of requests under each load; `cargo xtask foreign` sets it to 100000. One server alone:
//!
//! ```sh
//! cargo test -p headless-tests --test foreign nginx::
//! ```
//!
//! Plain `cargo test` installs nothing: the scenarios of a server that is missing fail, unless
//! `HEADLESS_SKIP_FOREIGN=1`.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

#[path = "foreign/answers.rs"]
mod answers;
#[path = "foreign/bed.rs"]
mod bed;
#[path = "foreign/calls.rs"]
mod calls;
#[path = "foreign/changes.rs"]
mod changes;
#[path = "foreign/process.rs"]
mod process;
#[path = "foreign/program.rs"]
mod program;
#[path = "foreign/servers.rs"]
mod servers;

/// Makes the tests of each server.
macro_rules! scenarios {
    ($($server:ident)*) => {$(
        mod $server {
            crate::scenario! { $server answers, crate::answers::of_each_kind }
            crate::scenario! { $server an_answer_before_the_body_was_read_arrives, crate::answers::early }
            crate::scenario! { $server answers_over_tls, crate::answers::over_tls }
            crate::scenario! { $server a_steady_load_loses_nothing, crate::changes::steady_load }
            crate::scenario! { $server idle_connections_that_end_lose_no_read, crate::changes::keep_alive_race }
            crate::scenario! { $server a_rolling_restart_and_scaling_lose_nothing, crate::changes::rolling_restart }
            crate::scenario! { $server a_killed_and_a_stopped_pod_lose_no_read, crate::changes::kill_and_stop }
        }
    )*};
}

/// Makes one test.
macro_rules! scenario {
    ($server:ident $name:ident, $run:path) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run(&crate::servers::$server()).await;
        }
    };
}
use scenario;

scenarios! {
    nginx nginx_without_keep_alive nginx_50_requests nginx_gzip nginx_http2
    haproxy haproxy_http2 apache
    gunicorn uvicorn
    node node_http2
    go go_http2
    jetty jetty_http2
    hyper hyper_http2 axum axum_http2
}
