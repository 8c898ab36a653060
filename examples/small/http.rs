//! A balanced HTTP client: ten requests, and the pod that answered each.
//!
//! Run it against three pods in this process, or in a cluster with a Service such as that of
//! `examples/k8s/web.yaml`:
//!
//! ```sh
//! cargo run -p examples --example http
//! cargo run -p examples --example http -- web.shop.svc:http
//! ```

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
