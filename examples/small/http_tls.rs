//! A balanced HTTPS client, which trusts one CA and verifies the Service's name at each pod.
//!
//! Run it against three pods in this process, or in a cluster with a Service such as that of
//! `http_tls.yaml`, whose certificate has the name `web.shop.svc.cluster.local`:
//!
//! ```sh
//! cargo run -p examples --features tls --example http_tls
//! cargo run -p examples --features tls --example http_tls -- web.shop.svc:https ca.crt
//! ```

use std::error::Error;
use std::sync::Arc;

use headless_http::{Client, Tls};
use headless_testkit::{App, Pod};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let own = rcgen::generate_simple_self_signed(["web.shop.svc.cluster.local".to_owned()])?;
    let ca = match std::env::args().nth(2) {
        Some(path) => std::fs::read(path)?,
        None => own.cert.pem().into_bytes(),
    };
    let key = own.signing_key.serialize_der().try_into()?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let app = App::custom(move |pod, stream| serve(pod, stream, acceptor.clone()));

    let (discovery, _pods) = examples::discover(app).await?;
    let client = Client::builder(discovery).tls(Tls::with_ca(ca)).build()?;
    for _ in 0..10 {
        let reply = client.get("/").await?;
        println!(
            "{} from {}: {}",
            reply.status(),
            reply.endpoint().clone(),
            reply.text().await?
        );
    }
    Ok(())
}

/// The server beside it: HTTP/1.1 over TLS, for one connection.
async fn serve(pod: Pod, stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(1..)) {
        // An empty line ends a request.
        if line == "\r\n" {
            let text = format!("{} over TLS", pod.name());
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            if stream.write_all(reply.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
        line.clear();
    }
}
