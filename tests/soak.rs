//! Random life of pods and random faults of DNS, under load: no request fails while a pod lives, and nothing is left behind.
//!
//! `HEADLESS_SOAK_SECONDS` (20 unless set) and `HEADLESS_SOAK_SEED` (drawn from the clock and printed unless set). The same seed gives
//! the same injections in the same order; how they fall together with requests is up to the machine.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use headless::dns::DnsResolver;
use headless::{Discovery, RefreshConfig};
use headless_http::Client;
use headless_testkit::{Address, App, Cluster, Failure, Fault, FaultRule, Lie, Phase, RecordType, Roll, Workload};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const PODS: u32 = 5;
const MOST_PODS: u64 = 9;
const CALLERS: usize = 12;
/// Each caller's pause: what is left of the time is for the pods and the name server, which share the machine.
const PACE: Duration = Duration::from_millis(4);
/// The unit of simulated life.
const TICK: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any outage that is injected: who waits for a pod gets one.
const ACQUIRE: Duration = Duration::from_secs(10);

/// A small seeded generator (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    /// Some of them, in random order: at least one, and not all if there are several.
    fn some<T>(&mut self, mut of: Vec<T>) -> Vec<T> {
        for last in (1..of.len()).rev() {
            of.swap(last, self.below(last as u64 + 1) as usize);
        }
        let most = (of.len() as u64).saturating_sub(1).max(1);
        of.truncate(1 + self.below(most) as usize);
        of
    }
}

/// What was injected, and when no pod was alive.
struct Log {
    begin: Instant,
    lines: Mutex<Vec<(Duration, String)>>,
    outages: Mutex<Vec<(Duration, Duration)>>,
}

impl Log {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            lines: Mutex::default(),
            outages: Mutex::default(),
        }
    }

    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn say(&self, line: impl fmt::Display) {
        self.lines.lock().unwrap().push((self.now(), line.to_string()));
    }

    /// What was going on while a request failed.
    fn around(&self, failed: &Failed) -> String {
        let from = failed.from.saturating_sub(Duration::from_secs(3));
        let lines = self.lines.lock().unwrap();
        let lines = lines.iter().filter(|(at, _)| (from..=failed.to).contains(at));
        lines.map(|(at, line)| format!("\n    {at:.3?} {line}")).collect()
    }

    fn is_explained(&self, failed: &Failed) -> bool {
        let outages = self.outages.lock().unwrap();
        outages
            .iter()
            .any(|(from, to)| failed.from <= *to && *from <= failed.to)
    }
}

struct Failed {
    from: Duration,
    to: Duration,
    error: String,
}

/// Waits so many ticks: life goes on meanwhile.
async fn ticks(count: u64) {
    let mut ticks = interval(TICK);
    for _ in 0..=count {
        ticks.tick().await;
    }
}

async fn until(mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let mut look = interval(Duration::from_millis(10));
    let holds = async {
        while !condition() {
            look.tick().await;
        }
    };
    assert!(timeout(PATIENCE, holds).await.is_ok(), "did not happen: {}", what());
}

/// Things happen to pods until the time is up. Every one is undone before the next, and but for an outage one ready pod is spared.
async fn pods_live(web: &Workload, mut random: Random, log: &Log, end: Instant) {
    while Instant::now() < end {
        ticks(random.below(8)).await;
        let ready: Vec<String> = web.ready().iter().map(|pod| pod.name().to_owned()).collect();
        let some = random.some(ready.clone());
        let many = ready.len() > 1;
        let (for_a_while, coin) = (random.below(12), random.below(2) == 0);
        match random.below(16) {
            0..4 => {
                let replicas = 2 + random.below(MOST_PODS - 1);
                log.say(format_args!("scale to {replicas}"));
                web.scale(u32::try_from(replicas).unwrap()).await.unwrap();
            }
            4 => {
                log.say(format_args!("roll, keeping addresses: {coin}"));
                let roll = if coin {
                    Roll::default().keep_addresses()
                } else {
                    Roll::default()
                };
                web.roll(roll).await.unwrap();
            }
            5..8 if many => {
                log.say(format_args!(
                    "crash {some:?} for {for_a_while} ticks, back at the same address: {coin}"
                ));
                for pod in &some {
                    web.kill(pod).await.unwrap();
                }
                ticks(for_a_while).await;
                for pod in &some {
                    web.replace(pod, if coin { Address::Same } else { Address::New })
                        .await
                        .unwrap();
                }
            }
            8..11 if many => {
                log.say(format_args!("evict {some:?} for {for_a_while} ticks"));
                for pod in &some {
                    web.evict(pod).await.unwrap();
                }
                ticks(for_a_while).await;
                for pod in &some {
                    web.start_pod(pod, Address::New).await.unwrap();
                }
            }
            11..13 if many => {
                log.say(format_args!("unready {some:?} for {for_a_while} ticks"));
                some.iter().for_each(|pod| web.set_ready(pod, false).unwrap());
                ticks(for_a_while).await;
                some.iter().for_each(|pod| web.set_ready(pod, true).unwrap());
            }
            13..15 if many => {
                let failure = if coin {
                    Failure::Refuse
                } else {
                    Failure::CloseConnection
                };
                log.say(format_args!("{failure:?} of {some:?} for {for_a_while} ticks"));
                let pods: Vec<_> = some.iter().map(|pod| web.pod(pod).unwrap()).collect();
                match coin {
                    true => pods.iter().for_each(|pod| pod.fail(failure)),
                    false => pods.iter().for_each(|pod| pod.fail_next(1, failure)),
                }
                ticks(for_a_while).await;
                pods.iter().for_each(headless_testkit::Pod::heal);
            }
            _ => {
                log.say(format_args!(
                    "outage of {ready:?} for {for_a_while} ticks, crashed: {coin}"
                ));
                let from = log.now();
                for pod in &ready {
                    match coin {
                        true => drop(web.kill(pod).await.unwrap()),
                        false => web.evict(pod).await.unwrap(),
                    }
                }
                ticks(for_a_while).await;
                for pod in &ready {
                    web.replace(pod, Address::New).await.unwrap();
                }
                // Requests that began meanwhile may have been told so until a little later.
                log.outages
                    .lock()
                    .unwrap()
                    .push((from, log.now() + Duration::from_secs(1)));
            }
        }
    }
}

