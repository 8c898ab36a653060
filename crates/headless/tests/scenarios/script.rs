//! The language of the scenario files, and its parser. What the words do is `runner.rs`.
//!
//! ```text
//! # what the scenario shows
//! clients 10                              settings first: clients, acquire-timeout, max-endpoints
//! 0s    dns found web-0..2@10.0.0.1 ttl 5 three pods, at 10.0.0.1 to 10.0.0.3
//! 0s    dns found ?@10.0.0.9              an address without a name
//! 1s    load every 10ms until 60s         calls in the background; `takes 5ms`
//! 2s    call 10                           ten calls, one after another
//! 3s    dns servfail                      or another failure; nxdomain, truncated PODS, hangs
//! 4s    pod 10.0.0.1 refuses              accepts, hangs; dies: refuses, open connections break
//! 5s    mark                              `expect` counts from here
//! 9s    expect failed = 0
//! ```

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use headless::{Endpoint, FailureKind};

use crate::support::Dial;

#[derive(Debug, Default)]
pub struct Script {
    pub settings: Vec<Setting>,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub enum Setting {
    Clients(usize),
    AcquireTimeout(Duration),
    MaxEndpoints(usize),
}

#[derive(Debug)]
pub struct Step {
    pub line: usize,
    pub text: String,
    pub at: Duration,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Dns(Reply),
    /// From now on, a cache that keeps an answer for this long.
    Cache(Duration),
    Pod(IpAddr, Pod),
    Call(u32),
    Load {
        every: Duration,
        until: Duration,
        takes: Duration,
    },
    /// Leases acquired and kept.
    Hold(usize),
    Release,
    Mark,
    Expect(Expect),
}

/// What DNS answers.
#[derive(Clone, Debug)]
pub enum Reply {
    Found {
        pods: Vec<Endpoint>,
        ttl: Duration,
        truncated: bool,
    },
    NxDomain,
    Fails(FailureKind),
    Hangs,
}

#[derive(Debug)]
pub enum Pod {
    Connects(Dial),
    Dies,
}

#[derive(Debug)]
pub enum Expect {
    Set(Vec<Endpoint>),
    /// Calls that failed.
    Failed(Bound),
    /// Calls that succeeded.
    Succeeded(Bound),
    /// Calls that reached this pod.
    Served(Endpoint, Bound),
    /// What each of these pods served, in percent of its fair share.
    Share(Vec<Endpoint>, Bound),
    /// The most that this pod served in one second, in percent of its fair share.
    Peak(Endpoint, Bound),
    /// Calls that got a connection to a pod outside the set of that moment.
    Stray(Bound),
    /// Resolutions: calls to the resolver.
    Resolutions(Bound),
    Event(String, Bound),
    Idle(Endpoint, Bound),
    /// Open connections of all pods.
    Open(Bound),
    Draining(Bound),
    Held(Bound),
    Unhealthy(Endpoint, Bound),
    /// Milliseconds from the mark to the first call that succeeded.
    Recovered(Bound),
    /// The text of the last failed call.
    Error(String),
    /// The text of the last failed resolution.
    Failure(String),
}

#[derive(Clone, Copy, Debug)]
pub enum Bound {
    Exactly(u128),
    AtLeast(u128),
    AtMost(u128),
}

impl Bound {
    pub fn holds(self, actual: u128) -> bool {
        match self {
            Self::Exactly(n) => actual == n,
            Self::AtLeast(n) => actual >= n,
            Self::AtMost(n) => actual <= n,
        }
    }
}

/// An error in a file, with its line.
#[derive(Debug, PartialEq)]
pub struct ScriptError {
    pub line: usize,
    pub what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            let wrong = |what| ScriptError { line, what };
            let content = text.split('#').next().unwrap_or_default();
            let mut words = Words(content.split_whitespace().collect());
            if words.0.is_empty() {
                continue;
            }
            match duration(words.0[0]) {
                Some(at) => {
                    words.0.remove(0);
                    if script.steps.last().is_some_and(|last| last.at > at) {
                        return Err(wrong("goes back in time".to_owned()));
                    }
                    script.steps.push(Step {
                        line,
                        text: content.trim().to_owned(),
                        at,
                        action: words.action().map_err(wrong)?,
                    });
                }
                None if script.steps.is_empty() => script.settings.push(words.setting().map_err(wrong)?),
                None => return Err(wrong(format!("`{}` is no time, such as 3s or 250ms", words.0[0]))),
            }
            if let Some(word) = words.0.first() {
                return Err(wrong(format!("`{word}` is one word too many")));
            }
        }
        if script.steps.iter().any(|step| matches!(step.action, Action::Expect(_))) {
            Ok(script)
        } else {
            Err(ScriptError {
                line: 0,
                what: "nothing is expected".to_owned(),
            })
        }
    }
}

