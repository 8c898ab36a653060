//! Plays a [`Script`] under paused time: one scripted DNS, fake pods, and one real `Discovery` and `Balancer` per client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless::{
    AcquireError, Balancer, BoxFuture, Discovery, Endpoint, EndpointKey, FoundBy, Lease, OnStart, Outcome,
    RefreshConfig, Resolve, Route,
};
use headless_core::{Answer, Failure, Negative, NegativeKind, Resolution};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::script::{Action, Expect, Pod, Says, Script, Setting};
use crate::support::{Dial, FakePods, pass};

/// Plays the file of this name. Panics where an expectation fails; returns what was seen at each, for the reader.
pub async fn play(name: &str, text: &str) -> Vec<String> {
    let script: Script = text.parse().unwrap_or_else(|e| panic!("scenarios/{name}.txt, {e}"));
    let (mut clients, mut acquire_timeout, mut refresh) = (1, None, RefreshConfig::default());
    for setting in &script.settings {
        match *setting {
            Setting::Clients(number) => clients = number,
            Setting::AcquireTimeout(time) => acquire_timeout = Some(time),
            Setting::MaxEndpoints(limit) => refresh.max_endpoints = limit,
        }
    }
    let mut steps = script.steps.iter().peekable();
    let world = World {
        zero: Instant::now(),
        dns: Dns::default(),
        pods: FakePods::default(),
        clients: AtomicUsize::new(0),
        calls: Mutex::default(),
    };
    // What is said at 0 s is there before the clients start.
    while let Some(step) =
        steps.next_if(|step| step.at.is_zero() && matches!(step.action, Action::Dns(_) | Action::Cache(_)))
    {
        world.dns.act(&step.action);
    }
    let mut balancers = Vec::new();
    for _ in 0..clients {
        let discovery = Discovery::builder(world.dns.clone())
            .refresh(refresh.clone())
            .on_start(OnStart::Empty);
        let discovery = discovery.start().await.unwrap();
        let mut builder = Balancer::builder(discovery, world.pods.clone());
        if let Some(time) = acquire_timeout {
            builder = builder.acquire_timeout(time);
        }
        balancers.push(builder.build().unwrap());
    }
    let mut stage = Stage {
        world: Arc::new(world),
        balancers: balancers.into(),
        held: Vec::new(),
        mark: Duration::ZERO,
        looks: 0,
    };
    let mut seen = Vec::new();
    for step in steps {
        pass(step.at.saturating_sub(stage.world.now())).await;
        let place = format!("scenarios/{name}.txt, line {}: {}", step.line, step.text);
        match stage.act(&step.action).await {
            Ok(None) => {}
            Ok(Some(what)) => seen.push(format!("{place}: {what}")),
            Err(what) => panic!("{place}: {what}"),
        }
    }
    seen
}

/// What all clients share.
struct World {
    zero: Instant,
    dns: Dns,
    pods: FakePods,
    /// Calls so far; the clients take turns.
    clients: AtomicUsize,
    calls: Mutex<Vec<Call>>,
}

struct Call {
    /// When it had its connection, or gave up.
    at: Duration,
    came_to: Result<EndpointKey, String>,
    /// The pod was not in the set at that moment.
    stray: bool,
}

impl World {
    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    async fn call(&self, balancers: &[Balancer<FakePods>], takes: Duration) {
        let turn = self.clients.fetch_add(1, Ordering::SeqCst);
        let balancer = &balancers[turn % balancers.len()];
        let acquired = balancer.acquire(Route::any()).await;
        let at = self.now();
        let snapshot = balancer.discovery().snapshot();
        let stray = acquired
            .as_ref()
            .is_ok_and(|lease| snapshot.get(lease.endpoint().key()).is_none());
        let came_to = match acquired {
            Ok(lease) => self.serve(lease, takes).await,
            Err(error) => Err(error.to_string()),
        };
        self.calls.lock().unwrap().push(Call { at, came_to, stray });
    }

    async fn serve(&self, lease: Lease<FakePods>, takes: Duration) -> Result<EndpointKey, String> {
        let key = lease.endpoint().key().clone();
        if !takes.is_zero() {
            pass(takes).await;
        }
        if lease.usable.load(Ordering::SeqCst) && !lease.aborted.load(Ordering::SeqCst) {
            lease.finish(Outcome::Success);
            return Ok(key);
        }
        lease.broken();
        Err(format!("the connection to {key:?} broke"))
    }
}

struct Stage {
    world: Arc<World>,
    balancers: Arc<[Balancer<FakePods>]>,
    held: Vec<Result<Lease<FakePods>, AcquireError>>,
    mark: Duration,
    looks: usize,
}

