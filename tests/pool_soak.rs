//! Random life of pools on several threads: callers that give up at any moment, connections that
//! die, endpoints that appear and disappear. At the end no connection, permit, place in a queue or
//! task is lost.
//!
//! `HEADLESS_SOAK_SECONDS` (10 unless set) and `HEADLESS_SOAK_SEED` (drawn from the clock and
//! printed unless set). The same seed draws the same numbers; which thread draws which depends on
//! the machine.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::fmt;
use std::future::{pending, ready};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use headless::{
    AcquireError, Answer, Balancer, BoxFuture, Connect, Discovery, Endpoint, FoundBy, Lease, Multiplexing, Negative,
    NegativeKind, OnStart, Outcome, PoolConfig, RefreshConfig, Resolution, Resolve, Route,
};
use headless_tests::support::wait::until;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, interval, timeout};

/// More than are ever listed at once, so that some are new and some return.
const NAMES: u64 = 8;
/// Number of endpoints at the end. Where permits are limited, it is also their number: then each
/// endpoint can have one connection.
const LAST: u8 = 5;
const CALLERS: usize = 24;
const TICK: Duration = Duration::from_millis(5);

/// Endpoints in memory, and the DNS that lists them.
#[derive(Clone)]
struct World(Arc<State>);

struct State {
    random: Mutex<Rng>,
    multiplexing: Multiplexing,
    listed: Mutex<Vec<Endpoint>>,
    /// No fault from now on.
    healed: AtomicBool,
    /// Connections that exist.
    open: AtomicUsize,
    /// The most that existed or were being opened at once.
    most: AtomicUsize,
    connecting: AtomicUsize,
}

fn pod(k: u8) -> Endpoint {
    Endpoint::new(([10, 0, 0, k + 1], 80).into()).with_pod(format!("web-{k}").parse().unwrap())
}

impl World {
    fn new(seed: u64, multiplexing: Multiplexing) -> Self {
        Self(Arc::new(State {
            random: Mutex::new(Rng::with_seed(seed)),
            multiplexing,
            listed: Mutex::new((0..LAST).map(pod).collect()),
            healed: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            connecting: AtomicUsize::new(0),
        }))
    }

    fn below(&self, bound: u64) -> u64 {
        self.0.random.lock().unwrap().u64(..bound)
    }

    /// True in `percent` of all calls, until the faults end.
    fn fails(&self, percent: u64) -> bool {
        self.below(100) < percent && !self.0.healed.load(SeqCst)
    }

    /// A moment of random length.
    async fn moment(&self) {
        for _ in 0..self.below(12) {
            yield_now().await;
        }
    }

    fn any_pod(&self) -> Endpoint {
        pod(self.below(NAMES) as u8)
    }
}

/// Counts a counter down when it is dropped.
struct Count(Arc<State>, fn(&State) -> &AtomicUsize);

impl Count {
    fn up(state: &Arc<State>, of: fn(&State) -> &AtomicUsize) -> Self {
        of(state).fetch_add(1, SeqCst);
        let now = state.open.load(SeqCst) + state.connecting.load(SeqCst);
        state.most.fetch_max(now, SeqCst);
        Self(Arc::clone(state), of)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, SeqCst);
    }
}

#[derive(Clone)]
struct Conn {
    dead: Arc<AtomicBool>,
    _open: Arc<Count>,
}

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused")
    }
}

impl std::error::Error for Refused {}

impl Connect for World {
    type Conn = Conn;
    type Error = Refused;

    async fn connect(&self, _: &Endpoint) -> Result<Conn, Refused> {
        let connecting = Count::up(&self.0, |state| &state.connecting);
        self.moment().await;
        if self.fails(5) {
            return Err(Refused);
        }
        if self.fails(2) {
            pending().await
        }
        drop(connecting);
        Ok(Conn {
            dead: Arc::new(AtomicBool::new(self.fails(2))),
            _open: Arc::new(Count::up(&self.0, |state| &state.open)),
        })
    }

    fn is_reusable(&self, conn: &Conn) -> bool {
        !conn.dead.load(SeqCst)
    }

    fn multiplexing(&self) -> Multiplexing {
        self.0.multiplexing
    }

    fn share(&self, conn: &Conn) -> Option<Conn> {
        (!self.fails(1)).then(|| conn.clone())
    }

    fn stream_limit(&self, _: &Conn) -> usize {
        if self.fails(10) { 1 } else { usize::MAX }
    }

