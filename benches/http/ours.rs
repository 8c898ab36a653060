//! `headless_http::Client` over a list of the servers, with its default settings.

use headless::{Discovery, Endpoint, StaticList};
use headless_http::Client;

use crate::implementation::{ClonedClient, PATH, Setup};
use crate::servers::{ANSWER, Protocol};

#[derive(Clone)]
pub struct Headless(Client);

impl ClonedClient for Headless {
    const NAME: &'static str = "headless";

    async fn open(setup: &Setup) -> Self {
        let pods = setup.pods.0.iter().map(|pod| Endpoint::new(*pod)).collect();
        let list = StaticList::new("web.bench.svc:http", pods);
        let discovery = Discovery::builder(list).start().await.unwrap();
        let protocol = match setup.case.protocol {
            Protocol::Http1 | Protocol::Http1Close => headless_http::Protocol::Http1,
            Protocol::Http2 => headless_http::Protocol::Http2,
        };
        Self(Client::builder(discovery).protocol(protocol).build().unwrap())
    }

    async fn get(&mut self) {
        let reply = self.0.get(PATH).await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.bytes().await.unwrap(), ANSWER);
    }
}
