//! A protocol of your own as one `tower::Service` of all pods, which is `Clone` without a `Buffer`.
//!
//! Run it against three pods in this process, or against pods that answer each line with a line:
//!
//! ```sh
//! cargo run -p examples --example tower_any_protocol
//! cargo run -p examples --example tower_any_protocol -- echo.shop.svc:7000
//! ```

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use headless::Endpoint;
use headless::policy::RoundRobin;
use headless::tower::DiscoveryLayer;
use headless_testkit::App;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (discovery, _pods) = examples::discover(App::echo()).await?;
    let service = ServiceBuilder::new()
        // Timeouts, limits and whatever else tower has would be layers before this one.
        .layer(DiscoveryLayer::new(discovery).policy(RoundRobin::default()))
        .service(service_fn(connect));
    for number in 1..=6 {
        let answer = service.clone().oneshot(format!("hello {number}\n")).await?;
        print!("{answer}");
    }
    Ok(())
}

/// Opens a connection to one pod, which is a service too.
async fn connect(pod: Endpoint) -> io::Result<Echo> {
    let stream = TcpStream::connect(pod.addr()).await?;
    Ok(Echo(Arc::new(Mutex::new(BufReader::new(stream)))))
}

/// One connection: a line there, a line back.
struct Echo(Arc<Mutex<BufReader<TcpStream>>>);

impl Service<String> for Echo {
    type Response = String;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<String>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, line: String) -> Self::Future {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            let mut stream = stream.lock().await;
            stream.write_all(line.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_line(&mut answer).await?;
            Ok(answer)
        })
    }
}
