//! [`Balance`]: the ledger compared with what each pod has. The comparison is a function of values,
//! and is tested as one.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::fmt;

use headless_mysql::{Conn, Error};
use serde_json::{Value, json};

use crate::ledger::{Book, LookupCounts};
use crate::shop::{STOCK, Shop, everywhere};

/// What a pod has of this day.
#[derive(Clone, Debug, Default)]
struct Found {
    pod: String,
    /// The number by which it signs what it writes itself.
    server: u32,
    /// Each order, and the server that wrote it.
    orders: Vec<(u32, u32)>,
    stock: Option<i64>,
}

/// What came out.
#[derive(Clone, Debug)]
pub(crate) struct Balance {
    book: Book,
    /// The pods whose tables were read.
    pods: Vec<String>,
    /// Those that do not answer, and why.
    not_counted: Vec<String>,
    /// Acknowledged, and not on the primary.
    lost: BTreeSet<u32>,
    /// Written more than once.
    duplicated: BTreeSet<u32>,
    /// Reported as not written, and there all the same.
    unexpected: BTreeSet<u32>,
    /// Written by another pod than the one that answered, or on a pod other than the primary and
    /// not on the primary.
    wrong_node: BTreeSet<u32>,
    /// Of the orders whose outcome was open: those that are there.
    came_true: usize,
    /// Pods where the shelf does not fit the orders: half a transaction.
    half: Vec<String>,
}

/// Waits until all pods have everything, and reads their tables.
pub(crate) async fn take(shop: &Shop) -> Result<Balance, Box<dyn StdError>> {
    everywhere(&shop.db, &shop.db.token().await?).await?;
    let overview = shop.db.overview();
    let primary = overview.primary().ok_or("the primary has just gone; count again")?;
    let (mut found, mut not_counted) = (Vec::new(), Vec::new());
    for pod in &overview.pods {
        match read(shop, &pod.name).await {
            Ok(has) => found.push(has),
            Err(error) if pod.key == primary.key => return Err(error.into()),
            Err(error) => not_counted.push(format!("{}: {error}", pod.name)),
        }
    }
    Ok(Balance::of(shop.ledger.read(), &primary.name, &found, not_counted))
}

/// A pod is asked by name: this is about what it has itself.
async fn read(shop: &Shop, pod: &str) -> Result<Found, Error> {
    let orders = "SELECT id, pod FROM demo_orders WHERE run = ?";
    let stock = "SELECT n FROM demo_stock WHERE run = ?";
    let read = async |c: &mut Conn| {
        let server: Option<u32> = c.query_first("SELECT @@global.server_id").await?;
        Ok(Found {
            pod: c.pod(),
            server: server.unwrap_or_default(),
            orders: c.exec(orders, (shop.run,)).await?,
            stock: c.exec_first(stock, (shop.run,)).await?,
        })
    };
    shop.db.on_pod(pod, read).await
}

impl Balance {
    fn of(book: Book, primary: &str, found: &[Found], not_counted: Vec<String>) -> Self {
        let truth = found.iter().find(|has| has.pod == primary).cloned().unwrap_or_default();
        let mut times: BTreeMap<u32, usize> = BTreeMap::new();
        for (id, _) in &truth.orders {
            *times.entry(*id).or_default() += 1;
        }
        let signed: BTreeMap<u32, &str> = found.iter().map(|has| (has.server, &*has.pod)).collect();
        let by_other = truth.orders.iter().filter(|(id, server)| {
            // A pod that does not answer cannot be distinguished from another one.
            let by = signed.get(server);
            by.is_some() && book.acknowledged.get(id).is_some_and(|pod| Some(&**pod) != by.copied())
        });
        let is_there = |id: &&u32| times.contains_key(id);
        let all = found.iter().flat_map(|has| &has.orders);
        let elsewhere = all.filter(|(id, _)| !is_there(&id));
        let repeated = times.iter().filter(|(_, times)| **times > 1);
        let half = found
            .iter()
            .filter(|has| has.stock != Some(STOCK - has.orders.len() as i64));
        Self {
            wrong_node: by_other.chain(elsewhere).map(|(id, _)| *id).collect(),
            lost: book.acknowledged.keys().filter(|id| !is_there(id)).copied().collect(),
            duplicated: repeated.map(|(id, _)| *id).collect(),
            unexpected: book.not_placed.iter().filter(is_there).copied().collect(),
            came_true: book.maybe.iter().filter(is_there).count(),
            half: half.map(|has| has.pod.clone()).collect(),
            pods: found.iter().map(|has| has.pod.clone()).collect(),
            not_counted,
            book,
        }
    }

    /// Whether every promise was kept.
    pub(crate) fn is_kept(&self) -> bool {
        let broken = [&self.lost, &self.duplicated, &self.unexpected, &self.wrong_node];
        broken.into_iter().all(BTreeSet::is_empty) && self.half.is_empty() && self.book.with_token.stale == 0
    }

