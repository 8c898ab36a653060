//! Asks a name server one question, as `dig` does, to show the records themselves.
//!
//! This is not how pods are discovered: `headless` retries, caches and survives failures.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A question and its answer, as text.
#[derive(Clone, Debug)]
pub(crate) struct Dig {
    pub(crate) question: String,
    /// How it was answered: `NOERROR`, …
    pub(crate) status: String,
    pub(crate) answers: Vec<String>,
    /// What the server adds unasked: with SRV, the addresses.
    pub(crate) additional: Vec<String>,
}

/// One question over UDP.
pub(crate) async fn dig(server: SocketAddr, name: &str, rtype: RecordType) -> Result<Dig, Box<dyn Error>> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name)?, rtype));
    // Room for more than the 512 bytes of old; as much as passes everywhere without being cut into
    // fragments.
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    query.set_edns(edns);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.connect(server).await?;
    socket.send(&query.to_vec()?).await?;
    let mut buffer = vec![0; 65_535];
    let length = timeout(Duration::from_secs(2), socket.recv(&mut buffer)).await??;
    let reply = Message::from_vec(&buffer[..length])?;
    // In the order of the names; a name server shuffles them on purpose.
    let sorted = |records: &[Record]| {
        let mut lines: Vec<_> = records.iter().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    Ok(Dig {
        question: format!("{rtype} {name}"),
        status: format!("{:?}", reply.metadata.response_code).to_uppercase(),
        answers: sorted(&reply.answers),
        additional: sorted(&reply.additionals),
    })
}

impl Dig {
    /// As `dig` shows them, but without what repeats the question: `1 SRV 0 33 8080 web-0.…`.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("  ? {} → {}", self.question, self.status);
        let asked = self.question.split_once(' ').map_or("", |(_, name)| name);
        for (records, kind) in [(&self.answers, "answer"), (&self.additional, "additional")] {
            for record in records {
                let record = record
                    .trim_start_matches(asked)
                    .trim_start_matches(['.', ' '])
                    .replacen(" IN ", " ", 1);
                text.push_str(&format!("\n    {kind:<10} {record}"));
            }
        }
        text
    }
}
