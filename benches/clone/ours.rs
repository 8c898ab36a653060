//! The handles of `headless`: the balancer, the tower service over it, and the HTTP client, which
//! is a tower service itself.

use headless::policy::PowerOfTwo;
use headless::tower::Balanced;
use headless::{Balancer, Discovery, StaticList};
use headless_benches::harness::micro::Micro;
use headless_benches::pods::{self, Nothing};

use crate::cloned::cloned;

pub const ALL: [&str; 3] = [BALANCER, SERVICE, CLIENT];
const BALANCER: &str = "headless Balancer";
const SERVICE: &str = "headless tower service";
const CLIENT: &str = "headless-http Client";

const PODS: usize = 3;

pub fn implementations() -> [Micro; 3] {
    [
        cloned(BALANCER, balancer),
        cloned(SERVICE, async || Balanced::new(balancer().await)),
        cloned(CLIENT, async || {
            let list = StaticList::new("web.shop.svc", pods::endpoints(PODS));
            let discovery = Discovery::builder(list).start().await.unwrap();
            headless_http::Client::builder(discovery).build().unwrap()
        }),
    ]
}

async fn balancer() -> Balancer<Nothing> {
    let (balancer, _) = pods::balancer(PODS, PowerOfTwo::default()).await;
    balancer
}
