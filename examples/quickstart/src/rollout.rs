//! Pods that come and go under load: what the cluster did, next to what the callers felt of it.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::Duration;

use demo_support::{Embedded, Screen};
use headless_http::Client;
use headless_testkit::{Event, PodRef};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::chart::{column, seconds, thousands};
use crate::embedded::pod_started;
use crate::load::{Load, Mix};
use crate::tally::Tally;

/// How long a new pod may wait for its first request before the change counts as not followed.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How often the live line is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// A change of the set of pods, and how it went.
pub(crate) struct Change {
    pub(crate) tally: Tally,
    /// How many pods became ready.
    pub(crate) arrived: usize,
    /// From ready to the first answer, for each new pod that gave one.
    pub(crate) first_answers: Vec<(String, Duration)>,
    /// How many pods were deleted.
    pub(crate) left: usize,
    /// From the beginning of its end to the last answer, for each deleted pod that gave one.
    pub(crate) last_answers: Vec<(String, Duration)>,
}

/// Sends load and follows `operation` meanwhile, until it is done and every new pod has answered a
/// request.
pub(crate) async fn follow(
    embedded: &Embedded,
    client: &Client,
    screen: &mut Screen,
    operation: impl Future<Output = Result<(), headless_testkit::Error>>,
) -> Result<Change, Box<dyn Error>> {
    let load = Load::start(client, Mix::ReadsAndWrites);
    let mut events = embedded.cluster.events();
    let mut lives = Lives::default();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut shown = Vec::new();
    let mut operation = pin!(operation);
    let mut done_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased; // Events first: a frame must not miss what has happened already.
            Some(event) = events.next() => {
                lives.note(&event);
                if let Event::PodStarted(pod) = &event {
                    pod_started(embedded, &pod.name);
                }
            }
            outcome = &mut operation, if done_at.is_none() => {
                outcome?;
                done_at = Some(Instant::now());
            }
            _ = frames.tick() => {
                let news = lives.news(&load.tally());
                news.iter().for_each(|line| screen.line(line));
                screen.live(&[live_line(&load.tally(), &mut shown)]);
                match done_at {
                    Some(at) if lives.is_complete() || at.elapsed() > TIMEOUT => break,
                    _ => {}
                }
            }
        }
    }
    screen.live(&[]);
    Ok(lives.into_change(load.stop().await))
}

/// Requests so far, and how high each pod's share was since the last frame.
fn live_line(tally: &Tally, shown: &mut Vec<(String, u64)>) -> String {
    let counts = tally.counts();
    let before: BTreeMap<_, _> = std::mem::take(shown).into_iter().collect();
    let recent = |(pod, count): &(String, u64)| count - before.get(pod).copied().unwrap_or(0).min(*count);
    let most = counts.iter().map(recent).max().unwrap_or(0);
    let pods: Vec<_> = counts
        .iter()
        .map(|row| format!("{}{}", row.0, column(recent(row), most)))
        .collect();
    let line = format!(
        "  {} requests, {} failed  {}",
        thousands(tally.requests),
        tally.failed,
        pods.join(" ")
    );
    *shown = counts;
    line
}

/// Every pod that came or went, by the cluster's own word.
#[derive(Default)]
struct Lives(Vec<Life>);

struct Life {
    pod: PodRef,
    ready: Option<Instant>,
    terminating: Option<Instant>,
    first: Option<Duration>,
    last: Option<Duration>,
}

impl Lives {
    fn note(&mut self, event: &Event) {
        let now = Instant::now();
        match event {
            Event::PodReady(pod) => self.of(pod).ready = Some(now),
            Event::PodTerminating(pod) => self.of(pod).terminating = Some(now),
            _ => {}
        }
    }

    fn of(&mut self, pod: &PodRef) -> &mut Life {
        let index = self
            .0
            .iter()
            .position(|life| life.pod.uid == pod.uid)
            .unwrap_or_else(|| {
                self.0.push(Life {
                    pod: pod.clone(),
                    ready: None,
                    terminating: None,
                    first: None,
                    last: None,
                });
                self.0.len() - 1
            });
        &mut self.0[index]
    }

    /// Compares with what the callers saw; a line for each pod that has just answered for the first
    /// time.
    fn news(&mut self, tally: &Tally) -> Vec<String> {
        let seen: BTreeMap<IpAddr, _> = tally
            .pods
            .iter()
            .map(|(key, pod)| (key.addr().ip(), pod.seen))
            .collect();
        let seen = |ip: Ipv4Addr| seen.get(&IpAddr::V4(ip)).copied().flatten();
        let mut arrived = Vec::new();
        for life in &mut self.0 {
            let Some((first, last)) = seen(life.pod.ip) else {
                continue;
            };
            if let Some(at) = life.terminating {
                life.last = Some(last.saturating_duration_since(at));
            }
            if let (Some(at), None) = (life.ready, life.first) {
                life.first = Some(first.saturating_duration_since(at));
                arrived.push((life.pod.clone(), first.saturating_duration_since(at)));
            }
        }
        let predecessor = |new: &PodRef| {
            self.0
                .iter()
                .find(|old| old.pod.name == new.name && old.pod.uid != new.uid)
        };
        let line = |(new, first): &(PodRef, Duration)| {
            let (name, ip, first) = (&new.name, new.ip.to_string(), seconds(*first));
            match predecessor(new) {
                Some(old) => format!(
                    "  {name}  {:<15} last {}  →  {ip:<15} first {first}",
                    old.pod.ip.to_string(),
                    seconds(old.last.unwrap_or_default()),
                ),
                None => format!("  {name}  {ip:<15} first {first}"),
            }
        };
        arrived.iter().map(line).collect()
    }

    fn is_complete(&self) -> bool {
        self.0.iter().all(|life| life.ready.is_none() || life.first.is_some())
    }

    fn into_change(self, tally: Tally) -> Change {
        let named = |pick: fn(&Life) -> Option<Duration>| {
            let lives = self.0.iter();
            lives
                .filter_map(|life| Some((life.pod.name.clone(), pick(life)?)))
                .collect()
        };
        Change {
            tally,
            arrived: self.0.iter().filter(|life| life.ready.is_some()).count(),
            first_answers: named(|life| life.first),
            left: self.0.iter().filter(|life| life.terminating.is_some()).count(),
            last_answers: named(|life| life.last),
        }
    }
}
