//! Random life of pods and random faults of DNS, under load: no request fails while a pod lives,
//! and no resource is left behind.
//!
//! `HEADLESS_SOAK_SECONDS` (20 unless set) and `HEADLESS_SOAK_SEED` (drawn from the clock and
//! printed unless set). The same seed gives the same injections in the same order; their timing
//! relative to requests depends on the machine.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use headless::{Discovery, RefreshConfig};
use headless_http::Client;
use headless_testkit::{
    Address, App, Cluster, Failure, Fault, FaultRule, ForgedAnswer, Phase, RecordType, Roll, Workload,
};
use headless_tests::support::load::{self, Load, Problem, get};
use headless_tests::support::resolution::{NAMESPACE, builder, built};
use headless_tests::support::wait::until;
use tokio::runtime::Handle;
use tokio::time::{Instant, interval};

type Failed = load::Failed<Problem>;

const PODS: u32 = 5;
const MOST_PODS: u32 = 9;
const CALLERS: u64 = 12;
/// Each caller's pace: the pods and the name server share the machine.
const PACE: Duration = Duration::from_millis(4);
/// The unit of simulated life.
const TICK: Duration = Duration::from_millis(25);
/// Longer than any injected outage: a request that waits for a pod gets one.
const ACQUIRE: Duration = Duration::from_secs(10);

/// Some of them, in random order: at least one, and not all if there are several.
fn some<T>(random: &mut Rng, mut of: Vec<T>) -> Vec<T> {
    random.shuffle(&mut of);
    let most = of.len().saturating_sub(1).max(1);
    of.truncate(random.usize(1..=most));
    of
}

/// The injections, and the times without a pod.
struct Log {
    begin: Instant,
    lines: Mutex<Vec<(Instant, String)>>,
    outages: Mutex<Vec<(Instant, Instant)>>,
}

impl Log {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            lines: Mutex::default(),
            outages: Mutex::default(),
        }
    }

    fn say(&self, line: impl fmt::Display) {
        self.lines.lock().unwrap().push((Instant::now(), line.to_string()));
    }

    /// The injections while a request failed.
    fn around(&self, failed: &Failed) -> String {
        let from = failed.from - Duration::from_secs(3);
        let lines = self.lines.lock().unwrap();
        let lines = lines.iter().filter(|(at, _)| (from..=failed.to).contains(at));
        lines
            .map(|(at, line)| format!("\n    {:.3?} {line}", *at - self.begin))
            .collect()
    }

    fn is_explained(&self, failed: &Failed) -> bool {
        let outages = self.outages.lock().unwrap();
        outages
            .iter()
            .any(|(from, to)| failed.from <= *to && *from <= failed.to)
    }
}

/// Waits so many ticks.
async fn ticks(count: u32) {
    let mut ticks = interval(TICK);
    for _ in 0..=count {
        ticks.tick().await;
    }
}

/// Injects changes and faults of pods until the end. Each is undone before the next, and except in
/// an outage at least one pod stays ready.
async fn pods_live(web: &Workload, mut random: Rng, log: &Log, end: Instant) {
    while Instant::now() < end {
        ticks(random.u32(..8)).await;
        let ready: Vec<String> = web.ready().iter().map(|pod| pod.name().to_owned()).collect();
        let chosen = some(&mut random, ready.clone());
        let many = ready.len() > 1;
        let (for_a_while, coin) = (random.u32(..12), random.bool());
        match random.u32(..16) {
            0..4 => {
                let replicas = random.u32(2..=MOST_PODS);
                log.say(format_args!("scale to {replicas}"));
                web.scale(replicas).await.unwrap();
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
                    "crash {chosen:?} for {for_a_while} ticks, back at the same address: {coin}"
                ));
                for pod in &chosen {
                    web.kill(pod).await.unwrap();
                }
                ticks(for_a_while).await;
                for pod in &chosen {
                    web.replace(pod, if coin { Address::Same } else { Address::New })
                        .await
                        .unwrap();
                }
            }
            8..11 if many => {
                log.say(format_args!("evict {chosen:?} for {for_a_while} ticks"));
                for pod in &chosen {
                    web.evict(pod).await.unwrap();
                }
                ticks(for_a_while).await;
                for pod in &chosen {
                    web.start_pod(pod, Address::New).await.unwrap();
                }
            }
            11..13 if many => {
                log.say(format_args!("unready {chosen:?} for {for_a_while} ticks"));
                chosen.iter().for_each(|pod| web.set_ready(pod, false).unwrap());
                ticks(for_a_while).await;
                chosen.iter().for_each(|pod| web.set_ready(pod, true).unwrap());
            }
            13..15 if many => {
                let failure = if coin {
                    Failure::Refuse
                } else {
                    Failure::CloseConnection
                };
                log.say(format_args!("{failure:?} of {chosen:?} for {for_a_while} ticks"));
                let pods: Vec<_> = chosen.iter().map(|pod| web.pod(pod).unwrap()).collect();
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
                let from = Instant::now();
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
                // Requests that began meanwhile may fail until a little later.
                log.outages
                    .lock()
                    .unwrap()
                    .push((from, Instant::now() + Duration::from_secs(1)));
            }
        }
    }
}

