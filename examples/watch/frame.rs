//! [`Frame`]: everything that is shown, read at one time.

use headless::Status;
use headless_http::Client;
use serde_json::{Value, json};

use crate::load::Load;
use crate::log::{Entry, Log};
use crate::pods::{Ages, Row, header};
use crate::status;

/// How many events are shown below the table, unless there is less room.
const EVENTS: usize = 12;

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

    /// Asks nobody: all of it is in this process.
    pub(crate) fn now(&self) -> Frame {
        let balancer = self.client.balancer();
        let requests = [self.load.answered(), self.load.failed()];
        let load = match self.load.rate() {
            0 => "none; `--load N` sends N requests `GET /` a second".to_owned(),
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
    /// The status and the table, without the events.
    pub(crate) fn table(&self) -> Vec<String> {
        let mut lines = vec![self.status.service.to_string()];
        lines.extend(status::lines(&self.status));
        lines.push(format!("load     {}", self.load));
        lines.push(String::new());
        lines.push(header());
        lines.extend(self.rows.iter().map(Row::to_line));
        lines
    }

    /// The table, and the last events below it; `room` lines at most. If that is not enough, there are fewer events, then fewer
    /// pods.
    pub(crate) fn to_text(&self, room: usize) -> String {
        let mut lines = self.table();
        let events = self.events.len().min(FEW);
        let room_for_pods = room.saturating_sub(events + 1).max(lines.len() - self.rows.len() + 1);
        if lines.len() > room_for_pods {
            let hidden = lines.len() + 1 - room_for_pods;
            lines.truncate(room_for_pods.saturating_sub(1));
            lines.push(format!("… and {hidden} more"));
        }
        let shown = room.saturating_sub(lines.len() + 1).min(self.events.len());
        lines.push(String::new());
        lines.extend(
            self.events
                .iter()
                .skip(self.events.len() - shown)
                .map(ToString::to_string),
        );
        lines.join("\n")
    }

    pub(crate) fn to_json(&self) -> Value {
        let event = |entry: &Entry| {
            let at = entry.at.as_secs_f64();
            json!({ "at_seconds": at, "source": entry.source, "text": entry.text })
        };
        json!({
            "status": status::to_json(&self.status),
            "pods": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            "requests": { "answered": self.requests[0], "failed": self.requests[1] },
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
        })
    }
}

/// Events that are shown however many pods there are.
const FEW: usize = 4;
