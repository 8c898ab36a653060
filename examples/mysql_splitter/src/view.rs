//! What is shown while the shop is open: events as they come, and each second which pod served
//! what, which on a terminal is redrawn below the events.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use demo_support::cut;
use headless::{PoolStats, Role};
use headless_mysql::{Overview, PodStatus, Writer};
use tokio::time::{Instant, interval};

use crate::shop::Shop;
use crate::tally::Counts;

/// How often events are shown.
const EVENTS: Duration = Duration::from_millis(200);
/// How often the pods are.
const TABLE: Duration = Duration::from_secs(1);

/// Shows the shop until it is dropped.
pub(crate) async fn show(shop: &Shop) -> Infallible {
    let mut view = View::new(shop);
    let mut tick = interval(EVENTS);
    let mut overview = shop.db.overview();
    for text in changes(&Overview::default(), &overview) {
        shop.log.add("splitter", text);
    }
    loop {
        tokio::select! {
            now = shop.db.changed(&overview) => {
                for text in changes(&overview, &now) {
                    shop.log.add("splitter", text);
                }
                overview = now;
            }
            _ = tick.tick() => view.draw(&overview),
        }
    }
}

/// What the splitter has seen since.
fn changes(before: &Overview, now: &Overview) -> Vec<String> {
    let mut texts = Vec::new();
    if before.writer != now.writer {
        texts.push(match &now.writer {
            Writer::Pod(pod) => format!("{pod} is verified: writes go there"),
            Writer::Ambiguous(pods) => format!("no writes: {} would all take them", pods.join(", ")),
            Writer::Unavailable(problem) => format!("no writes: {problem}"),
            other => format!("{other:?}"),
        });
    }
    for pod in &now.pods {
        let was = before.pod(&pod.key).and_then(|pod| pod.role);
        match (was, pod.role) {
            (was, is) if was == is => {}
            (_, Some(Role::Replica)) => texts.push(format!("{} takes reads", pod.name)),
            (_, Some(_)) => {}
            (_, None) => {
                let problem = pod.problem.as_deref().unwrap_or("not known yet");
                texts.push(format!("{} takes nothing: {problem}", pod.name));
            }
        }
    }
    let gone = before.pods.iter().filter(|pod| now.pod(&pod.key).is_none());
    texts.extend(gone.map(|pod| format!("{} has left", pod.name)));
    texts
}

/// What is on the screen.
struct View<'a> {
    shop: &'a Shop,
    /// The lines below the events. On a terminal they are replaced by the next ones.
    table: Vec<String>,
    /// Events shown so far.
    seen: usize,
    counted: BTreeMap<String, Counts>,
    since: Instant,
}

impl<'a> View<'a> {
    fn new(shop: &'a Shop) -> Self {
        let (table, counted) = (Vec::new(), BTreeMap::new());
        Self {
            shop,
            table,
            seen: 0,
            counted,
            since: Instant::now(),
        }
    }

    fn draw(&mut self, overview: &Overview) {
        // Events first: they are older than what the pods do now.
        self.show_events();
        let past = self.since.elapsed();
        if past >= TABLE {
            self.table = self.rows(overview, past);
            if !self.shop.screen().is_terminal() {
                self.shop.screen().line(&self.table.join("\n"));
            }
        }
        self.shop.screen().live(&self.table);
    }

    fn show_events(&mut self) {
        let (new, seen) = self.shop.log.after(self.seen);
        self.seen = seen;
        for entry in new {
            self.shop.screen().line(&entry.to_string());
        }
    }

    /// A row for each pod: what it did since the last ones.
    fn rows(&mut self, overview: &Overview, past: Duration) -> Vec<String> {
        let now = self.shop.tally.by_pod();
        let before = std::mem::replace(&mut self.counted, now.clone());
        self.since = Instant::now();
        let stats = self.shop.db.balancer().stats();
        let time = format!("{:.2} s", self.shop.log.elapsed().as_secs_f64());
        let title = format!(
            "{time:>9} {:<12} {:<7} {:>7} {:>7} {:>8} {:>8} {:>5} {:>5}",
            "pod", "role", "lag", "reads/s", "by token", "writes/s", "busy", "idle"
        );
        let rows = overview.pods.iter().map(|pod| {
            let of = |counts: &BTreeMap<String, Counts>| counts.get(&pod.name).copied().unwrap_or_default();
            let done = of(&now).since(of(&before));
            let per_second = |count: u64| count as f64 / past.as_secs_f64();
            let mut pools = stats.endpoints.iter().filter(|stats| stats.endpoint.key() == &pod.key);
            let pool = pools.next().map(|stats| &stats.pool);
            let connections = |number: fn(&PoolStats) -> usize| pool.map_or_else(dash, |pool| number(pool).to_string());
            // The primary is behind no other pod.
            let lag = pod.lag.filter(|_| pod.role != Some(Role::Primary));
            format!(
                "{:>9} {:<12} {:<7} {:>7} {:>7.0} {:>8.0} {:>8.0} {:>5} {:>5}",
                "",
                cut(&pod.name, 12),
                role(pod),
                lag.map_or_else(dash, |lag| format!("{} ms", lag.as_millis())),
                per_second(done.reads),
                per_second(done.token_reads),
                per_second(done.writes),
                connections(|pool| pool.busy),
                connections(|pool| pool.idle),
            )
        });
        std::iter::once(title).chain(rows).collect()
    }
}

impl Drop for View<'_> {
    /// The last events, and on a terminal the last table below them.
    fn drop(&mut self) {
        self.show_events();
        let screen = self.shop.screen();
        if screen.is_terminal() {
            drop(screen);
            self.shop.screen().line(&self.table.join("\n"));
        }
    }
}

fn dash() -> String {
    "-".to_owned()
}

const fn role(pod: &PodStatus) -> &'static str {
    match pod.role {
        Some(Role::Primary) => "primary",
        Some(Role::Replica) => "replica",
        None => "out",
    }
}
