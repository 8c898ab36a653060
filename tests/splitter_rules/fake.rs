//! Pods that speak the protocol of a MySQL 8 or 9 and answer a few questions as such a server does:
//! for what a MariaDB cannot show. They hold no data.
//!
//! Sources: MySQL Internals, "Client/Server Protocol" (handshake v10, `caching_sha2_password`, text
//! result sets); MySQL Reference Manual for variables and error numbers. Must not live here: any
//! rule.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use headless_testkit::{App, Cluster, Workload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What one server is, and what it was asked.
#[derive(Clone, Debug)]
pub struct Server {
    pub version: String,
    /// The value of each variable that it knows; any other one is an error.
    pub variables: BTreeMap<&'static str, String>,
    /// Role and state in its replication group, if it is a member of one.
    pub group: Option<(&'static str, &'static str)>,
    /// What a wait for a GTID set ends with: 0 reached, 1 timed out.
    pub wait: &'static str,
    /// What a write ends with, if not well.
    pub refuses: Option<(u16, &'static str)>,
    /// The statements that were not about variables.
    pub asked: Vec<String>,
}

impl Server {
    /// A MySQL that has executed this.
    pub fn mysql(ordinal: u32, executed: &str, is_read_only: bool) -> Self {
        let read_only = u8::from(is_read_only).to_string();
        let variables = [
            ("server_id", (100 + ordinal).to_string()),
            ("server_uuid", format!("3e11fa47-71ca-11e1-9e33-c80aa942956{ordinal}")),
            ("hostname", format!("mysql-{ordinal}")),
            ("read_only", read_only.clone()),
            ("super_read_only", read_only),
            ("gtid_executed", executed.to_owned()),
            ("sql_mode", "STRICT_TRANS_TABLES".to_owned()),
            ("character_set_client", "utf8mb4".to_owned()),
            ("max_allowed_packet", "16777216".to_owned()),
            ("wait_timeout", "28800".to_owned()),
        ];
        Self {
            version: "8.4.3".to_owned(),
            variables: variables.into(),
            group: None,
            wait: "1",
            refuses: is_read_only.then_some((1290, "The MySQL server is running with the --super-read-only option")),
            asked: Vec::new(),
        }
    }

    fn answer(&mut self, sql: &str) -> Answer {
        let rows = |values: &[&str]| Answer::Row(Some(values.iter().map(|value| (*value).to_owned()).collect()));
        if let Some(names) = sql.strip_prefix("SELECT @@") {
            return self.variables(names);
        }
        if sql.starts_with("SELECT MEMBER_ROLE") {
            return Answer::Row(self.group.map(|(role, state)| vec![role.to_owned(), state.to_owned()]));
        }
        if sql == "SHOW GRANTS" {
            return rows(&["GRANT USAGE ON *.* TO `app`@`%`"]);
        }
        self.asked.push(sql.to_owned());
        match sql.split_whitespace().next() {
            Some("SELECT") if sql.contains("WAIT_FOR_EXECUTED_GTID_SET") => rows(&[self.wait]),
            Some("SELECT") => rows(&["7"]),
            Some("INSERT") => match self.refuses {
                Some((code, message)) => Answer::Error(code, message.to_owned()),
                None => Answer::Ok,
            },
            _ => Answer::Ok,
        }
    }

    fn variables(&self, names: &str) -> Answer {
        let mut values = Vec::new();
        for name in names.split(',') {
            let name = name.trim().trim_start_matches("@@").trim_start_matches("global.");
            match self.variables.get(name) {
                Some(value) => values.push(value.clone()),
                None if name == "version" => values.push(self.version.clone()),
                None => return Answer::Error(1193, format!("Unknown system variable '{name}'")),
            }
        }
        Answer::Row(Some(values))
    }
}

/// What a statement is answered.
enum Answer {
    Ok,
    Row(Option<Vec<String>>),
    Error(u16, String),
}

/// The servers, which are inspected and changed while they run.
#[derive(Clone)]
pub struct Servers(Arc<Mutex<Vec<Server>>>);

impl Servers {
    /// Starts them as the pods of `mysql`, behind the Service `db`.
    pub async fn start(servers: Vec<Server>) -> (Cluster, Workload, Self) {
        let cluster = Cluster::builder().namespace("shop").start().await.unwrap();
        let replicas = servers.len().try_into().unwrap();
        let servers = Self(Arc::new(Mutex::new(servers)));
        let app = App::custom({
            let servers = servers.clone();
            move |pod, client| {
                let (servers, ordinal) = (servers.clone(), pod.ordinal().unwrap() as usize);
                async move {
                    // The client ends the connection when it likes.
                    let _ended = servers.serve(ordinal, client).await;
                }
            }
        });
        let set = cluster
            .stateful_set("mysql")
            .service("db")
            .unnamed_port(3306)
            .replicas(replicas)
            .parallel();
        let set = set.app(app).start().await.unwrap();
        (cluster, set, servers)
    }

