//! The same client where there is no Kubernetes, as on a laptop: its pods are a fixed list.
//!
//! Run it against three servers in this process, or against yours:
//!
//! ```sh
//! cargo run -p examples --example fixed_list
//! cargo run -p examples --example fixed_list -- 127.0.0.1:8080 127.0.0.1:8081
//! ```

use std::error::Error;
use std::net::SocketAddr;

use headless::{Discovery, Endpoint, StaticList};
use headless_http::Client;
use headless_testkit::App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given: Result<Vec<SocketAddr>, _> = std::env::args().skip(1).map(|addr| addr.parse()).collect();
    let (mut addrs, mut _servers) = (given?, None);
    if addrs.is_empty() {
        let pods = examples::Pods::start(App::http()).await?;
        addrs = pods.web.pods().iter().map(|pod| pod.addr()).collect();
        _servers = Some(pods);
    }

    // In a cluster this would be `Discovery::start("web.shop.svc:http")`; all that follows is the
    // same.
    let list = StaticList::new("web", addrs.into_iter().map(Endpoint::new).collect());
    let discovery = Discovery::builder(list).start().await?;

    let client = Client::builder(discovery).build()?;
    for _ in 0..6 {
        let reply = client.get("/").await?;
        println!("{} from {}", reply.status(), reply.endpoint());
        reply.bytes().await?;
    }
    Ok(())
}
