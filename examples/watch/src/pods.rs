//! The rows of the table: each pod that takes requests, and each that left with requests under way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::style;
use demo_support::{cut, explain, wrap};
use headless::{Endpoint, EndpointKey, EndpointStats, Stats};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Since when each pod is known here. DNS does not tell the age of a pod, and a pod under a new
/// address is a new one.
#[derive(Default)]
pub(crate) struct Ages(Mutex<HashMap<EndpointKey, Instant>>);

/// One pod.
pub(crate) struct Row {
    pod: Option<String>,
    ordinal: Option<u32>,
    address: String,
    state: &'static str,
    /// Why it is in this state, if there is more to say.
    reason: Option<String>,
    age: Duration,
    in_flight: usize,
    /// What only the pods that take requests have.
    pool: Option<Pool>,
}

struct Pool {
    latency: Option<Duration>,
    busy: usize,
    idle: usize,
    connecting: usize,
    opened: u64,
}

/// A column of the table.
struct Column {
    title: &'static str,
    is_number: bool,
    /// Columns that are kept free even for shorter cells, so that the table does not jump.
    least: usize,
    cell: fn(&Row) -> String,
}

/// The columns in their order.
const COLUMNS: [Column; 10] = [
    text("pod", 5, |row| row.pod.clone().unwrap_or_else(dash)),
    number("ord", 3, |row| {
        row.ordinal.map_or_else(dash, |ordinal| ordinal.to_string())
    }),
    text("address", 14, |row| row.address.clone()),
    text("state", 9, |row| row.state.to_owned()),
    number("flight", 6, |row| row.in_flight.to_string()),
    number("latency", 8, |row| {
        let latency = row.pool.as_ref().and_then(|pool| pool.latency);
        latency.map_or_else(dash, |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
    }),
    number("busy", 4, |row| row.of_pool(|pool| pool.busy + pool.connecting)),
    number("idle", 4, |row| row.of_pool(|pool| pool.idle)),
    number("opened", 6, |row| {
        row.of_pool(|pool| usize::try_from(pool.opened).unwrap_or(usize::MAX))
    }),
    number("age", 5, |row| format!("{} s", row.age.as_secs())),
];
/// What is left out if there is no room, the first first: what another column tells too, then what
/// is least needed.
const DISPENSABLE: [&str; 5] = ["ord", "opened", "age", "latency", "address"];
/// A pod's name is cut before a column is left out, but not below this.
const SHORTEST_NAME: usize = 12;

const fn text(title: &'static str, least: usize, cell: fn(&Row) -> String) -> Column {
    Column {
        title,
        is_number: false,
        least,
        cell,
    }
}

const fn number(title: &'static str, least: usize, cell: fn(&Row) -> String) -> Column {
    Column {
        title,
        is_number: true,
        least,
        cell,
    }
}

/// The titles and rows, as many columns of the table as there is room for, and below a row its
/// reason.
pub(crate) fn table(rows: &[Row], room: usize) -> Vec<Vec<String>> {
    let mut columns: Vec<_> = COLUMNS.iter().map(|column| (column, width(column, rows))).collect();
    let too_wide = |columns: &[(&Column, usize)]| {
        let all: usize = columns.iter().map(|(_, width)| width + 1).sum();
        (all - 1).saturating_sub(room)
    };
    let name = columns[0].1;
    columns[0].1 = name.saturating_sub(too_wide(&columns)).max(name.min(SHORTEST_NAME));
    for title in DISPENSABLE {
        if too_wide(&columns) > 0 {
            columns.retain(|(column, _)| column.title != title);
        }
    }
    let titles = line(&columns, |column| column.title.to_owned(), None);
    let rows = rows.iter().map(|row| {
        let mut lines = vec![line(&columns, |column| (column.cell)(row), Some(row))];
        let reason = row
            .reason
            .iter()
            .flat_map(|reason| wrap(&format!("  └ {reason}"), room, 2));
        lines.extend(reason.map(|line| style(line).dim().to_string()));
        lines
    });
    std::iter::once(vec![titles]).chain(rows).collect()
}

fn width(column: &Column, rows: &[Row]) -> usize {
    let cells = rows.iter().map(|row| (column.cell)(row).chars().count());
    cells.chain([column.least]).max().unwrap_or_default()
}

fn line(columns: &[(&Column, usize)], cell: impl Fn(&Column) -> String, row: Option<&Row>) -> String {
    let cells = columns.iter().map(|(column, width)| {
        let cell = cut(&cell(column), *width);
        match (row, column.is_number) {
            (_, true) => format!("{cell:>width$}"),
            (Some(row), false) if column.title == "state" => row.coloured(&format!("{cell:<width$}")),
            (_, false) => format!("{cell:<width$}"),
        }
    });
    cells.collect::<Vec<_>>().join(" ")
}

impl Ages {
    /// All rows: those that take requests in their order, then those that drain. Call it often: a
    /// pod's age begins when it is seen here first.
    pub(crate) fn rows(&self, stats: &Stats) -> Vec<Row> {
        let now = Instant::now();
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *ages);
        let mut age = |endpoint: &Endpoint| {
            let since = old.get(endpoint.key()).copied().unwrap_or(now);
            ages.insert(endpoint.key().clone(), since);
            now - since
        };
        let mut rows: Vec<_> = stats
            .endpoints
            .iter()
            .map(|pod| Row::listed(pod, age(&pod.endpoint)))
            .collect();
        let draining = stats.draining.iter();
        rows.extend(draining.map(|left| Row::new(&left.endpoint, "draining", left.requests, age(&left.endpoint))));
        rows
    }
}

