//! What is shown while the shop is open: events as they come, and each second who served what, which on a terminal is
//! redrawn below the events. Silent with `--json`, but it looks all the same.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::Duration;

use headless::Role;
use headless_mysql::{Overview, PodStatus, Writer};
use tokio::time::{Instant, interval};

use crate::shop::Shop;
use crate::tally::Counts;

/// How often events are shown.
const EVENTS: Duration = Duration::from_millis(200);
/// How often the pods are.
const TABLE: Duration = Duration::from_secs(1);

/// Shows the shop until nobody looks any more.
pub(crate) async fn show(shop: &Shop) -> Infallible {
    let mut view = View::new(shop);
    let mut tick = interval(EVENTS);
    let mut overview = shop.db.overview();
    for text in told(&Overview::default(), &overview) {
        shop.log.add("splitter", text);
    }
    loop {
        tokio::select! {
            now = shop.db.changed(&overview) => {
                for text in told(&overview, &now) {
                    shop.log.add("splitter", text);
                }
                overview = now;
            }
            _ = tick.tick() => view.draw(&overview),
        }
    }
}

/// What the splitter has seen since.
fn told(before: &Overview, now: &Overview) -> Vec<String> {
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
    is_terminal: bool,
    /// The lines below the events. On a terminal they are replaced by the next ones.
    table: Vec<String>,
    /// How many of them are on the screen.
    drawn: usize,
    /// Events shown so far.
    seen: usize,
    counted: BTreeMap<String, Counts>,
    since: Instant,
}

impl<'a> View<'a> {
    fn new(shop: &'a Shop) -> Self {
        Self {
            shop,
            is_terminal: stdout().is_terminal(),
            table: Vec::new(),
            drawn: 0,
            seen: 0,
            counted: BTreeMap::new(),
            since: Instant::now(),
        }
    }

    fn draw(&mut self, overview: &Overview) {
        if self.shop.log.is_silent {
            return;
        }
        // Events first: they are older than what the pods do now.
        self.print();
        let past = self.since.elapsed();
        if past >= TABLE {
            let rows = self.rows(overview, past);
            match self.is_terminal {
                true => self.table = rows,
                false => self.shop.log.say(&rows.join("\n")),
            }
        }
    }

    /// The events that are new, and on a terminal the table below them.
    fn print(&mut self) {
        let new = self.shop.log.after(self.seen);
        self.seen += new.len();
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        self.drawn = self.table.len();
        let events = new.iter().map(ToString::to_string);
        let lines: String = events
            .chain(self.table.clone())
            .map(|line| format!("{line}\n"))
            .collect();
        // Nobody left to read it is no reason to stop: the exit code still tells how it went.
        let _ = write!(stdout(), "{up}{lines}").and_then(|()| stdout().flush());
    }

    /// A row for each pod: what it did since the last ones.
    fn rows(&mut self, overview: &Overview, past: Duration) -> Vec<String> {
        let now = self.shop.tally.by_pod();
        let before = std::mem::replace(&mut self.counted, now.clone());
        self.since = Instant::now();
        let stats = self.shop.db.balancer().stats();
        let mut time = format!("{:>6.2} s", self.shop.log.elapsed().as_secs_f64());
        let rows = overview.pods.iter().map(|pod| {
            let of = |counts: &BTreeMap<String, Counts>| counts.get(&pod.name).copied().unwrap_or_default();
            let done = of(&now).since(of(&before));
            let per_second = |count: u64| count as f64 / past.as_secs_f64();
            let pool = stats
                .endpoints
                .iter()
                .find(|stats| stats.endpoint.key() == &pod.key)
                .map(|stats| &stats.pool);
            let connections = pool.map_or_else(
                || "-".to_owned(),
                |pool| format!("{} busy {} idle", pool.busy, pool.idle),
            );
            // The primary is behind nobody.
            let lag = pod.lag.filter(|_| pod.role != Some(Role::Primary));
            let lag = lag.map_or_else(|| "-".to_owned(), |lag| format!("{} ms", lag.as_millis()));
            format!(
                "{:>8}  {:<8}  {:<7}  lag {lag:>7}  {:>5.0} reads/s {:>5.0} by token {:>5.0} writes/s   {connections}",
                std::mem::take(&mut time),
                pod.name,
                role(pod),
                per_second(done.reads),
                per_second(done.token_reads),
                per_second(done.writes),
            )
        });
        rows.collect()
    }
}

impl Drop for View<'_> {
    /// The last events.
    fn drop(&mut self) {
        if !self.shop.log.is_silent {
            self.print();
        }
    }
}

const fn role(pod: &PodStatus) -> &'static str {
    match pod.role {
        Some(Role::Primary) => "primary",
        Some(Role::Replica) => "replica",
        None => "out",
    }
}
