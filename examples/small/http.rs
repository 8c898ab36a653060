//! A balanced HTTP client: ten requests, and the pod that answered each.
//!
//!     cargo run -p examples --example http                        # three pods in this process
//!     cargo run -p examples --example http -- web.shop.svc:http   # in a cluster; k8s/web.yaml has such a Service

use std::error::Error;

use headless_http::Client;
use headless_testkit::App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (discovery, _pods) = examples::discover(App::http()).await?;
    // By power of two choices, as no policy is named. A clone of the client shares its connections.
    let client = Client::builder(discovery).build()?;
    for _ in 0..10 {
        let reply = client.get("/").await?;
        println!("{} from {}", reply.status(), reply.endpoint());
        // Read to the end: only then its connection is free for the next request.
        reply.bytes().await?;
    }
    Ok(())
}
