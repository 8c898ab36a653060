//! A policy of your own: all requests go to the first pod, the others stand by.
//!
//! Run it against three pods in this process, one of which dies, or against a Service in a cluster;
//! or test that the policy obeys the contract:
//!
//! ```sh
//! cargo run -p examples --example custom_policy
//! cargo run -p examples --example custom_policy -- web.shop.svc:http
//! cargo test -p examples --example custom_policy
//! ```

use std::error::Error;
use std::sync::Arc;

use headless::policy::{Candidate, PickArgs, Picker, Policy};
use headless_http::Client;
use headless_testkit::App;

/// The first of the pods, in the order of their ordinals.
#[derive(Debug)]
struct First;

impl Policy for First {
    /// Called when the pods change: it may allocate.
    fn prepare(&mut self, candidates: &[Candidate], _entropy: u64) -> Box<dyn Picker> {
        let loads = candidates.iter().map(|pod| Arc::clone(&pod.load)).collect();
        Box::new(FirstOf { loads })
    }
}

#[derive(Debug)]
struct FirstOf {
    loads: Vec<Arc<headless::Load>>,
}

impl Picker for FirstOf {
    /// Called for each request: it neither allocates nor waits.
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
        let mut untried = (0..self.loads.len()).filter(|pod| !args.excluded.contains(*pod));
        let first = untried.clone().next();
        // A pod that cannot be connected to is better than none.
        untried.find(|pod| !self.loads[*pod].is_unhealthy()).or(first)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (discovery, pods) = examples::discover(App::http()).await?;
    let client = Client::builder(discovery).policy(First).build()?;
    for number in 1..=6 {
        let reply = client.get("/").await?;
        println!("{} from {}", reply.status(), reply.endpoint());
        reply.bytes().await?;
        if let (3, Some(pods)) = (number, &pods) {
            println!("web-0 dies");
            pods.web.kill("web-0").await?;
        }
    }
    Ok(())
}

#[test]
fn it_obeys_the_laws() {
    headless::policy::conformance::check(|| First);
}
