//! Clients of pods that are not in DNS, such as the raw ones of the testkit.

use std::net::SocketAddr;

use headless::{Discovery, Endpoint, StaticList};
use headless_http::{Client, ClientBuilder};

/// Returns a builder for a client whose Service is these addresses.
pub(crate) async fn builder(pods: &[SocketAddr]) -> ClientBuilder {
    let endpoints = pods.iter().copied().map(Endpoint::new).collect();
    Client::builder(
        Discovery::builder(StaticList::new("web", endpoints))
            .start()
            .await
            .unwrap(),
    )
}
