//! Spans: what outlives a request is no child of its span, so that the span ends with the request.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use common::{Web, get};
use headless_http::Protocol;
use tracing::span::{Attributes, Id};
use tracing::{Instrument, Metadata, Subscriber, info_span};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, registry};

/// Notes the spans as they open, follow others, and close. Those of h2, which the pods use too, are
/// left out.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Observed>>);

#[derive(Default)]
struct Observed {
    open: BTreeSet<&'static str>,
    children: BTreeSet<(&'static str, &'static str)>,
    followers: BTreeSet<(&'static str, &'static str)>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Notes {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        if is_of_h2(span.metadata()) {
            return;
        }
        let mut seen = self.0.lock().unwrap();
        seen.open.insert(span.name());
        if let Some(parent) = span.parent() {
            seen.children.insert((parent.name(), span.name()));
        }
    }

    fn on_follows_from(&self, id: &Id, from: &Id, context: Context<'_, S>) {
        let (span, from) = (context.span(id).unwrap(), context.span(from).unwrap());
        if is_of_h2(span.metadata()) {
            return;
        }
        self.0.lock().unwrap().followers.insert((from.name(), span.name()));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let name = context.span(&id).unwrap().name();
        self.0.lock().unwrap().open.remove(name);
    }
}

fn is_of_h2(span: &Metadata<'_>) -> bool {
    span.target().starts_with("h2")
}

#[tokio::test]
async fn a_span_ends_with_its_request_and_not_with_the_connection() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let notes = Notes::default();
        let _guard = tracing::subscriber::set_default(registry().with(notes.clone()));
        let web = Web::start(1).await;
        let start = async { web.builder().await.protocol(protocol).build().unwrap() };
        let client = start.instrument(info_span!("start")).await;
        get(&client).instrument(info_span!("request")).await.unwrap();
        let seen = notes.0.lock().unwrap();
        assert_eq!(seen.open, BTreeSet::from(["connection", "discovery"]), "{protocol:?}");
        assert_eq!(seen.children, BTreeSet::new());
        let followers = [
            ("start", "discovery"),
            ("request", "connect"),
            ("connect", "connection"),
        ];
        assert_eq!(seen.followers, BTreeSet::from(followers));
    }
}
