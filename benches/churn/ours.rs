//! `headless_http::Client`, on the list of the pods.

use std::net::SocketAddr;
use std::time::Duration;

use headless::{AcquireError, BoxFuture, Discovery, Endpoint, RefreshConfig, Resolve};
use headless::{Answer, FoundBy, Resolution};
use headless_http::Client;

use crate::implementation::{Failure, Implementation, Kind, List};

/// `headless_http::Client` with its default settings: HTTP/1.1, power of two choices, three
/// retries.
#[derive(Clone)]
pub struct Headless(Client);

impl Implementation for Headless {
    const NAME: &'static str = "headless";

    async fn over(list: List) -> Self {
        // WHY: the others see each change of the list at once, so `headless` may resolve at once,
        // too, instead of at most once a second as with DNS.
        let mut refresh = RefreshConfig::default();
        refresh.min_reresolve_interval = Duration::ZERO;
        let discovery = Discovery::builder(Listed(list.clone()))
            .refresh(refresh)
            .start()
            .await
            .unwrap();
        let client = Client::builder(discovery.clone()).build().unwrap();
        tokio::spawn(async move {
            let mut list = list;
            while list.changed().await.is_ok() {
                discovery.request_reresolution();
            }
        });
        Self(client)
    }

    async fn get(&self) -> Result<SocketAddr, Failure> {
        let answer = self.0.get("/").await.map_err(headless_failure)?;
        let (status, pod) = (answer.status(), answer.endpoint().addr());
        let body = answer.bytes().await.map_err(headless_failure)?;
        drop(body);
        if status == 200 {
            Ok(pod)
        } else {
            Err(Failure::status(status.as_u16()))
        }
    }
}

fn headless_failure(error: headless_http::Error) -> Failure {
    let kind = match &error {
        headless_http::Error::Acquire(AcquireError::Unreachable { .. }) => Kind::Connect,
        headless_http::Error::Acquire(_) | headless_http::Error::Timeout { .. } => Kind::Timeout,
        headless_http::Error::Send { .. } | headless_http::Error::Body { .. } => Kind::Closed,
        _ => Kind::Other,
    };
    Failure::new(kind, error)
}

/// The list as a resolver.
struct Listed(List);

impl Resolve for Listed {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        let endpoints = self.0.borrow().iter().map(|pod| Endpoint::new(*pod)).collect();
        let answer = Answer::new(endpoints, Duration::MAX, FoundBy::Static);
        Box::pin(std::future::ready(Resolution::Found(answer)))
    }

    fn service(&self) -> String {
        "web.bench.svc:http".to_owned()
    }
}
