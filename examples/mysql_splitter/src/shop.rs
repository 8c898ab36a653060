//! [`Shop`]: customers that order, search for their orders and read the stock, all at once, until
//! it closes.

use std::error::Error as StdError;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use demo_support::{Log, Screen};
use headless_mysql::gtid::Token;
use headless_mysql::{Causal, Conn, Decision, Error, PodStatus, Splitter};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ledger::Ledger;
use crate::tally::{Deed, Tally};
use crate::{cookie, find_order, in_stock, place_order};

/// How many order and search for their orders, and how many read the stock.
const CUSTOMERS: usize = 4;
const BROWSERS: usize = 4;
/// Cookies under way, for each customer.
const CARRIED: usize = 16;
/// Between two orders of a customer, and two reads of a browser: a load that leaves the machine
/// some rest.
const THINKING: Duration = Duration::from_millis(25);
const BROWSING: Duration = Duration::from_millis(10);
/// Before an order that was not written is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// How long replicas may take to have what was written.
const CATCH_UP: Duration = Duration::from_secs(10);

/// What is on the shelf at first. More than can be sold.
pub(crate) const STOCK: i64 = 1_000_000;

/// WHY the order's number is not UNIQUE: an order that was written twice has to show here. A shop
/// of yours should have it so, because that makes an order safe to send again.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS demo_orders (line BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, \
     run BIGINT UNSIGNED NOT NULL, id INT UNSIGNED NOT NULL, pod INT UNSIGNED NOT NULL, KEY (run, id))",
    "CREATE TABLE IF NOT EXISTS demo_stock (run BIGINT UNSIGNED PRIMARY KEY, n BIGINT NOT NULL)",
];

/// One day of the shop.
pub(crate) struct Shop {
    pub(crate) db: Splitter,
    /// Sources: `pods`, what is done to them; `splitter`, what it sees of that; `route`, where it
    /// sends what and why.
    pub(crate) log: Log,
    screen: Mutex<Screen>,
    pub(crate) ledger: Ledger,
    pub(crate) tally: Tally,
    /// Which rows are this day's: others may have a shop in the same tables.
    pub(crate) run: u64,
    next_order: AtomicU32,
    is_open: AtomicBool,
}

impl Shop {
    /// Fills the shelf, on all pods.
    pub(crate) async fn open(db: Splitter, log: Log, screen: Screen) -> Result<Arc<Self>, Box<dyn StdError>> {
        // A number that no other shop has; std has no other source of randomness.
        let run = RandomState::new().hash_one(std::process::id());
        let fill = async |c: &mut Conn| {
            for table in TABLES {
                c.query_drop(table).await?;
            }
            let shelf = "INSERT INTO demo_stock (run, n) VALUES (?, ?)";
            c.exec_drop(shelf, (run, STOCK)).await
        };
        db.write(fill).await?;
        // Plain reads follow, which may be early: not before there is a table to read.
        everywhere(&db, &db.token().await?).await?;
        Ok(Arc::new(Self {
            db,
            log,
            screen: Mutex::new(screen),
            ledger: Ledger::default(),
            tally: Tally::begin("calm"),
            run,
            next_order: AtomicU32::new(1),
            is_open: AtomicBool::new(true),
        }))
    }

    /// All visitors begin. They end after [`close`](Self::close).
    pub(crate) fn visited(self: &Arc<Self>) -> JoinSet<()> {
        let mut visitors = JoinSet::new();
        for _ in 0..CUSTOMERS {
            // Two requests of one visitor, which another machine may answer: the cookie is all that
            // they share.
            let (cookies, carried) = mpsc::channel(CARRIED);
            visitors.spawn(Arc::clone(self).order_again_and_again(cookies));
            visitors.spawn(Arc::clone(self).search_for_orders(carried));
        }
        for _ in 0..BROWSERS {
            visitors.spawn(Arc::clone(self).read_the_stock());
        }
        visitors
    }

