//! A small DNS client and HTTP client for the tests: plain sockets, messages read and written by
//! hickory-proto.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use headless_testkit::Cluster;
use hickory_proto::{
    op::{Edns, Message, Query},
    rr::{Name, RData, RecordType},
    serialize::binary::BinDecodable,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

pub(crate) fn question(name: &str, rtype: RecordType, payload: Option<u16>) -> Message {
    let mut message = Message::query();
    message.metadata.id = 4711;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message
}

/// The bytes of one UDP reply. Not read within `limit`: `None`.
pub(crate) async fn udp_bytes(at: SocketAddr, message: &Message, limit: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(at).await.unwrap();
    socket.send(&message.to_vec().unwrap()).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let read = tokio::time::timeout(limit, socket.recv(&mut buffer)).await;
    let length = read.ok()?.unwrap();
    buffer.truncate(length);
    Some(buffer)
}

pub(crate) async fn udp(cluster: &Cluster, name: &str, rtype: RecordType) -> Message {
    udp_sized(cluster, name, rtype, Some(4096)).await.0
}

/// The reply and its size.
pub(crate) async fn udp_sized(
    cluster: &Cluster,
    name: &str,
    rtype: RecordType,
    payload: Option<u16>,
) -> (Message, usize) {
    let message = question(name, rtype, payload);
    let bytes = udp_bytes(cluster.dns_addr(), &message, Duration::from_secs(5))
        .await
        .expect("no reply within 5 s");
    (Message::from_bytes(&bytes).unwrap(), bytes.len())
}

pub(crate) async fn tcp(cluster: &Cluster, name: &str, rtype: RecordType) -> (Message, usize) {
    let mut stream = TcpStream::connect(cluster.dns_addr()).await.unwrap();
    let bytes = question(name, rtype, Some(1232)).to_vec().unwrap();
    stream.write_u16(bytes.len() as u16).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.unwrap();
    (Message::from_bytes(&reply).unwrap(), reply.len())
}

/// The addresses in the answer section, sorted.
pub(crate) fn addresses(message: &Message) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = message
        .answers
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .collect();
    found.sort();
    found
}

/// Target (without the trailing dot), port and weight of each SRV record, in order.
pub(crate) fn targets(message: &Message) -> Vec<(String, u16, u16)> {
    let srv = message.answers.iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some((
            srv.target.to_ascii().trim_end_matches('.').to_owned(),
            srv.port,
            srv.weight,
        )),
        _ => None,
    });
    srv.collect()
}

/// Sends one HTTP/1.1 request on a connection of its own and returns all bytes until the server
/// closes it.
pub(crate) async fn get(at: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