impl Row {
    fn new(endpoint: &Endpoint, state: &'static str, in_flight: usize, age: Duration) -> Self {
        Self {
            pod: endpoint.pod().map(ToString::to_string),
            ordinal: endpoint.ordinal().map(|ordinal| ordinal.get()),
            address: endpoint.addr().to_string(),
            state,
            reason: None,
            age,
            in_flight,
            pool: None,
        }
    }

    fn listed(pod: &EndpointStats, age: Duration) -> Self {
        let state = match (pod.warming, pod.unhealthy) {
            (true, _) => "warming",
            (_, true) => "unhealthy",
            _ => "ready",
        };
        let in_flight = usize::try_from(pod.in_flight).unwrap_or(usize::MAX);
        Self {
            reason: pod.last_failure.as_ref().map(|failure| explain(failure)),
            pool: Some(Pool {
                latency: pod.latency,
                busy: pod.pool.busy,
                idle: pod.pool.idle,
                connecting: pod.pool.connecting,
                opened: pod.pool.opened,
            }),
            ..Self::new(&pod.endpoint, state, in_flight, age)
        }
    }

    fn of_pool(&self, number: fn(&Pool) -> usize) -> String {
        self.pool.as_ref().map_or_else(dash, |pool| number(pool).to_string())
    }

    /// `text` in the colour of the state.
    fn coloured(&self, text: &str) -> String {
        let text = style(text);
        match self.state {
            "ready" => text.green(),
            "unhealthy" => text.red(),
            _ => text.yellow(),
        }
        .to_string()
    }

    pub(crate) fn to_json(&self) -> Value {
        let pool = self.pool.as_ref();
        json!({
            "pod": self.pod,
            "ordinal": self.ordinal,
            "address": self.address,
            "state": self.state,
            "reason": self.reason,
            "in_flight": self.in_flight,
            "latency_ms": pool.and_then(|pool| pool.latency).map(|time| time.as_secs_f64() * 1000.0),
            "connections": pool.map(|pool| {
                json!({ "busy": pool.busy, "idle": pool.idle, "connecting": pool.connecting, "opened": pool.opened })
            }),
            "age_seconds": self.age.as_secs_f64(),
        })
    }
}

fn dash() -> String {
    "-".to_owned()
}
