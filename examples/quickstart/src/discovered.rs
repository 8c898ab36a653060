//! What was discovered: the pods of a Service, and how they were found.

use std::sync::Arc;
use std::time::Duration;

use headless::{Discovery, Endpoint};
use serde_json::{Value, json};

pub(crate) struct Discovered {
    service: String,
    found_by: String,
    ttl: Option<Duration>,
    pub(crate) pods: Vec<Arc<Endpoint>>,
}

impl Discovered {
    /// What `discovery` knows now. Nothing is asked.
    pub(crate) fn now(discovery: &Discovery) -> Self {
        let status = discovery.status();
        Self {
            service: status.service.to_string(),
            found_by: status
                .found_by
                .map_or_else(|| "nothing yet".to_owned(), |by| by.to_string()),
            ttl: status.ttl,
            pods: discovery.snapshot().iter().cloned().collect(),
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let ttl = self
            .ttl
            .map_or_else(String::new, |ttl| format!(", TTL {} s", ttl.as_secs()));
        let mut text = format!(
            "  {}\n  {} pods, found by {}{ttl}",
            self.service,
            self.pods.len(),
            self.found_by
        );
        for pod in &self.pods {
            let name = pod.pod().map_or_else(|| "(no name)".to_owned(), ToString::to_string);
            let ordinal = pod
                .ordinal()
                .map_or_else(|| "no ordinal".to_owned(), |k| format!("ordinal {k}"));
            text.push_str(&format!("\n    {name:<12} {ordinal:<12} {}", pod.addr()));
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let pods = self.pods.iter().map(|pod| {
            json!({
                "pod": pod.pod().map(ToString::to_string),
                "ordinal": pod.ordinal().map(|ordinal| ordinal.get()),
                "address": pod.addr().to_string(),
            })
        });
        json!({
            "service": self.service,
            "found_by": self.found_by,
            "ttl_seconds": self.ttl.map(|ttl| ttl.as_secs()),
            "pods": pods.collect::<Vec<_>>(),
        })
    }
}