impl Stage {
    async fn act(&mut self, action: &Action) -> Result<Option<String>, String> {
        match action {
            Action::Dns(_) | Action::Flaps(_) | Action::Cache(_) => self.world.dns.act(action),
            Action::Pod(ip, Pod::Dials(dial)) => self.world.pods.set(&Endpoint::new((*ip, 80).into()), *dial),
            Action::Pod(ip, Pod::Dies) => {
                let pod = Endpoint::new((*ip, 80).into());
                self.world.pods.set(&pod, Dial::Refuses);
                self.world.pods.break_open(&pod);
            }
            Action::Call(number) => {
                let (world, balancers, number) = (Arc::clone(&self.world), Arc::clone(&self.balancers), *number);
                tokio::spawn(async move {
                    for _ in 0..number {
                        world.call(&balancers, Duration::ZERO).await;
                    }
                });
                settle().await;
            }
            &Action::Load { every, until, takes } => {
                let (world, balancers) = (Arc::clone(&self.world), Arc::clone(&self.balancers));
                tokio::spawn(async move {
                    while world.now() < until {
                        let (world, balancers) = (Arc::clone(&world), Arc::clone(&balancers));
                        tokio::spawn(async move { world.call(&balancers, takes).await });
                        pass(every).await;
                    }
                });
            }
            Action::Hold(number) => {
                for _ in 0..*number {
                    self.held.push(self.balancers[0].acquire(Route::any()).await);
                }
            }
            Action::Release => {
                for lease in self.held.drain(..).flatten() {
                    lease.finish(Outcome::Success);
                }
            }
            Action::Mark => {
                self.mark = self.world.now();
                self.looks = self.world.dns.looks();
            }
            Action::Expect(expect) => {
                settle().await;
                return self.check(expect).map(Some);
            }
        }
        Ok(None)
    }

    fn check(&self, expect: &Expect) -> Result<String, String> {
        let balancer = &self.balancers[0];
        let status = balancer.discovery().status();
        let stats = balancer.stats();
        let of = |pod: &Endpoint| stats.endpoints.iter().find(|it| it.endpoint.key() == pod.key());
        let (bound, seen) = match expect {
            Expect::Set(pods) => {
                let mut wanted: Vec<_> = pods.iter().map(ToString::to_string).collect();
                wanted.sort();
                let mut seen: Vec<_> = balancer
                    .discovery()
                    .snapshot()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                seen.sort();
                return if seen == wanted {
                    Ok("so it is".to_owned())
                } else {
                    Err(format!("it is {seen:?}"))
                };
            }
            Expect::Error(text) => {
                return self
                    .last_error()
                    .contains(text)
                    .then(|| text.clone())
                    .ok_or(self.last_error());
            }
            Expect::Failure(text) => {
                let said = status
                    .last_failure
                    .map_or_else(String::new, |(_, failure)| failure.to_string());
                return if said.contains(text) { Ok(said) } else { Err(said) };
            }
            Expect::Failed(bound) => (*bound, self.calls(|call| call.came_to.is_err())),
            Expect::Succeeded(bound) => (*bound, self.calls(|call| call.came_to.is_ok())),
            Expect::Served(pod, bound) => (*bound, self.calls(|call| call.came_to.as_ref() == Ok(pod.key()))),
            Expect::Share(pods, bound) => {
                let shares = pods.iter().map(|pod| (self.share(pod, stats.endpoints.len()), pod));
                let mut shares: Vec<_> = shares.collect();
                shares.sort_by_key(|(share, _)| *share);
                let (Some((least, _)), Some((most, _))) = (shares.first(), shares.last()) else {
                    return Err("of whom?".to_owned());
                };
                let seen = format!("{least} % to {most} %");
                return if bound.holds(*least) && bound.holds(*most) {
                    Ok(seen)
                } else {
                    Err(seen)
                };
            }
            Expect::Peak(pod, bound) => (*bound, self.peak(pod, stats.endpoints.len())),
            Expect::Stray(bound) => (*bound, self.calls(|call| call.stray)),
            Expect::Looks(bound) => (*bound, self.world.dns.looks() - self.looks),
            Expect::Event(name, bound) => {
                let count = status
                    .counters
                    .iter()
                    .filter(|(event, _)| format!("{event:?}") == *name);
                (
                    *bound,
                    usize::try_from(count.map(|(_, count)| count).sum::<u64>()).unwrap(),
                )
            }
            Expect::Idle(pod, bound) => (*bound, of(pod).map_or(0, |pod| pod.pool.idle)),
            Expect::Open(bound) => (*bound, self.world.pods.open()),
            Expect::Draining(bound) => (*bound, stats.draining.iter().map(|(_, requests)| requests).sum()),
            Expect::Held(bound) => (*bound, status.held),
            Expect::Avoided(pod, bound) => (*bound, usize::from(of(pod).is_some_and(|pod| pod.unhealthy))),
            Expect::Recovered(bound) => {
                let calls = self.world.calls.lock().unwrap();
                let good = calls.iter().filter(|call| call.at >= self.mark && call.came_to.is_ok());
                let Some(first) = good.map(|call| call.at).min() else {
                    return Err("no call succeeded since the mark".to_owned());
                };
                (*bound, usize::try_from((first - self.mark).as_millis()).unwrap())
            }
        };
        let last = self.last_error();
        if bound.holds(seen as u128) {
            Ok(seen.to_string())
        } else {
            Err(format!("it is {seen}; last error: {last}"))
        }
    }