    /// The way to stdout.
    pub(crate) fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is ordered any more.
    pub(crate) fn close(&self) {
        // ORDERING: Relaxed: a flag that stands for itself.
        self.is_open.store(false, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        // ORDERING: Relaxed: as in `close`.
        self.is_open.load(Ordering::Relaxed)
    }

    async fn order_again_and_again(self: Arc<Self>, cookies: mpsc::Sender<(u32, String)>) {
        while self.is_open() {
            // ORDERING: Relaxed: a counter and nothing else.
            let id = self.next_order.fetch_add(1, Ordering::Relaxed);
            let mut visitor = self.db.causal();
            if self.order(&mut visitor, id).await {
                match cookie(&visitor).await {
                    // Fails only if the reader has ended, and then it is not needed.
                    Ok(cookie) => drop(cookies.send((id, cookie)).await),
                    Err(error) => self.ledger.failed_read(error.to_string()),
                }
            }
            sleep(THINKING).await;
        }
    }

    /// Whether the order was acknowledged. What certainly was not written is sent again; what may
    /// have been, never.
    async fn order(&self, visitor: &mut Causal, id: u32) -> bool {
        loop {
            match place_order(visitor, self.run, id).await {
                Ok(decision) => {
                    self.ledger.acknowledged(id, &decision.pod);
                    self.served(Deed::Write, &decision);
                    return true;
                }
                Err(error) if error.is_not_sent() && self.is_open() => self.ledger.sent_again(&error),
                Err(error) => {
                    self.ledger.failed(id, &error);
                    return false;
                }
            }
            sleep(AGAIN).await;
        }
    }

    async fn search_for_orders(self: Arc<Self>, mut carried: mpsc::Receiver<(u32, String)>) {
        while let Some((id, cookie)) = carried.recv().await {
            // Every other one without its cookie, to see what the cookie is good for.
            let cookie = Some(cookie).filter(|_| id % 2 == 0);
            match find_order(&self.db, self.run, id, cookie.as_deref()).await {
                Ok((found, decision)) => {
                    self.ledger.looked_for(cookie.is_some(), found);
                    let deed = if cookie.is_some() { Deed::TokenRead } else { Deed::Read };
                    self.served(deed, &decision);
                }
                Err(error) => self.ledger.failed_read(error.to_string()),
            }
        }
    }

    async fn read_the_stock(self: Arc<Self>) {
        while self.is_open() {
            match in_stock(&self.db, self.run).await {
                Ok((_, decision)) => self.served(Deed::Read, &decision),
                Err(error) => self.ledger.failed_read(error.to_string()),
            }
            sleep(BROWSING).await;
        }
    }

    /// Counts it, and tells why it went where it went: once for each reason.
    fn served(&self, deed: Deed, decision: &Decision) {
        if self.tally.count(deed, decision) {
            self.log.add("route", format!("{deed} → {decision}"));
        }
    }

    /// Removes this day's rows.
    pub(crate) async fn clear(&self) -> Result<(), Error> {
        let clear = async |c: &mut Conn| {
            c.exec_drop("DELETE FROM demo_orders WHERE run = ?", (self.run,))
                .await?;
            c.exec_drop("DELETE FROM demo_stock WHERE run = ?", (self.run,)).await
        };
        self.db.write(clear).await
    }
}

/// Returns when every replica that answers has what the token stands for.
pub(crate) async fn everywhere(db: &Splitter, token: &Token) -> Result<(), Box<dyn StdError>> {
    let lacks = |pod: &&PodStatus| pod.follows && !token.is_reached_by(&pod.position).unwrap_or(false);
    let wait = async {
        let mut overview = db.overview();
        while overview.pods.iter().any(|pod| lacks(&pod)) {
            overview = db.changed(&overview).await;
        }
    };
    timeout(CATCH_UP, wait).await.map_err(|_| {
        let overview = db.overview();
        let pods: Vec<_> = overview.pods.iter().filter(lacks).map(|pod| &*pod.name).collect();
        format!(
            "after {} s {} still lacks {token}: does it replicate? `SHOW REPLICA STATUS` there tells",
            CATCH_UP.as_secs(),
            pods.join(", ")
        )
        .into()
    })
}