    pub fn all(&self) -> MutexGuard<'_, Vec<Server>> {
        self.0.lock().unwrap()
    }

    async fn serve(&self, ordinal: usize, client: TcpStream) -> io::Result<()> {
        let mut wire = Wire { client, sequence: 0 };
        let version = self.all()[ordinal].version.clone();
        wire.send(&greeting(&version)).await?;
        wire.receive().await?;
        // The password is known from an earlier connection; then OK.
        wire.send(&[1, 3]).await?;
        wire.send(OK).await?;
        loop {
            wire.sequence = 0;
            let request = wire.receive().await?;
            match request.split_first() {
                Some((3, sql)) => {
                    let sql = String::from_utf8_lossy(sql).into_owned();
                    let answer = self.all()[ordinal].answer(&sql);
                    wire.answer(answer).await?;
                }
                // PING, RESET_CONNECTION.
                Some((14 | 31, _)) => wire.send(OK).await?,
                Some((1, _)) | None => return Ok(()),
                Some(_) => wire.answer(Answer::Error(1047, "Unknown command".to_owned())).await?,
            }
        }
    }
}

/// Packets: three bytes of length, one of sequence, then the payload.
struct Wire {
    client: TcpStream,
    sequence: u8,
}

impl Wire {
    async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let head = [length[0], length[1], length[2], self.sequence];
        self.sequence = self.sequence.wrapping_add(1);
        self.client.write_all(&[&head, payload].concat()).await
    }

    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        self.client.read_exact(&mut head).await?;
        self.sequence = head[3].wrapping_add(1);
        let mut payload = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
        self.client.read_exact(&mut payload).await?;
        Ok(payload)
    }

    async fn answer(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Ok => self.send(OK).await,
            Answer::Error(code, message) => {
                let head = [&[0xff][..], &code.to_le_bytes(), b"#HY000"].concat();
                self.send(&[&head, message.as_bytes()].concat()).await
            }
            Answer::Row(row) => {
                let columns = row.as_ref().map_or(2, Vec::len);
                self.send(&[u8::try_from(columns).unwrap()]).await?;
                for _ in 0..columns {
                    self.send(COLUMN).await?;
                }
                self.send(END).await?;
                if let Some(row) = row {
                    let values = row.iter().flat_map(|value| {
                        let length = u8::try_from(value.len()).unwrap();
                        [&[length][..], value.as_bytes()].concat()
                    });
                    self.send(&values.collect::<Vec<u8>>()).await?;
                }
                self.send(END).await
            }
        }
    }
}

fn greeting(version: &str) -> Vec<u8> {
    // CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH, and
    // MULTI_STATEMENTS and _RESULTS.
    let capabilities: u32 = 0x8 | 0x200 | 0x2000 | 0x8000 | 0x8_0000 | 0x1_0000 | 0x2_0000;
    let [low0, low1, high0, high1] = capabilities.to_le_bytes();
    [
        &[10][..],
        version.as_bytes(),
        &[0],
        &7_u32.to_le_bytes(),
        b"01234567\0",
        &[low0, low1, 45, 2, 0, high0, high1, 21],
        &[0; 10],
        b"890123456789\0",
        b"caching_sha2_password\0",
    ]
    .concat()
}

/// No rows changed, autocommit.
const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const END: &[u8] = &[0xfe, 0, 0, 2, 0];
/// Catalogue `def`, no schema, table or name; utf8mb4; VAR_STRING.
const COLUMN: &[u8] = b"\x03def\0\0\0\0\0\x0c\x2d\0\0\x04\0\0\xfd\0\0\0\0\0";