fn fault(random: &mut Random, web: &Workload) -> FaultRule {
    match random.below(12) {
        0 => Fault::ServFail.into(),
        1 => Fault::Refused.into(),
        2 => Fault::Drop.into(),
        3 => Fault::Malformed.into(),
        4 => Fault::NxDomain.into(),
        5 => Fault::NoData.into(),
        6 => Fault::Truncate { keep: 1 }.into(),
        7 => Fault::Delay(Duration::from_millis(random.below(60))).into(),
        8 => Lie::new().cname("web.shop.example.com").into(),
        9 => Fault::NxDomain.on_type(RecordType::Srv),
        10 => Fault::ServFail.times(1),
        _ => {
            let pods = web.ready().iter().map(|pod| pod.name().to_owned()).collect();
            random
                .some(pods)
                .iter()
                .fold(Lie::new(), |lie, pod| lie.omit(pod))
                .into()
        }
    }
}

/// Things happen to DNS until the time is up.
async fn dns_lives(cluster: &Cluster, web: &Workload, mut random: Random, log: &Log, end: Instant) {
    while Instant::now() < end {
        ticks(random.below(16)).await;
        let for_a_while = random.below(40);
        if random.below(6) == 0 {
            log.say(format_args!("DNS frozen for {for_a_while} ticks"));
            cluster.dns().freeze();
            ticks(for_a_while).await;
            cluster.dns().thaw();
        } else {
            let rule = fault(&mut random, web);
            log.say(format_args!("DNS fails for {for_a_while} ticks: {rule:?}"));
            cluster.dns().fail(rule);
            ticks(for_a_while).await;
            cluster.dns().heal();
        }
        log.say("DNS is well");
    }
}

/// A caller's GETs in a closed loop, until it is told to stop: how many were answered, and those that failed.
async fn call(client: Client, begin: Instant, mut stop: watch::Receiver<bool>) -> (u64, Vec<Failed>) {
    let (mut answered, mut failed) = (0, Vec::new());
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stop.borrow_and_update() {
        pace.tick().await;
        let from = begin.elapsed();
        match get(&client).await {
            Ok(()) => answered += 1,
            Err(error) => failed.push(Failed {
                from,
                to: begin.elapsed(),
                error,
            }),
        }
    }
    (answered, failed)
}