    async fn validate(&self, conn: &mut Conn) -> Result<(), Refused> {
        self.moment().await;
        if self.fails(2) {
            pending::<()>().await;
        }
        match self.fails(5) || conn.dead.load(SeqCst) {
            true => Err(Refused),
            false => Ok(()),
        }
    }
}

impl Resolve for World {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        let listed = self.0.listed.lock().unwrap().clone();
        let (ttl, name) = (Duration::from_millis(10), "A web.shop.svc.cluster.local.");
        Box::pin(ready(match listed.is_empty() {
            true => Resolution::NoEndpoints(Negative::new(NegativeKind::NoSuchName, Some(ttl), name)),
            false => Resolution::Found(Answer::new(listed, ttl, FoundBy::NamedPort)),
        }))
    }

    fn service(&self) -> String {
        "web.shop.svc.cluster.local:http".to_owned()
    }
}

/// Limits and times so small that each is reached often.
async fn balancer(world: &World, total: Option<usize>) -> Balancer<World> {
    let mut refresh = RefreshConfig::default();
    (refresh.min_poll, refresh.max_poll, refresh.min_reresolve_interval) = (TICK, 4 * TICK, TICK);
    (refresh.retry_first, refresh.retry_max) = (TICK, 4 * TICK);
    (refresh.negative_hold, refresh.replace_hold) = (4 * TICK, 4 * TICK);
    let mut pool = PoolConfig::default();
    (
        pool.max_connections_per_endpoint,
        pool.max_connections_total,
        pool.max_connecting_per_endpoint,
    ) = (3, total, 2);
    (pool.min_idle_per_endpoint, pool.max_waiters_per_endpoint) = (1, 6);
    (pool.connect_timeout, pool.idle_timeout) = (4 * TICK, 8 * TICK);
    (pool.max_lifetime, pool.drain_timeout) = (Some(12 * TICK), 10 * TICK);
    (pool.validate_after_idle, pool.keep_alive) = (Some(TICK), Some(3 * TICK));
    let discovery = Discovery::builder(world.clone())
        .refresh(refresh)
        .on_start(OnStart::Empty);
    Balancer::builder(discovery.start().await.unwrap(), world.clone())
        .pool(pool)
        .acquire_timeout(20 * TICK)
        .build()
        .unwrap()
}

/// The outcomes of the requests.
#[derive(Debug, Default)]
struct Tally {
    acquired: AtomicUsize,
    gave_up: AtomicUsize,
    refused: AtomicUsize,
}

async fn acquire(world: &World, balancer: &Balancer<World>) -> Result<Lease<World>, AcquireError> {
    let some = [world.any_pod().key().clone(), world.any_pod().key().clone()];
    match world.below(4) {
        0 => balancer.acquire_from(Route::any(), &some).await,
        1 => balancer.acquire_excluding(Route::any(), &some).await,
        _ => balancer.acquire(Route::any()).await,
    }
}

/// One request, from the first attempt to its end, which may come at any step.
async fn request(world: &World, balancer: &Balancer<World>, tally: &Tally) {
    let acquiring = acquire(world, balancer);
    let acquired = match world.below(4) {
        0 => timeout(Duration::from_millis(world.below(8)), acquiring).await.ok(),
        1 => tokio::select! {
            acquired = acquiring => Some(acquired),
            () = world.moment() => None,
        },
        _ => Some(acquiring.await),
    };
    let lease = match acquired {
        Some(Ok(lease)) => lease,
        Some(Err(_)) => {
            tally.refused.fetch_add(1, SeqCst);
            return yield_now().await;
        }
        None => {
            tally.gave_up.fetch_add(1, SeqCst);
            return;
        }
    };
    tally.acquired.fetch_add(1, SeqCst);
    world.moment().await;
    match world.below(20) {
        0 => lease.broken(),
        1 => drop(lease),
        2 => lease.finish(Outcome::Failure),
        3 => {
            lease.dead.store(true, SeqCst);
            lease.finish(Outcome::Success);
        }
        _ => lease.finish(Outcome::Success),
    }
}

