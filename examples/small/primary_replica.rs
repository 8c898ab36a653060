//! Writes go to ordinal 0, reads to the other pods; a write never reaches a replica.
//!
//! Run it against three pods in this process, or against a StatefulSet in a cluster:
//!
//! ```sh
//! cargo run -p examples --example primary_replica
//! cargo run -p examples --example primary_replica -- store.shop.svc:http
//! ```

use std::error::Error;

use headless::policy::{Fallback, PowerOfTwo, RoleAware};
use headless_http::Client;
use headless_testkit::App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (discovery, _pods) = examples::discover(App::http()).await?;
    let client = Client::builder(discovery)
        // `Strict`: without a replica, reads fail rather than go to the primary.
        .policy(RoleAware::new(PowerOfTwo::default()).fallback(Fallback::Strict))
        .build()?;
    // The method of a request tells which it is; `ClientBuilder::route_by` can decide by something
    // else.
    for order in ["one book", "two pens"] {
        let reply = client.post("/orders", order).await?;
        println!("POST {order}: {} from {}", reply.status(), reply.endpoint());
        reply.bytes().await?;
    }
    for _ in 0..4 {
        let reply = client.get("/orders").await?;
        println!("GET: {} from {}", reply.status(), reply.endpoint());
        reply.bytes().await?;
    }
    Ok(())
}
