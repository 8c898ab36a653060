//! Runs a [`Script`] under paused time: one scripted DNS, fake pods, and one real `Discovery` and
//! `Balancer` per client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless::{
    AcquireError, Answer, Balancer, BoxFuture, Discovery, Endpoint, EndpointKey, Failure, FoundBy, Lease, Negative,
    NegativeKind, OnStart, Outcome, RefreshConfig, Resolution, Resolve, Route,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::script::{Action, Expect, Pod, Reply, Script, Setting};
use crate::support::{Dial, FakePods, pass};

/// Runs the file of this name. Panics where an expectation fails; returns the figure of each.
pub async fn run(name: &str, text: &str) -> Vec<String> {
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
        next_call: AtomicUsize::new(0),
        calls: Mutex::default(),
    };
    // DNS answers of 0 s are set before the clients start.
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
    let mut runner = Runner {
        world: Arc::new(world),
        balancers: balancers.into(),
        held: Vec::new(),
        mark: Duration::ZERO,
        resolutions: 0,
    };
    let mut observed = Vec::new();
    for step in steps {
        pass(step.at.saturating_sub(runner.world.now())).await;
        let place = format!("scenarios/{name}.txt, line {}: {}", step.line, step.text);
        match runner.act(&step.action).await {
            Ok(None) => {}
            Ok(Some(what)) => observed.push(format!("{place}: {what}")),
            Err(what) => panic!("{place}: {what}"),
        }
    }
    observed
}

/// DNS, pods and calls of all clients.
struct World {
    zero: Instant,
    dns: Dns,
    pods: FakePods,
    /// Calls so far, which go to the clients round robin.
    next_call: AtomicUsize,
    calls: Mutex<Vec<Call>>,
}

struct Call {
    /// When it had its connection, or failed.
    at: Duration,
    result: Result<EndpointKey, String>,
    /// The pod was outside the set at that moment.
    stray: bool,
}