/// Requests in a closed loop, some of them in tasks that are aborted.
async fn call(world: World, balancer: Balancer<World>, tally: Arc<Tally>, end: Instant) {
    while Instant::now() < end {
        if world.below(10) > 0 {
            request(&world, &balancer, &tally).await;
            continue;
        }
        let task = tokio::spawn({
            let (world, balancer, tally) = (world.clone(), balancer.clone(), Arc::clone(&tally));
            async move { request(&world, &balancer, &tally).await }
        });
        world.moment().await;
        task.abort();
        let _stopped_or_done = task.await;
    }
}

/// Changes the endpoints in DNS, and requests resolutions.
async fn pods_live(world: &World, balancer: &Balancer<World>, end: Instant) {
    let mut ticks = interval(TICK);
    while Instant::now() < end {
        ticks.tick().await;
        match world.below(8) {
            0..2 => {
                let listed: Vec<_> = (0..NAMES as u8).filter(|_| world.below(2) == 0).map(pod).collect();
                *world.0.listed.lock().unwrap() = listed;
                balancer.discovery().request_reresolution();
            }
            2 => drop(balancer.evict(world.any_pod().key())),
            _ => {}
        }
    }
}

/// Nothing is in flight, only idle connections are open, and every connection is counted as open or
/// closed.
fn is_at_rest(world: &World, balancer: &Balancer<World>) -> bool {
    let stats = balancer.stats();
    let rests = |endpoint: &headless::EndpointStats| {
        let pool = &endpoint.pool;
        (endpoint.in_flight, pool.busy, pool.waiting, pool.connecting) == (0, 0, 0, 0)
            && pool.opened == pool.closed.total() + pool.idle as u64
    };
    stats.endpoints.len() == usize::from(LAST)
        && stats.draining.is_empty()
        && stats.endpoints.iter().all(rests)
        && stats.total().idle == world.0.open.load(SeqCst)
}

async fn soak(multiplexing: Multiplexing, total: Option<usize>, seed: u64, length: Duration) {
    let world = World::new(seed, multiplexing);
    let balancer = balancer(&world, total).await;
    let (end, tally) = (Instant::now() + length, Arc::new(Tally::default()));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(world.clone(), balancer.clone(), Arc::clone(&tally), end));
    }
    pods_live(&world, &balancer, end).await;
    callers.join_all().await;

    world.0.healed.store(true, SeqCst);
    *world.0.listed.lock().unwrap() = (0..LAST).map(pod).collect();
    balancer.discovery().request_reresolution();
    until(
        || is_at_rest(&world, &balancer),
        || {
            format!(
                "rest (seed {seed}): {} open, {:#?}",
                world.0.open.load(SeqCst),
                balancer.stats()
            )
        },
    )
    .await;
    // As many leases as there are permits, one for each endpoint: a lost permit would be missing
    // now.
    let mut leases = Vec::new();
    for k in 0..LAST {
        let only = [pod(k).key().clone()];
        let lease = balancer.acquire_from(Route::any(), &only).await;
        leases.push(lease.unwrap_or_else(|error| panic!("seed {seed}: {error}; {:#?}", balancer.stats())));
    }
    println!(
        "{multiplexing:?}, total {total:?}: {tally:?}, most open or being opened {}, {:?}",
        world.0.most.load(SeqCst),
        balancer.stats().total()
    );
    assert!(
        tally.acquired.load(SeqCst) > 1000,
        "too few to mean anything: {tally:?}"
    );
    leases.into_iter().for_each(|lease| lease.finish(Outcome::Success));
    drop(balancer);
    until(
        || world.0.open.load(SeqCst) + world.0.connecting.load(SeqCst) == 0,
        || format!("{} still open (seed {seed})", world.0.open.load(SeqCst)),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_connection_and_no_permit_is_lost_when_callers_give_up_at_any_moment() {
    let from_env = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let length = Duration::from_secs(from_env("HEADLESS_SOAK_SECONDS").unwrap_or(10));
    let of_now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = from_env("HEADLESS_SOAK_SEED").unwrap_or_else(of_now);
    println!("HEADLESS_SOAK_SEED={seed}");

    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let limit = Some(usize::from(LAST));
    let (exclusive, shared) = (
        Multiplexing::Exclusive,
        Multiplexing::Streams(NonZeroUsize::new(4).unwrap()),
    );
    tokio::join!(
        soak(exclusive, None, seed, length),
        soak(exclusive, limit, seed ^ 1, length),
        soak(shared, None, seed ^ 2, length),
        soak(shared, limit, seed ^ 3, length),
    );
    until(|| tasks() <= before, || format!("{} tasks left of {before}", tasks())).await;
}
