//! The pods: three MariaDB servers of the testkit, pod 0 the primary, with a table to select from,
//! and their CPUs.

use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::str::FromStr;

use headless_benches::harness::cpu;
use headless_testkit::mariadb::{Error, MariaDb};
use tokio::runtime::{Builder, Runtime};

/// The addresses of the pods.
#[derive(Clone, Copy, Debug)]
pub struct Pods {
    pub primary: SocketAddr,
    pub replicas: [SocketAddr; 2],
}

impl Pods {
    /// Returns the addresses in the order of their ordinals.
    pub fn all(self) -> [SocketAddr; 3] {
        let [first, second] = self.replicas;
        [self.primary, first, second]
    }
}

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [primary, first, second] = self.all();
        write!(f, "{primary} {first} {second}")
    }
}

impl FromStr for Pods {
    type Err = AddrParseError;

    /// Reads the text that `Display` writes.
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let mut addresses = text.split(' ').map(str::parse);
        let mut next = || addresses.next().unwrap_or_else(|| "".parse());
        Ok(Self {
            primary: next()?,
            replicas: [next()?, next()?],
        })
    }
}

/// Rows of the table.
pub const ROWS: u32 = 10_000;
/// Characters of the text of a row.
pub const TEXT: usize = 120;
/// Selects a row by its key, as sysbench's point select.
pub const SELECT: &str = "SELECT c FROM item WHERE id = ?";

const CLIENT_CPU: &str = "0";
const SERVERS_CPU: &str = "1";
const BOTH: &str = "0,1";

/// The running pods. They end with the value.
pub struct Servers {
    db: MariaDb,
    /// The runtime of the pods, on their CPU.
    _runtime: Runtime,
    are_pinned: bool,
}

impl Servers {
    /// Starts the pods.
    ///
    /// # Errors
    ///
    /// The reason why they cannot be started.
    pub fn start() -> Result<Self, String> {
        // Processes that this thread starts stay on its CPU.
        let are_pinned = cpu::pin(SERVERS_CPU);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let started = runtime.block_on(async {
            let db = MariaDb::start().await?;
            let fill = format!(
                "CREATE TABLE item (id INT PRIMARY KEY, c CHAR({TEXT}) NOT NULL); \
                 INSERT INTO item SELECT seq, REPEAT('x', {TEXT}) FROM seq_1_to_{ROWS}"
            );
            db.pod(0)?.app_sql(&fill).await?;
            db.replicated().await?;
            Ok::<_, Error>(db)
        });
        cpu::pin(BOTH);
        match started {
            Ok(db) => Ok(Self {
                db,
                _runtime: runtime,
                are_pinned,
            }),
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn pods(&self) -> Pods {
        let address = |ordinal| self.db.pod(ordinal).unwrap().addr();
        Pods {
            primary: address(0),
            replicas: [address(1), address(2)],
        }
    }

    /// Moves this thread to a CPU of its own, if there are two.
    pub fn part(&self) -> bool {
        self.are_pinned && cpu::pin(CLIENT_CPU)
    }
}