fn fault(random: &mut Rng, web: &Workload) -> FaultRule {
    match random.u32(..12) {
        0 => Fault::ServFail.into(),
        1 => Fault::Refused.into(),
        2 => Fault::Drop.into(),
        3 => Fault::Malformed.into(),
        4 => Fault::NxDomain.into(),
        5 => Fault::NoData.into(),
        6 => Fault::Truncate { keep: 1 }.into(),
        7 => Fault::Delay(Duration::from_millis(random.u64(..60))).into(),
        8 => ForgedAnswer::new().cname("web.shop.example.com").into(),
        9 => Fault::NxDomain.on_type(RecordType::Srv),
        10 => Fault::ServFail.times(1),
        _ => {
            let pods = web.ready().iter().map(|pod| pod.name().to_owned()).collect();
            some(random, pods)
                .iter()
                .fold(ForgedAnswer::new(), |forged, pod| forged.omit(pod))
                .into()
        }
    }
}

/// Injects faults of DNS until the end.
async fn dns_lives(cluster: &Cluster, web: &Workload, mut random: Rng, log: &Log, end: Instant) {
    while Instant::now() < end {
        ticks(random.u32(..16)).await;
        let for_a_while = random.u32(..40);
        if random.u32(..6) == 0 {
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

/// Resources of this process.
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
    let resolver = builder(cluster.dns_addr(), "web:http").timeout(Duration::from_millis(50));
    let discovery = Discovery::builder(built(resolver))
        .refresh(refresh)
        .start()
        .await
        .unwrap();
    // More pods can die at once than a request is retried by default, 3 times.
    let client = Client::builder(discovery).max_retries(MOST_PODS as usize);
    client.acquire_timeout(ACQUIRE).build().unwrap()
}

/// Restores the initial state of the cluster.
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
        .namespace(NAMESPACE)
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
    let load = Load::start(CALLERS, PACE, {
        let client = client.clone();
        move |_| get(client.clone())
    });
    // A quarter of the time fills caches and pools; from then on memory is flat.
    let life = async |stream: u64, end: Instant| {
        let streams = [seed ^ stream, seed.rotate_left(32) ^ stream].map(Rng::with_seed);
        let [pods, dns] = streams;
        tokio::join!(
            pods_live(&web, pods, &log, end),
            dns_lives(&cluster, &web, dns, &log, end)
        );
    };
    life(1, log.begin + length / 4).await;
    let warm = Held::now();
    life(2, log.begin + length).await;

    let requests = load.done();
    let failed = load.failed().await;
    let unexplained: Vec<_> = failed.iter().filter(|failed| !log.is_explained(failed)).collect();
    for failed in unexplained.iter().take(10) {
        println!(
            "{:.3?} to {:.3?}: {}{}",
            failed.from - log.begin,
            failed.to - log.begin,
            failed.error,
            log.around(failed)
        );
    }
    settle(&cluster, &web, &client).await;
    let counters: BTreeMap<_, _> = client.balancer().discovery().status().counters;
    let injected = log.lines.lock().unwrap().len();
    println!(
        "{requests} requests, {} failed in outages, {injected} injections, {counters:?}",
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
