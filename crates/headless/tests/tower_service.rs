//! What `Balanced` promises a caller, in paused time: readiness, load, broken and cancelled calls,
//! sharing, routes, errors.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod support;

use std::future::{Future, ready};
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use self::support::{FakeDns, found, nothing, pod};
use headless::policy::{RoleAware, RoundRobin};
use headless::tower::{Balanced, DiscoveryLayer, Error, MakeError};
use headless::{
    AcquireError, Balancer, BuildError, Connect, ConnectFault, Discovery, Endpoint, EndpointStats, Outcome, Route,
    StaticList,
};
use tokio::sync::Notify;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// The pods, as far as services see them.
#[derive(Default)]
struct World {
    /// To which pods, in order.
    connects: Mutex<Vec<String>>,
    open: AtomicUsize,
    /// The services made first so many say that they are dead; not before they were called once if
    /// `after_use`.
    dead: AtomicUsize,
    /// The pod that cannot be connected to.
    refuses: Mutex<Option<&'static str>>,
    /// Services are never ready.
    stuck: AtomicUsize,
    release: Notify,
}

impl World {
    fn connects(&self) -> usize {
        self.connects.lock().unwrap().len()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// The make-service.
    fn make_service(
        self: &Arc<Self>,
    ) -> impl Service<Endpoint, Response = Pod, Error = io::Error, Future: Send> + Clone + Send + 'static {
        let world = Arc::clone(self);
        service_fn(move |pod: Endpoint| {
            let name = pod.pod().map_or_else(|| pod.to_string(), ToString::to_string);
            let mut connects = world.connects.lock().unwrap();
            connects.push(name.clone());
            if world.refuses.lock().unwrap().is_some_and(|refuses| refuses == name) {
                return ready(Err(io::ErrorKind::ConnectionRefused.into()));
            }
            world.open.fetch_add(1, Ordering::SeqCst);
            let socket = Arc::new(Socket(Arc::clone(&world)));
            let number = connects.len();
            ready(Ok(Pod { name, number, socket }))
        })
    }
}

/// A service for one pod. Clones share the socket.
#[derive(Clone)]
struct Pod {
    name: String,
    number: usize,
    socket: Arc<Socket>,
}

struct Socket(Arc<World>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<&'static str> for Pod {
    type Response = String;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<String>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let world = &self.socket.0;
        if world.stuck.load(Ordering::SeqCst) > 0 {
            return Poll::Pending;
        }
        match self.number <= world.dead.load(Ordering::SeqCst) {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            false => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        let (name, world) = (self.name.clone(), Arc::clone(&self.socket.0));
        Box::pin(async move {
            match request {
                "hold" => world.release.notified().await,
                "fail" => return Err(io::ErrorKind::BrokenPipe.into()),
                "wrong" => return Err(io::ErrorKind::InvalidInput.into()),
                _ => {}
            }
            Ok(name)
        })
    }
}

async fn watch(pods: impl IntoIterator<Item = Endpoint>) -> Discovery {
    let list = StaticList::new("web", pods.into_iter().collect());
    Discovery::builder(list).start().await.unwrap()
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn is_ready<S: Service<&'static str>>(service: &mut S) -> bool {
    matches!(
        service.poll_ready(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Ok(()))
    )
}

#[track_caller]
fn answered<E>(polled: Poll<Result<String, E>>) -> String {
    match polled {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Ready(Err(_)) | Poll::Pending => panic!("no answer"),
    }
}

#[track_caller]
fn only_pod<D: Connect, R, C>(service: &Balanced<D, R, C>) -> EndpointStats {
    let mut pods = service.balancer().unwrap().stats().endpoints;
    assert_eq!(pods.len(), 1);
    pods.remove(0)
}

