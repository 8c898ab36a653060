//! Tests of your own code against a cluster in the same process: real sockets, no Kubernetes.
//!
//! ```sh
//! cargo test -p examples --example test_with_testkit
//! ```

use headless_http::{Client, Error};

/// The code under test: it sends `orders`, and counts those that were accepted.
async fn place_orders(client: &Client, orders: u32) -> Result<u32, Error> {
    let mut accepted = 0;
    for order in 0..orders {
        let reply = client.post("/orders", format!("order {order}")).await?;
        accepted += u32::from(reply.status().is_success());
        reply.bytes().await?;
    }
    Ok(accepted)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (discovery, _pods) = examples::discover(headless_testkit::App::http()).await?;
    let client = Client::builder(discovery).build()?;
    println!("{} of 10 orders were accepted", place_orders(&client, 10).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use examples::Pods;
    use headless_testkit::{App, Fault, Roll};

    use super::*;

    async fn client_of(pods: &Pods) -> Client {
        let discovery = pods.discover().await.unwrap();
        Client::builder(discovery).build().unwrap()
    }

    #[tokio::test]
    async fn a_rolling_update_loses_no_order() {
        let pods = Pods::start(App::http()).await.unwrap();
        let client = client_of(&pods).await;
        let (rolled, accepted) = tokio::join!(pods.web.roll(Roll::default()), place_orders(&client, 100));
        rolled.unwrap();
        assert_eq!(accepted.unwrap(), 100);
    }

    #[tokio::test]
    async fn an_outage_of_dns_loses_no_order() {
        let pods = Pods::start(App::http()).await.unwrap();
        let client = client_of(&pods).await;
        let _outage = pods.cluster.dns().fail(Fault::ServFail);
        assert_eq!(place_orders(&client, 100).await.unwrap(), 100);
        let served: u64 = pods.web.pods().iter().map(|pod| pod.requests()).sum();
        assert_eq!(served, 100, "each was sent once");
    }
}
