//! [`Collector`]: the tracing events of `headless`, as entries of the log.

use std::fmt::{self, Write as _};

use demo_support::Log;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// A layer of `tracing` that puts the events of `headless` into the log: an `info` or `warn` for
/// each change.
pub(crate) struct Collector(Log);

impl Collector {
    pub(crate) fn new(log: &Log) -> Self {
        Self(log.clone())
    }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Not `headless_testkit`: the script reports what it does to the cluster.
        let is_ours = ["headless::", "headless_dns::", "headless_http::"]
            .iter()
            .any(|krate| metadata.target().starts_with(krate));
        is_ours && *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.add("headless", line.message + &line.fields);
    }
}

/// `pods changed  event=Found generation=3 endpoints=5`. Without the Service: there is only one.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?} "),
            "service" => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
