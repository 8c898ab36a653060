//! [`Frame`]: everything that is shown, read at one time.

use console::style;
use demo_support::{Entry, Log, wrap};
use headless::Status;
use headless_http::Client;
use serde_json::{Value, json};

use crate::load::Load;
use crate::pods::{Ages, Row, table};
use crate::status;

/// How many events are shown below the table, unless there is less room.
const EVENTS: usize = 12;
/// Lines for events, however many pods there are.
const FEW: usize = 4;
/// Lines for one of them, and for one of the status.
const BRIEF: usize = 2;

/// Where frames come from.
pub(crate) struct Frames {
    client: Client,
    load: Load,
    log: Log,
    ages: Ages,
}

/// What is so at one time.
pub(crate) struct Frame {
    status: Status,
    rows: Vec<Row>,
    load: String,
    requests: [u64; 2],
    events: Vec<Entry>,
}

impl Frames {
    pub(crate) fn new(client: &Client, load: &Load, log: &Log) -> Self {
        let frames = Self {
            client: client.clone(),
            load: load.clone(),
            log: log.clone(),
            ages: Ages::default(),
        };
        // The ages begin.
        frames.now();
        frames
    }

    /// Nothing is asked: all of it is in this process.
    pub(crate) fn now(&self) -> Frame {
        let balancer = self.client.balancer();
        let requests = [self.load.answered(), self.load.failed()];
        let load = match self.load.rate() {
            0 => "none; `--load N` sends N requests a second".to_owned(),
            rate => format!(
                "{rate} requests a second: {} answered, {} failed",
                requests[0], requests[1]
            ),
        };
        Frame {
            status: balancer.discovery().status(),
            rows: self.ages.rows(&balancer.stats()),
            load,
            requests,
            events: self.log.last(EVENTS),
        }
    }
}

impl Frame {
    /// The status and the table, without the events, in `columns` columns.
    pub(crate) fn table(&self, columns: usize) -> Vec<String> {
        self.lines(usize::MAX, columns, usize::MAX)
    }

    /// The table, and the last events below it; `rows` lines at most. If that is not enough, there
    /// are fewer events, then fewer pods.
    pub(crate) fn picture(&self, rows: usize, columns: usize) -> Vec<String> {
        // Of a long reason, enough to tell what it is; without a screen to fit into, all of it.
        let most = if rows == usize::MAX { rows } else { BRIEF };
        let events = self.events.iter();
        let events: Vec<_> = events
            .flat_map(|event| wrap(&event.to_string(), columns, most))
            .collect();
        let mut lines = self.lines(rows.saturating_sub(events.len().min(FEW) + 1), columns, most);
        let shown = rows.saturating_sub(lines.len() + 1).min(events.len());
        lines.push(String::new());
        lines.extend_from_slice(&events[events.len() - shown..]);
        lines
    }

    fn lines(&self, rows: usize, columns: usize, most: usize) -> Vec<String> {
        let mut lines = vec![style(&self.status.service).bold().to_string()];
        let status = status::lines(&self.status)
            .into_iter()
            .chain([format!("load     {}", self.load)]);
        lines.extend(status.flat_map(|line| wrap(&line, columns, most)));
        lines.push(String::new());
        let pods = table(&self.rows, columns);
        let mut left = self.rows.len() + 1;
        for pod in pods {
            // One line is kept for how many are not shown, unless this is the last.
            let room = rows.saturating_sub(lines.len() + usize::from(left > 1));
            if pod.len() > room && left <= self.rows.len() {
                lines.push(format!("… and {left} more"));
                break;
            }
            lines.extend(pod);
            left -= 1;
        }
        lines
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "status": status::to_json(&self.status),
            "pods": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            "requests": { "answered": self.requests[0], "failed": self.requests[1] },
            "events": self.events.iter().map(Entry::to_json).collect::<Vec<_>>(),
        })
    }
}