/// The words of a line that are not read yet.
struct Words<'a>(Vec<&'a str>);

type Read<T> = Result<T, String>;

impl<'a> Words<'a> {
    fn next(&mut self, wanted: &str) -> Read<&'a str> {
        if self.0.is_empty() {
            return Err(format!("ends where {wanted} should be"));
        }
        Ok(self.0.remove(0))
    }

    fn parsed<T: FromStr>(&mut self, wanted: &str) -> Read<T> {
        let word = self.next(wanted)?;
        word.parse().map_err(|_| format!("`{word}` is no {wanted}"))
    }

    fn duration(&mut self) -> Read<Duration> {
        let word = self.next("a time")?;
        duration(word).ok_or_else(|| format!("`{word}` is no time, such as 3s or 250ms"))
    }

    /// The value after `name`, if that is what comes next.
    fn option<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.0.first() != Some(&name) {
            return Ok(None);
        }
        self.0.remove(0);
        read(self).map(Some)
    }

    fn rest(&mut self) -> String {
        std::mem::take(&mut self.0).join(" ")
    }

    fn setting(&mut self) -> Read<Setting> {
        Ok(match self.next("a setting")? {
            "clients" => Setting::Clients(self.parsed("number")?),
            "acquire-timeout" => Setting::AcquireTimeout(self.duration()?),
            "max-endpoints" => Setting::MaxEndpoints(self.parsed("number")?),
            other => return Err(format!("`{other}` is no setting, and no time such as 3s or 250ms")),
        })
    }

    fn action(&mut self) -> Read<Action> {
        Ok(match self.next("an action")? {
            "dns" => match self.option("cache", Self::duration)? {
                Some(time) => Action::Cache(time),
                None => Action::Dns(self.reply()?),
            },
            "pod" => Action::Pod(
                self.parsed("address")?,
                match self.next("what the pod does")? {
                    "accepts" => Pod::Connects(Dial::Succeeds),
                    "refuses" => Pod::Connects(Dial::Refuses),
                    "hangs" => Pod::Connects(Dial::Hangs),
                    "dies" => Pod::Dies,
                    other => return Err(format!("no pod can `{other}`")),
                },
            ),
            "call" => Action::Call(self.parsed("number")?),
            "load" => Action::Load {
                every: self.option("every", Self::duration)?.ok_or("a load says `every`")?,
                until: self.option("until", Self::duration)?.ok_or("a load says `until`")?,
                takes: self.option("takes", Self::duration)?.unwrap_or_default(),
            },
            "hold" => Action::Hold(self.parsed("number")?),
            "release" => Action::Release,
            "mark" => Action::Mark,
            "expect" => Action::Expect(self.expect()?),
            other => return Err(format!("`{other}` is no action")),
        })
    }

    fn reply(&mut self) -> Read<Reply> {
        Ok(match self.next("what DNS answers")? {
            word @ ("found" | "truncated") => Reply::Found {
                truncated: word == "truncated",
                pods: self.pods()?,
                ttl: Duration::from_secs(self.option("ttl", |it| it.parsed("number of seconds"))?.unwrap_or(5)),
            },
            "nxdomain" => Reply::NxDomain,
            "hangs" => Reply::Hangs,
            other => {
                let kind = FailureKind::ALL
                    .iter()
                    .find(|kind| format!("{kind:?}").to_lowercase() == other);
                Reply::Fails(*kind.ok_or_else(|| format!("DNS cannot answer `{other}`"))?)
            }
        })
    }

    fn expect(&mut self) -> Read<Expect> {
        Ok(match self.next("an expectation")? {
            "set" => Expect::Set(self.option("empty", |_| Ok(vec![]))?.map_or_else(|| self.pods(), Ok)?),
            "failed" => Expect::Failed(self.bound()?),
            "succeeded" => Expect::Succeeded(self.bound()?),
            "served" => Expect::Served(self.pod()?, self.bound()?),
            "share" => Expect::Share(self.pods()?, self.bound()?),
            "peak" => Expect::Peak(self.pod()?, self.bound()?),
            "stray" => Expect::Stray(self.bound()?),
            "resolutions" => Expect::Resolutions(self.bound()?),
            "event" => {
                let name = self.next("an event")?;
                if !EVENTS.contains(&name) {
                    return Err(format!("`{name}` is no event"));
                }
                Expect::Event(name.to_owned(), self.bound()?)
            }
            "idle" => Expect::Idle(self.pod()?, self.bound()?),
            "open" => Expect::Open(self.bound()?),
            "draining" => Expect::Draining(self.bound()?),
            "held" => Expect::Held(self.bound()?),
            "unhealthy" => Expect::Unhealthy(self.pod()?, self.bound()?),
            "recovered" => Expect::Recovered(self.bound()?),
            "error" => Expect::Error(self.rest()),
            "failure" => Expect::Failure(self.rest()),
            other => return Err(format!("`{other}` cannot be expected")),
        })
    }

    fn bound(&mut self) -> Read<Bound> {
        let bound = match self.next("=, >= or <=")? {
            "=" => Bound::Exactly,
            ">=" => Bound::AtLeast,
            "<=" => Bound::AtMost,
            other => return Err(format!("`{other}` should be =, >= or <=")),
        };
        let word = self.next("a number")?;
        let number = duration(word).map(|time| time.as_millis());
        let number = number.or_else(|| word.strip_suffix('%').unwrap_or(word).parse().ok());
        number.map(bound).ok_or_else(|| format!("`{word}` is no number"))
    }

    fn pod(&mut self) -> Read<Endpoint> {
        match &*pods(self.next("a pod")?)? {
            [pod] => Ok(pod.clone()),
            several => Err(format!("one pod, not {}", several.len())),
        }
    }

    fn pods(&mut self) -> Read<Vec<Endpoint>> {
        let mut all = pods(self.next("a pod")?)?;
        while self.0.first().is_some_and(|word| word.contains('@')) {
            all.extend(pods(self.next("a pod")?)?);
        }
        Ok(all)
    }
}