impl World {
    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    async fn call(&self, balancers: &[Balancer<FakePods>], takes: Duration) {
        let call = self.next_call.fetch_add(1, Ordering::SeqCst);
        let balancer = &balancers[call % balancers.len()];
        let acquired = balancer.acquire(Route::any()).await;
        let at = self.now();
        let snapshot = balancer.discovery().snapshot();
        let stray = acquired
            .as_ref()
            .is_ok_and(|lease| snapshot.get(lease.endpoint().key()).is_none());
        let result = match acquired {
            Ok(lease) => self.serve(lease, takes).await,
            Err(error) => Err(error.to_string()),
        };
        self.calls.lock().unwrap().push(Call { at, result, stray });
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

/// A scenario under way.
struct Runner {
    world: Arc<World>,
    balancers: Arc<[Balancer<FakePods>]>,
    held: Vec<Result<Lease<FakePods>, AcquireError>>,
    mark: Duration,
    resolutions: usize,
}

impl Runner {
    async fn act(&mut self, action: &Action) -> Result<Option<String>, String> {
        match action {
            Action::Dns(_) | Action::Cache(_) => self.world.dns.act(action),
            Action::Pod(ip, Pod::Connects(dial)) => self.world.pods.set(&Endpoint::new((*ip, 80).into()), *dial),
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
                self.resolutions = self.world.dns.resolutions();
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
        let (bound, actual) = match expect {
            Expect::Set(pods) => {
                let mut expected: Vec<_> = pods.iter().map(ToString::to_string).collect();
                expected.sort();
                let mut actual: Vec<_> = balancer
                    .discovery()
                    .snapshot()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                actual.sort();
                return if actual == expected {
                    Ok("as expected".to_owned())
                } else {
                    Err(format!("it is {actual:?}"))
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
                    .map_or_else(String::new, |last| last.failure.to_string());
                return if said.contains(text) { Ok(said) } else { Err(said) };
            }
            Expect::Failed(bound) => (*bound, self.calls(|call| call.result.is_err())),
            Expect::Succeeded(bound) => (*bound, self.calls(|call| call.result.is_ok())),
            Expect::Served(pod, bound) => (*bound, self.calls(|call| call.result.as_ref() == Ok(pod.key()))),
            Expect::Share(pods, bound) => {
                let shares = pods.iter().map(|pod| (self.share(pod, stats.endpoints.len()), pod));
                let mut shares: Vec<_> = shares.collect();
                shares.sort_by_key(|(share, _)| *share);
                let (Some((least, _)), Some((most, _))) = (shares.first(), shares.last()) else {
                    return Err("no pod is given".to_owned());
                };
                let actual = format!("{least} % to {most} %");
                return if bound.holds(*least) && bound.holds(*most) {
                    Ok(actual)
                } else {
                    Err(actual)
                };
            }
            Expect::Peak(pod, bound) => (*bound, self.peak(pod, stats.endpoints.len())),
            Expect::Stray(bound) => (*bound, self.calls(|call| call.stray)),
            Expect::Resolutions(bound) => (*bound, self.world.dns.resolutions() - self.resolutions),
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
            Expect::Draining(bound) => (*bound, stats.draining.iter().map(|draining| draining.requests).sum()),
            Expect::Held(bound) => (*bound, status.held),
            Expect::Unhealthy(pod, bound) => (*bound, usize::from(of(pod).is_some_and(|pod| pod.unhealthy))),
            Expect::Recovered(bound) => {
                let calls = self.world.calls.lock().unwrap();
                let good = calls.iter().filter(|call| call.at >= self.mark && call.result.is_ok());
                let Some(first) = good.map(|call| call.at).min() else {
                    return Err("no call succeeded since the mark".to_owned());
                };
                (*bound, usize::try_from((first - self.mark).as_millis()).unwrap())
            }
        };
        let last = self.last_error();
        if bound.holds(actual as u128) {
            Ok(actual.to_string())
        } else {
            Err(format!("it is {actual}; last error: {last}"))
        }
    }

    /// Counts the calls since the mark that `is` accepts.
    fn calls(&self, is: impl Fn(&Call) -> bool) -> usize {
        let calls = self.world.calls.lock().unwrap();
        calls.iter().filter(|call| call.at >= self.mark && is(call)).count()
    }

    fn share(&self, pod: &Endpoint, pods: usize) -> u128 {
        let all = self.calls(|call| call.result.is_ok());
        percent(self.calls(|call| call.result.as_ref() == Ok(pod.key())) * pods, all)
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
            let Ok(key) = &call.result else { continue };
            let second = seconds.entry(call.at.as_secs()).or_default();
            second.0 += usize::from(key == pod.key());
            second.1 += 1;
        }
        let peaks = seconds.values().map(|(own, all)| percent(own * pods, *all));
        usize::try_from(peaks.max().unwrap_or(0)).unwrap()
    }

    fn last_error(&self) -> String {
        let calls = self.world.calls.lock().unwrap();
        let last = calls.iter().rev().find_map(|call| call.result.as_ref().err());
        last.cloned().unwrap_or_else(|| "none".to_owned())
    }
}

fn percent(part: usize, of: usize) -> u128 {
    (part * 100 / of.max(1)) as u128
}

/// Lets all tasks run until they wait for time to pass.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A DNS that answers as the script says.
#[derive(Clone, Default)]
struct Dns(Arc<DnsState>);

#[derive(Default)]
struct DnsState {
    reply: Mutex<Option<Reply>>,
    cache: Mutex<Option<Cache>>,
    changed: Notify,
    resolutions: AtomicUsize,
}

struct Cache {
    keeps: Duration,
    kept: Option<(Instant, Resolution)>,
}

impl Dns {
    fn act(&self, action: &Action) {
        match action {
            Action::Dns(reply) => {
                *self.0.reply.lock().unwrap() = Some(reply.clone());
                self.0.changed.notify_waiters();
            }
            Action::Cache(keeps) => {
                *self.0.cache.lock().unwrap() = Some(Cache {
                    keeps: *keeps,
                    kept: None,
                });
            }
            _ => unreachable!("not about DNS"),
        }
    }

    fn resolutions(&self) -> usize {
        self.0.resolutions.load(Ordering::SeqCst)
    }

    async fn answer(&self) -> Resolution {
        self.0.resolutions.fetch_add(1, Ordering::SeqCst);
        loop {
            let changed = self.0.changed.notified();
            let reply = self.0.reply.lock().unwrap().clone();
            match reply.unwrap_or(Reply::Hangs) {
                Reply::Hangs => changed.await,
                reply => return self.through_cache(reply),
            }
        }
    }

    /// As the cache of CoreDNS: keeps positive and negative answers, and counts the TTL down in
    /// whole seconds.
    fn through_cache(&self, reply: Reply) -> Resolution {
        let mut cache = self.0.cache.lock().unwrap();
        let Some(Cache { keeps, kept }) = &mut *cache else {
            return resolution(reply);
        };
        if kept.as_ref().is_none_or(|(since, _)| since.elapsed() >= *keeps) {
            match resolution(reply) {
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

fn resolution(reply: Reply) -> Resolution {
    let question = "SRV _http._tcp.web.shop.svc.cluster.local.";
    match reply {
        Reply::Found { pods, ttl, truncated } => {
            let answer = Answer::new(pods, ttl, FoundBy::NamedPort);
            Resolution::Found(if truncated { answer.truncated() } else { answer })
        }
        Reply::NxDomain => {
            let ttl = Some(Duration::from_secs(5));
            Resolution::NoEndpoints(Negative::new(NegativeKind::NoSuchName, ttl, question))
        }
        Reply::Fails(kind) => Resolution::Failed(Failure::new(kind, "as the script says")),
        Reply::Hangs => unreachable!("waited out"),
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