    /// How many calls since the mark are like that.
    fn calls(&self, like: impl Fn(&Call) -> bool) -> usize {
        let calls = self.world.calls.lock().unwrap();
        calls.iter().filter(|call| call.at >= self.mark && like(call)).count()
    }

    fn share(&self, pod: &Endpoint, pods: usize) -> u128 {
        let all = self.calls(|call| call.came_to.is_ok());
        percent(self.calls(|call| call.came_to.as_ref() == Ok(pod.key())) * pods, all)
    }

    fn peak(&self, pod: &Endpoint, pods: usize) -> usize {
        let mut seconds: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for call in self
            .world
            .calls
            .lock()
            .unwrap()
            .iter()
            .filter(|call| call.at >= self.mark)
        {
            let Ok(key) = &call.came_to else { continue };
            let second = seconds.entry(call.at.as_secs()).or_default();
            second.0 += usize::from(key == pod.key());
            second.1 += 1;
        }
        let peaks = seconds.values().map(|(own, all)| percent(own * pods, *all));
        usize::try_from(peaks.max().unwrap_or(0)).unwrap()
    }

    fn last_error(&self) -> String {
        let calls = self.world.calls.lock().unwrap();
        let last = calls.iter().rev().find_map(|call| call.came_to.as_ref().err());
        last.cloned().unwrap_or_else(|| "none".to_owned())
    }
}

fn percent(part: usize, of: usize) -> u128 {
    (part * 100 / of.max(1)) as u128
}

/// Lets everything that can go on without time passing go on.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A DNS that says what the script says.
#[derive(Clone, Default)]
struct Dns(Arc<DnsState>);

#[derive(Default)]
struct DnsState {
    says: Mutex<Option<Says>>,
    flaps: Mutex<Option<Says>>,
    cache: Mutex<Option<Cache>>,
    changed: Notify,
    looks: AtomicUsize,
}

struct Cache {
    keeps: Duration,
    kept: Option<(Instant, Resolution)>,
}

impl Dns {
    fn act(&self, action: &Action) {
        match action {
            Action::Dns(says) => {
                *self.0.says.lock().unwrap() = Some(says.clone());
                *self.0.flaps.lock().unwrap() = None;
                self.0.changed.notify_waiters();
            }
            Action::Flaps(says) => *self.0.flaps.lock().unwrap() = Some(says.clone()),
            Action::Cache(keeps) => {
                *self.0.cache.lock().unwrap() = Some(Cache {
                    keeps: *keeps,
                    kept: None,
                });
            }
            _ => unreachable!("not about DNS"),
        }
    }

    fn looks(&self) -> usize {
        self.0.looks.load(Ordering::SeqCst)
    }

    async fn answer(&self) -> Resolution {
        let looks = self.0.looks.fetch_add(1, Ordering::SeqCst);
        let flaps = self.0.flaps.lock().unwrap().clone().filter(|_| looks % 2 == 1);
        loop {
            let changed = self.0.changed.notified();
            let says = flaps.clone().or_else(|| self.0.says.lock().unwrap().clone());
            match says.unwrap_or(Says::Hangs) {
                Says::Hangs => changed.await,
                says => return self.through_cache(says),
            }
        }
    }

    /// As CoreDNS' cache: keeps positive and negative answers, and counts the TTL down in whole seconds.
    fn through_cache(&self, says: Says) -> Resolution {
        let mut cache = self.0.cache.lock().unwrap();
        let Some(Cache { keeps, kept }) = &mut *cache else {
            return resolution(says);
        };
        if kept.as_ref().is_none_or(|(since, _)| since.elapsed() >= *keeps) {
            match resolution(says) {
                failed @ Resolution::Failed(_) => return failed,
                fresh => *kept = Some((Instant::now(), fresh)),
            }
        }
        let (since, resolution) = kept.as_mut().unwrap();
        let left = Duration::from_secs((*keeps - since.elapsed()).as_secs_f64().ceil() as u64);
        match resolution.clone() {
            Resolution::Found(mut answer) => {
                answer.ttl = left;
                Resolution::Found(answer)
            }
            Resolution::NoEndpoints(mut negative) => {
                negative.ttl = Some(left);
                Resolution::NoEndpoints(negative)
            }
            other => other,
        }
    }
}

fn resolution(says: Says) -> Resolution {
    let question = "SRV _http._tcp.web.shop.svc.cluster.local.";
    let none = |kind| Resolution::NoEndpoints(Negative::new(kind, Some(Duration::from_secs(5)), question));
    match says {
        Says::Found { pods, ttl, truncated } => {
            let answer = Answer::new(pods, ttl, FoundBy::NamedPort);
            Resolution::Found(if truncated { answer.truncated() } else { answer })
        }
        Says::NxDomain => none(NegativeKind::NoSuchName),
        Says::NoData => none(NegativeKind::NoData),
        Says::Fails(kind) => Resolution::Failed(Failure::new(kind, "as the script says")),
        Says::Hangs => unreachable!("waited out"),
    }
}

impl Resolve for Dns {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        Box::pin(self.answer())
    }

    fn service(&self) -> String {
        "web.shop.svc.cluster.local:http".to_owned()
    }
}