/// `web-0@10.0.0.1`, `web-0..4@10.0.0.1`, `?@10.0.0.1`.
fn pods(word: &str) -> Read<Vec<Endpoint>> {
    let wrong = || format!("`{word}` is no pod, such as web-0@10.0.0.1 or web-0..4@10.0.0.1");
    let (name, ip) = word.split_once('@').ok_or_else(wrong)?;
    let first: std::net::Ipv4Addr = ip.parse().map_err(|_| wrong())?;
    if name == "?" {
        return Ok(vec![Endpoint::new((first, 80).into())]);
    }
    let names = match name.split_once("..") {
        None => vec![name.to_owned()],
        Some((from, to)) => {
            let (set, from) = from.rsplit_once('-').ok_or_else(wrong)?;
            let (from, to): (u32, u32) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
            (from..=to).map(|ordinal| format!("{set}-{ordinal}")).collect()
        }
    };
    let ips = (first.to_bits()..).map(std::net::Ipv4Addr::from_bits);
    let pods = names.iter().zip(ips).map(|(name, ip)| {
        let pod = name.parse().map_err(|_| wrong())?;
        Ok(Endpoint::new((ip, 80).into()).with_pod(pod))
    });
    pods.collect()
}

/// `3s`, `250ms`, `1.5s`.
fn duration(word: &str) -> Option<Duration> {
    let (number, unit) = match word.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (word.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The names of `headless::Event` that a scenario can count.
const EVENTS: &[&str] = &[
    "Found",
    "Truncated",
    "ShrinkHeld",
    "ReplaceHeld",
    "Released",
    "Empty",
    "NegativeKept",
    "Emptied",
    "FailureKept",
    "TooMany",
    "Stale",
];
