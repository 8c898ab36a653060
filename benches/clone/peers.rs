//! The peers: the handles that their users clone for each request. Nothing is sent, so nothing is
//! connected.

use bytes::Bytes;
use headless_benches::harness::micro::Micro;
use http_body_util::Empty;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tonic::transport::Endpoint;
use tower::buffer::Buffer;
use tower::service_fn;

use crate::cloned::cloned;

pub const BUFFER: &str = "tower Buffer";

pub fn implementations() -> [Micro; 4] {
    [
        // The inner service is not cloned: any service will do.
        cloned(BUFFER, async || {
            let inside = service_fn(|(): ()| std::future::ready(Ok::<_, tower::BoxError>(())));
            Buffer::new(inside, 1024)
        }),
        cloned("hyper-util Client", async || {
            let connector = HttpConnector::new();
            legacy::Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector)
        }),
        // Without a proxy, even if the environment names one.
        cloned("reqwest Client", async || {
            reqwest::Client::builder().no_proxy().build().unwrap()
        }),
        cloned("tonic Channel", async || {
            Endpoint::from_static("http://10.0.0.1:80").connect_lazy()
        }),
    ]
}