/// The answer must come, whole, from the pod that was meant.
async fn get(client: &Client) -> Result<(), String> {
    let reply = client.get("/").await.map_err(|error| chain(&error))?;
    let meant = reply.endpoint().pod().map(ToString::to_string);
    let body = reply.text().await.map_err(|error| chain(&error))?;
    match meant {
        Some(meant) if meant != body.trim_end() => Err(format!("meant for {meant}, answered by {body}")),
        _ => Ok(()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What this process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    tasks: usize,
    files: usize,
    memory: u64,
}

impl Held {
    fn now() -> Self {
        let pages: u64 = {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            memory: pages * 4096,
        }
    }
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

async fn client(cluster: &Cluster) -> Client {
    let mut refresh = RefreshConfig::default();
    refresh.min_poll = Duration::from_millis(20);
    refresh.max_poll = Duration::from_millis(100);
    refresh.min_reresolve_interval = Duration::from_millis(50);
    refresh.retry_first = Duration::from_millis(20);
    refresh.retry_max = Duration::from_millis(200);
    let resolver = DnsResolver::builder("web:http".parse().unwrap());
    let resolver = resolver
        .nameserver(cluster.dns_addr())
        .namespace("shop")
        .zone("cluster.local");
    let resolver = resolver.timeout(Duration::from_millis(50)).build().unwrap();
    let discovery = Discovery::builder(resolver).refresh(refresh).start().await.unwrap();
    // More pods can die at the same moment than a request is sent again by default, 3 times.
    let client = Client::builder(discovery).max_retries(MOST_PODS as usize);
    client.acquire_timeout(ACQUIRE).build().unwrap()
}

/// The cluster as it was in the beginning.
async fn settle(cluster: &Cluster, web: &Workload, client: &Client) {
    cluster.dns().heal();
    cluster.dns().thaw();
    web.scale(PODS).await.unwrap();
    assert!(web.pods().iter().all(|pod| pod.phase() == Phase::Ready));
    let balancer = client.balancer();
    let is_settled = || {
        let stats = balancer.stats();
        let idle = |pod: &headless::EndpointStats| {
            (pod.in_flight, pod.pool.busy, pod.pool.waiting, pod.pool.connecting) == (0, 0, 0, 0)
        };
        let right = stats
            .endpoints
            .iter()
            .map(|pod| pod.endpoint.addr())
            .eq(web.ready().iter().map(|pod| pod.addr()));
        right && stats.draining.is_empty() && stats.endpoints.iter().all(|pod| idle(pod) && !pod.unhealthy)
    };
    until(is_settled, || format!("settled: {:#?}", balancer.stats())).await;
}

#[tokio::test]
async fn no_request_fails_while_a_pod_lives_and_nothing_is_left_behind() {
    let length = Duration::from_secs(from_env("HEADLESS_SOAK_SECONDS").unwrap_or(20));
    let of_now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = from_env("HEADLESS_SOAK_SEED").unwrap_or_else(of_now);
    println!("HEADLESS_SOAK_SEED={seed}");

    let cluster = Cluster::builder()
        .namespace("shop")
        .ttl(1)
        .seed(seed)
        .start()
        .await
        .unwrap();
    let web = cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .replicas(PODS);
    let web = web.app(App::http()).parallel().start().await.unwrap();
    let before = Held::now();

    let client = client(&cluster).await;
    let log = Log::new();
    let (stop, mut callers) = (watch::Sender::new(false), JoinSet::new());
    for _ in 0..CALLERS {
        callers.spawn(call(client.clone(), log.begin, stop.subscribe()));
    }
    // A quarter of the time fills caches and pools; from then on memory is flat.
    let life = async |stream: u64, end: Instant| {
        let streams = [seed ^ stream, seed.rotate_left(32) ^ stream].map(Random);
        let [pods, dns] = streams;
        tokio::join!(
            pods_live(&web, pods, &log, end),
            dns_lives(&cluster, &web, dns, &log, end)
        );
    };
    life(1, log.begin + length / 4).await;
    let warm = Held::now();
    life(2, log.begin + length).await;

    stop.send_replace(true);
    let (mut answered, mut failed) = (0, Vec::new());
    for (ok, errors) in callers.join_all().await {
        answered += ok;
        failed.extend(errors);
    }
    let unexplained: Vec<_> = failed.iter().filter(|failed| !log.is_explained(failed)).collect();
    for failed in unexplained.iter().take(10) {
        println!(
            "{:.3?} to {:.3?}: {}{}",
            failed.from,
            failed.to,
            failed.error,
            log.around(failed)
        );
    }
    settle(&cluster, &web, &client).await;
    let counters: BTreeMap<_, _> = client.balancer().discovery().status().counters;
    let injected = log.lines.lock().unwrap().len();
    println!(
        "{answered} answers, {} failed in outages, {injected} injections, {counters:?}",
        failed.len() - unexplained.len()
    );
    assert!(
        unexplained.is_empty(),
        "seed {seed}: {} requests failed though a pod lived",
        unexplained.len()
    );

    let full = Held::now();
    drop(client);
    let is_left = |held: Held| held.tasks > before.tasks || held.files > before.files;
    until(
        || !is_left(Held::now()),
        || format!("left: {:?} of {before:?}", Held::now()),
    )
    .await;
    println!(
        "before {before:?}, warm {warm:?}, at the end {full:?}, without the client {:?}",
        Held::now()
    );
    let growth = full.memory.saturating_sub(warm.memory);
    assert!(growth < 32 << 20, "seed {seed}: grew by {growth} bytes since {warm:?}");
}