#[tokio::test(start_paused = true)]
async fn clones_share_connections_and_nothing_dials_before_a_call() {
    let world = Arc::new(World::default());
    let service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    assert_eq!(
        size_of_val(&service),
        size_of::<usize>(),
        "a clone is one reference count"
    );
    let (one, other) = (service.clone(), service.clone());
    assert_eq!(world.connects(), 0);
    assert_eq!(one.oneshot("hello").await.unwrap(), "web-0");
    assert_eq!(other.oneshot("hello").await.unwrap(), "web-0");
    assert_eq!((world.connects(), world.open()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn connections_close_with_the_last_clone() {
    let world = Arc::new(World::default());
    let service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    service.clone().oneshot("hello").await.unwrap();
    assert_eq!(world.open(), 1);
    drop(service);
    assert_eq!(world.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_even_without_pods_and_the_call_waits_with_a_bound() {
    let world = Arc::new(World::default());
    let dns = FakeDns::new(nothing());
    let layer = DiscoveryLayer::new(dns.watch().await).acquire_timeout(Duration::from_secs(3));
    let mut service = layer.layer(world.make_service());
    assert!(is_ready(&mut service));
    let began = tokio::time::Instant::now();
    let error = service.call("hello").await.unwrap_err();
    assert!(
        matches!(error, Error::Acquire(AcquireError::NoEndpoints { .. })),
        "{error}"
    );
    assert!(error.is_unsent());
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_served_when_a_pod_comes() {
    let world = Arc::new(World::default());
    let dns = FakeDns::new(nothing());
    let service = DiscoveryLayer::new(dns.watch().await).layer(world.make_service());
    let mut call = Box::pin(service.oneshot("hello"));
    assert!(poll(&mut call).is_pending());
    dns.says(found([pod(4, 1)]));
    assert_eq!(call.await.unwrap(), "web-4");
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_from_the_call_to_the_response() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    service.call("hello").await.unwrap();
    let mut call = Box::pin(service.call("hold"));
    assert_eq!(
        only_pod(&service).in_flight,
        1,
        "picked in `call`, not at the first poll"
    );
    assert!(poll(&mut call).is_pending());
    assert_eq!((only_pod(&service).in_flight, only_pod(&service).pool.busy), (1, 1));
    world.release.notify_one();
    answered(poll(&mut call));
    assert_eq!(
        (only_pod(&service).in_flight, only_pod(&service).pool.idle),
        (0, 1),
        "before the future is dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_service_has_one_request_at_a_time() {
    let world = Arc::new(World::default());
    let layer = DiscoveryLayer::new(watch([pod(0, 1)]).await).max_connections_per_endpoint(1);
    let mut service = layer.layer(world.make_service());
    service.call("hello").await.unwrap();
    let mut first = Box::pin(service.call("hold"));
    assert!(poll(&mut first).is_pending());
    let mut second = Box::pin(service.call("hello"));
    assert!(poll(&mut second).is_pending());
    world.release.notify_one();
    answered(poll(&mut first));
    assert_eq!(second.await.unwrap(), "web-0");
    assert_eq!(world.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_breaks_the_connection() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    let error = service.call("fail").await.unwrap_err();
    assert!(matches!(error, Error::Service(_)), "{error}");
    assert!(!error.is_unsent());
    assert_eq!(error.into_inner().unwrap().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!((world.open(), only_pod(&service).in_flight), (0, 0));
    service.call("hello").await.unwrap();
    assert_eq!(world.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn classify_says_what_an_error_means_for_the_connection() {
    let world = Arc::new(World::default());
    let layer = DiscoveryLayer::new(watch([pod(0, 1)]).await).classify(|result: &io::Result<String>| match result {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Outcome::Success,
        Err(_) => Outcome::Failure,
        Ok(_) => Outcome::Cancelled,
    });
    let mut service = layer.layer(world.make_service());
    service.call("wrong").await.unwrap_err();
    assert_eq!(world.open(), 1, "an answer, spelled as an error");
    service.call("fail").await.unwrap_err();
    assert_eq!(world.open(), 0);
    service.call("hello").await.unwrap();
    assert_eq!(world.open(), 0, "an exchange that is not complete");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_no_load_and_no_connection() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    service.call("hello").await.unwrap();

    drop(service.call("hello"));
    assert_eq!((only_pod(&service).in_flight, world.open()), (0, 0), "never polled");

    let mut waiting = Box::pin(service.call("hello"));
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(only_pod(&service).in_flight, 1);
    drop(waiting);
    assert_eq!(
        (only_pod(&service).in_flight, only_pod(&service).pool.waiting),
        (0, 0),
        "while it dials"
    );
    assert_eq!(service.call("hello").await.unwrap(), "web-0");
    assert_eq!(world.connects(), 2, "the dial went on and served the next");

    let mut called = Box::pin(service.call("hold"));
    assert!(poll(&mut called).is_pending());
    drop(called);
    assert_eq!(
        (only_pod(&service).in_flight, world.open()),
        (0, 0),
        "while the service works"
    );
}

#[tokio::test(start_paused = true)]
async fn shared_services_multiplex_and_a_second_is_made_when_the_first_is_full() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await)
        .multiplexed(NonZeroUsize::new(2).unwrap())
        .layer(world.make_service());
    service.call("hello").await.unwrap();
    let mut held: Vec<_> = (0..2).map(|_| Box::pin(service.call("hold"))).collect();
    for call in &mut held {
        assert!(poll(call).is_pending());
    }
    assert_eq!(world.connects(), 1);
    assert_eq!(service.call("hello").await.unwrap(), "web-0");
    assert_eq!((world.connects(), world.open()), (2, 2));
    drop(held);
    assert_eq!((only_pod(&service).in_flight, world.open()), (0, 2), "only streams end");
}

#[tokio::test(start_paused = true)]
async fn a_multiplexed_service_that_fails_serves_no_other_request() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await)
        .multiplexed(NonZeroUsize::new(8).unwrap())
        .layer(world.make_service());
    service.call("fail").await.unwrap_err();
    assert_eq!(world.open(), 0);
    service.call("hello").await.unwrap();
    assert_eq!(world.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_go_where_they_ask_to() {
    let world = Arc::new(World::default());
    let discovery = watch([pod(0, 1), pod(1, 2), pod(2, 3)]).await;
    let mut service = DiscoveryLayer::new(discovery)
        .policy(RoleAware::new(RoundRobin::default()))
        .route_by(|request: &&'static str| match *request {
            "write" => Route::write(),
            _ => Route::read(),
        })
        .layer(world.make_service());
    let mut reads = Vec::new();
    for _ in 0..4 {
        assert_eq!(service.call("write").await.unwrap(), "web-0");
        reads.push(service.call("read").await.unwrap());
    }
    reads.sort();
    assert_eq!(reads, ["web-1", "web-1", "web-2", "web-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_one_turn_even_if_it_has_to_dial() {
    let world = Arc::new(World::default());
    let discovery = watch([pod(0, 1), pod(1, 2), pod(2, 3)]).await;
    let mut service = DiscoveryLayer::new(discovery)
        .policy(RoundRobin::default())
        .layer(world.make_service());
    let mut answers = Vec::new();
    for _ in 0..9 {
        answers.push(service.call("hello").await.unwrap());
    }
    answers.sort();
    let three_each = ["web-0", "web-1", "web-2"].map(|name| [name; 3]).concat();
    assert_eq!(answers, three_each);
}

#[tokio::test(start_paused = true)]
async fn wrong_settings_are_the_error_of_every_call_or_of_try_layer() {
    let world = Arc::new(World::default());
    let nameless = Endpoint::new(([10, 0, 0, 1], 80).into());
    let layer = DiscoveryLayer::new(watch([nameless]).await).policy(RoleAware::new(RoundRobin::default()));
    let early = layer.try_layer(world.make_service()).unwrap_err();
    assert!(matches!(early, BuildError::NoOrdinals { .. }), "{early}");

    let mut service = layer.layer(world.make_service());
    assert_eq!(service.balancer().unwrap_err(), &early);
    for _ in 0..2 {
        assert!(is_ready(&mut service));
        let error = service.call("hello").await.unwrap_err();
        assert!(matches!(&error, Error::Build(late) if *late == early), "{error}");
    }
    assert_eq!(world.connects(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_while_idle_costs_the_request_nothing() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    service.call("hello").await.unwrap();
    world.dead.store(1, Ordering::SeqCst);
    assert_eq!(service.call("hello").await.unwrap(), "web-0");
    assert_eq!((world.connects(), world.open()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unsent_request_prefers_another_pod() {
    let world = Arc::new(World::default());
    let discovery = watch([pod(0, 1), pod(1, 2)]).await;
    let mut service = DiscoveryLayer::new(discovery).layer(world.make_service());
    world.dead.store(1, Ordering::SeqCst);
    let answer = service.call("hello").await.unwrap();
    let connects = world.connects.lock().unwrap().clone();
    assert_eq!(connects.len(), 2);
    assert_ne!(connects[0], connects[1]);
    assert_eq!(answer, connects[1]);
}

#[tokio::test(start_paused = true)]
async fn services_that_are_all_dead_end_as_an_error_of_an_unsent_request() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    world.dead.store(usize::MAX, Ordering::SeqCst);
    let error = service.call("hello").await.unwrap_err();
    assert!(
        matches!(&error, Error::NotReady(it) if it.kind() == io::ErrorKind::ConnectionReset),
        "{error}"
    );
    assert!(error.is_unsent());
    assert_eq!((world.connects(), world.open()), (3, 0));
    assert_eq!(only_pod(&service).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_gets_ready_is_waited_for_with_a_bound() {
    let world = Arc::new(World::default());
    let mut service = DiscoveryLayer::new(watch([pod(0, 1)]).await).layer(world.make_service());
    service.call("hello").await.unwrap();
    world.stuck.store(1, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let error = service.call("hello").await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!((only_pod(&service).in_flight, world.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_choice_holds_when_the_set_changes_before_the_first_poll() {
    let world = Arc::new(World::default());
    *world.refuses.lock().unwrap() = Some("web-1");
    let dns = FakeDns::new(found([pod(1, 2)]));
    let mut discovery = dns.watch().await;
    let mut service = DiscoveryLayer::new(discovery.clone()).layer(world.make_service());
    let call = service.call("hello");
    dns.says(found([pod(0, 1), pod(1, 2)]));
    discovery.wait_for(|pods| pods.len() == 2).await.unwrap();
    assert_eq!(call.await.unwrap(), "web-0");
    assert_eq!(
        *world.connects.lock().unwrap(),
        ["web-0", "web-1"],
        "the newcomer before it takes requests, then the choice; each once"
    );
}

#[tokio::test(start_paused = true)]
async fn it_calls_the_connections_of_any_balancer() {
    struct Direct(Arc<World>);

    impl Connect for Direct {
        type Conn = Pod;
        type Error = io::Error;

        async fn connect(&self, endpoint: &Endpoint) -> io::Result<Pod> {
            self.0.make_service().oneshot(endpoint.clone()).await
        }
    }

    let world = Arc::new(World::default());
    let discovery = watch([pod(0, 1)]).await;
    let balancer = Balancer::builder(discovery, Direct(Arc::clone(&world))).build();
    let service = Balanced::new(balancer.unwrap());
    assert_eq!(service.oneshot("hello").await.unwrap(), "web-0");
}

#[tokio::test(start_paused = true)]
async fn a_make_service_that_fails_is_named_in_the_error() {
    let world = Arc::new(World::default());
    *world.refuses.lock().unwrap() = Some("web-0");
    let layer = DiscoveryLayer::new(watch([pod(0, 1)]).await).acquire_timeout(Duration::from_millis(100));
    let error = layer.layer(world.make_service()).oneshot("hello").await.unwrap_err();
    assert!(error.is_unsent());
    let Error::Acquire(AcquireError::Unreachable { last, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        last.to_string(),
        "cannot connect to web-0 (10.0.0.1:80): connection refused"
    );
    let ConnectFault::Failed(fault) = &last.fault else {
        panic!("{last}")
    };
    let fault = fault.downcast_ref::<MakeError>().unwrap().get_ref();
    assert_eq!(
        fault.downcast_ref::<io::Error>().unwrap().kind(),
        io::ErrorKind::ConnectionRefused
    );
}

#[tokio::test(start_paused = true)]
async fn a_removed_pod_takes_no_more_calls_and_finishes_what_it_has() {
    let world = Arc::new(World::default());
    let dns = FakeDns::new(found([pod(0, 1), pod(1, 2)]));
    let discovery = dns.watch().await;
    let mut service = DiscoveryLayer::new(discovery.clone())
        .policy(RoundRobin::default())
        .layer(world.make_service());
    for _ in 0..2 {
        service.call("hello").await.unwrap();
    }
    let mut held: Vec<_> = (0..2).map(|_| Box::pin(service.call("hold"))).collect();
    for call in &mut held {
        assert!(poll(call).is_pending());
    }
    dns.says(found([pod(0, 1)]));
    discovery.clone().wait_for(|pods| pods.len() == 1).await.unwrap();
    for _ in 0..3 {
        assert_eq!(service.call("hello").await.unwrap(), "web-0");
    }
    world.release.notify_waiters();
    let mut answers: Vec<_> = held.iter_mut().map(|call| answered(poll(call))).collect();
    answers.sort();
    assert_eq!(answers, ["web-0", "web-1"]);
    assert_eq!(service.balancer().unwrap().stats().draining.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_layer_has_pools_and_a_policy_of_its_own() {
    let world = Arc::new(World::default());
    let layer = DiscoveryLayer::new(watch([pod(0, 1)]).await).policy(RoundRobin::default());
    layer
        .clone()
        .layer(world.make_service())
        .oneshot("hello")
        .await
        .unwrap();
    layer.layer(world.make_service()).oneshot("hello").await.unwrap();
    assert_eq!(world.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_stacks_under_towers_layers_even_with_boxed_errors() {
    let connect = service_fn(async |_pod: Endpoint| {
        let answer = |_: ()| ready(Err::<(), tower::BoxError>("no".into()));
        Ok::<_, std::convert::Infallible>(service_fn(answer))
    });
    let service = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .timeout(Duration::from_secs(1))
        .map_err(Error::<tower::BoxError>::into_boxed)
        .layer(DiscoveryLayer::new(watch([pod(0, 1)]).await))
        .service(connect);
    assert_eq!(service.clone().oneshot(()).await.unwrap_err().to_string(), "no");
}