    pub(crate) fn to_json(&self) -> Value {
        let seen = |seen: LookupCounts| json!({ "reads": seen.reads, "stale": seen.stale });
        json!({
            "acknowledged": self.book.acknowledged.len(),
            "lost": self.lost,
            "duplicated": self.duplicated,
            "unexpected": self.unexpected,
            "wrong_node": self.wrong_node,
            "half_transactions_on": self.half,
            "with_token": seen(self.book.with_token),
            "without_token": seen(self.book.without_token),
            "longest_pause_seconds": self.book.longest_pause.as_secs_f64(),
            "sent_again": self.book.sent_again,
            "maybe_committed": { "orders": self.book.maybe.len(), "found": self.came_true },
            "not_placed": self.book.not_placed.len(),
            "failed_reads": self.book.failed_reads,
            "problems": self.book.problems,
            "counted_on": self.pods,
            "not_counted": self.not_counted,
            "kept": self.is_kept(),
        })
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = &self.book;
        writeln!(f, "\nThe ledger, compared with {}", self.pods.join(", "))?;
        writeln!(f, "  {:<38}{:>7}", "acknowledged writes", book.acknowledged.len())?;
        let promises = [
            ("lost", self.lost.len() as u64),
            ("duplicated", self.duplicated.len() as u64),
            ("on a wrong node", self.wrong_node.len() as u64),
            ("refused, and written all the same", self.unexpected.len() as u64),
            ("pods with half a transaction", self.half.len() as u64),
            ("stale reads with token", book.with_token.stale),
        ];
        for (what, count) in promises {
            let mark = if count == 0 { "✓" } else { "✗ BROKEN" };
            writeln!(f, "    {what:<36}{count:>7}  {mark}")?;
        }
        let others = [
            ("reads with token", book.with_token.reads),
            ("the same reads without token", book.without_token.reads),
            ("  of them stale", book.without_token.stale),
            ("sent again, as nothing was written", book.sent_again),
            ("maybe committed, never sent again", book.maybe.len() as u64),
            ("  of them found", self.came_true as u64),
            ("given up", book.not_placed.len() as u64),
            ("reads that failed", book.failed_reads),
        ];
        for (what, count) in others {
            writeln!(f, "  {what:<38}{count:>7}")?;
        }
        let pause = book.longest_pause.as_millis();
        writeln!(f, "  {:<38}{pause:>7} ms", "longest pause between two writes")?;
        for problem in book.problems.iter().chain(&self.not_counted) {
            writeln!(f, "  ! {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers 100 and 101; the first is the primary.
    fn balance(acknowledged: &[(u32, &str)], primary: &[(u32, u32)], replica: &[(u32, u32)]) -> Balance {
        let book = Book {
            acknowledged: acknowledged.iter().map(|(id, pod)| (*id, (*pod).to_owned())).collect(),
            maybe: [8].into(),
            not_placed: [9].into(),
            ..Book::default()
        };
        let found = |pod: &str, server, orders: &[(u32, u32)]| Found {
            pod: pod.to_owned(),
            server,
            orders: orders.to_vec(),
            stock: Some(STOCK - orders.len() as i64),
        };
        let found = [found("db-0", 100, primary), found("db-1", 101, replica)];
        Balance::of(book, "db-0", &found, Vec::new())
    }

    #[test]
    fn what_is_on_all_pods_balances() {
        let orders = [(1, 100), (2, 101), (8, 100)];
        let kept = balance(&[(1, "db-0"), (2, "db-1")], &orders, &orders);
        assert!(kept.is_kept(), "{kept}");
        assert_eq!(kept.came_true, 1);
    }

    #[test]
    fn every_broken_promise_is_found() {
        let both = [(1, "db-0"), (2, "db-0")];
        let lost = balance(&both, &[(1, 100)], &[(1, 100)]);
        assert_eq!((lost.lost.len(), lost.is_kept()), (1, false));
        let twice = [(1, 100), (1, 100), (2, 100)];
        assert_eq!(balance(&both, &twice, &twice).duplicated, [1].into());
        let astray = balance(&both, &[(1, 100)], &[(1, 100), (2, 101)]);
        assert_eq!((astray.wrong_node, astray.lost), ([2].into(), [2].into()));
        let by_other = [(1, 101), (2, 100)];
        assert_eq!(balance(&both, &by_other, &by_other).wrong_node, [1].into());
        let refused = [(1, 100), (2, 100), (9, 100)];
        assert_eq!(balance(&both, &refused, &refused).unexpected, [9].into());
    }

    #[test]
    fn half_a_transaction_is_found() {
        let found = Found {
            pod: "db-0".to_owned(),
            stock: Some(STOCK - 1),
            ..Found::default()
        };
        let half = Balance::of(Book::default(), "db-0", &[found], Vec::new());
        assert_eq!((half.half.len(), half.is_kept()), (1, false));
    }
}
