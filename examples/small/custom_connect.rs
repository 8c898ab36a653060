//! Pools of connections for a protocol of your own: a `Balancer` opens, keeps and closes them.
//!
//! Run it against three pods in this process, or against pods that answer each line with a line:
//!
//! ```sh
//! cargo run -p examples --example custom_connect
//! cargo run -p examples --example custom_connect -- echo.shop.svc:7000
//! ```

use std::error::Error;
use std::io;
use std::time::Duration;

use headless::{Balancer, Connect, Endpoint, Outcome, Route};
use headless_testkit::App;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Opens connections to a pod, as often as the balancer asks for one.
struct Lines;

impl Connect for Lines {
    type Conn = BufReader<TcpStream>;
    type Error = io::Error;

    async fn connect(&self, pod: &Endpoint) -> io::Result<Self::Conn> {
        // A handshake or a login would come here; the pool bounds how long it may take.
        Ok(BufReader::new(TcpStream::connect(pod.addr()).await?))
    }
}

/// A line there, a line back.
async fn ask(conn: &mut BufReader<TcpStream>, line: &str) -> io::Result<String> {
    conn.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    match timeout(Duration::from_secs(1), conn.read_line(&mut answer)).await?? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (discovery, _pods) = examples::discover(App::echo()).await?;
    let balancer = Balancer::builder(discovery, Lines).build()?;
    for number in 1..=6 {
        let mut lease = balancer.acquire(Route::any()).await?;
        match ask(&mut lease, &format!("hello {number}\n")).await {
            Ok(answer) => {
                print!("{answer}");
                // The connection goes back to its pool.
                lease.finish(Outcome::Success);
            }
            Err(error) => {
                println!("{}: {error}", lease.endpoint());
                // It is closed; so are the idle ones of this pod, which may have died with it.
                lease.broken();
            }
        }
    }
    let total = balancer.stats().total();
    println!("{} connections opened, {} idle", total.opened, total.idle);
    Ok(())
}
