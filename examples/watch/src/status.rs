//! `Discovery::status` in words and in JSON: the mode, since when, and which rules have
//! applied.

use std::time::Duration;

use headless::{Mode, Status};
use serde_json::{Value, json};

/// The lines above the table.
pub(crate) fn lines(status: &Status) -> Vec<String> {
    let found_by = status
        .found_by
        .map_or_else(String::new, |by| format!(", found by {by}"));
    let ttl = status
        .ttl
        .map_or_else(String::new, |ttl| format!(", TTL {} s", ttl.as_secs()));
    let last_good = status.last_good_age.map_or_else(|| "never".to_owned(), ago);
    let last_failure = match &status.last_failure {
        Some(last) => format!("{}: {}", ago(last.age), last.failure),
        None => "none".to_owned(),
    };
    let rules: Vec<_> = status
        .counters
        .iter()
        .map(|(rule, count)| format!("{rule:?} {count}"))
        .collect();
    vec![
        format!("mode     {}", mode(status)),
        format!(
            "pods     {}, generation {}{found_by}{ttl}",
            status.endpoints, status.generation
        ),
        format!(
            "DNS      last good answer {last_good}; next resolution in {}",
            seconds(status.next_poll_in)
        ),
        format!("failure  {last_failure}"),
        format!("rules    {}", rules.join(" · ")),
    ]
}

pub(crate) fn to_json(status: &Status) -> Value {
    let failure = status.last_failure.as_ref().map(|last| {
        let (age, kind) = (last.age.as_secs_f64(), format!("{:?}", last.failure.kind));
        json!({ "age_seconds": age, "kind": kind, "text": last.failure.to_string() })
    });
    let counters = status
        .counters
        .iter()
        .map(|(rule, count)| (format!("{rule:?}"), json!(count)));
    json!({
        "service": *status.service,
        "mode": mode(status),
        "generation": status.generation,
        "endpoints": status.endpoints,
        "held": status.held,
        "found_by": status.found_by.map(|by| by.to_string()),
        "ttl_seconds": status.ttl.map(|ttl| ttl.as_secs()),
        "last_good_age_seconds": status.last_good_age.map(|age| age.as_secs_f64()),
        "next_poll_in_seconds": status.next_poll_in.as_secs_f64(),
        "failures": status.failures,
        "last_failure": failure,
        "last_negative": status.last_negative,
        "counters": Value::from_iter(counters),
    })
}

/// Whether DNS confirms what is shown. The first word is `fresh`, `kept` or `empty`.
fn mode(status: &Status) -> String {
    let mode = status.mode;
    let since = status
        .last_good_age
        .map_or_else(String::new, |age| format!("; nothing confirmed for {}", seconds(age)));
    match (mode, &status.last_negative) {
        (Mode::Fresh, _) if status.held > 0 => format!("{mode}, but {} pods no longer listed are held", status.held),
        (Mode::Fresh, _) => mode.to_string(),
        (Mode::StaleOnError, _) => format!("{mode}, {} times in a row{since}", status.failures),
        (_, Some(negative)) => format!("{mode} ({negative}){since}"),
        (_, None) => format!("{mode}: DNS has not answered yet"),
    }
}

fn ago(time: Duration) -> String {
    format!("{} ago", seconds(time))
}

/// `4.2 s`.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
