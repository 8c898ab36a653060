//! `headless`, from the answer of a lookup to the view in use: through its public handles, on one
//! thread.
//!
//! The resolver notes the time of its answer, and a listener the time of its wake-up. It is woken
//! when all balancers have the new view, in the same turn of the task, so only the work lies in
//! between. The connector notes where the membership ends and the balancer begins: it is asked for
//! each new pod, and the first pod of the list is new each time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use headless::{Answer, BoxFuture, Resolution};
use headless::{Balancer, Connect, Discovery, Endpoint, FoundBy, Multiplexing, Outcome, RefreshConfig, Resolve, Route};
use tokio::runtime::{Builder, Runtime};

use crate::implementation::{Cost, Generations, Implementation, Mark, Pods};

/// A watch with a balancer.
pub struct Headless {
    name: &'static str,
    pods: Pods,
    generations: Generations,
    answers: Arc<Answers>,
    discovery: Discovery,
    balancer: Balancer<Nothing>,
    begun: Arc<Begun>,
    measured: Part,
    runtime: Runtime,
}

/// The part that is measured.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// From the answer to the picks.
    Whole,
    /// From the answer to the snapshot.
    Membership,
    /// From the snapshot to the picks.
    Balancer,
}

impl Headless {
    pub fn new(name: &'static str, pods: Pods, measured: Part) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let (answers, begun) = (Arc::new(Answers::default()), Arc::new(Begun::default()));
        answers.push(pods, 0);
        let watch = Discovery::builder(Prepared(Arc::clone(&answers))).refresh(on_demand());
        let discovery = runtime.block_on(watch.start()).unwrap();
        let connector = Nothing(Arc::clone(&begun));
        let balancer = Balancer::builder(discovery.clone(), connector).build().unwrap();
        let generations = Generations::default();
        Self {
            name,
            pods,
            generations,
            answers,
            discovery,
            balancer,
            begun,
            measured,
            runtime,
        }
    }
}

impl Implementation for Headless {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        self.answers.push(self.pods, self.generations.next());
    }

    fn replace(&mut self) -> Cost {
        let discovery = &mut self.discovery;
        self.begun.reset();
        self.runtime.block_on(async {
            let listener = poll_fn(|context| Poll::Ready(Arc::new(Listener::new(context.waker())))).await;
            let waker = Waker::from(Arc::clone(&listener));
            discovery.request_reresolution();
            let mut changed = pin!(discovery.changed());
            let changed = poll_fn(|_| changed.as_mut().poll(&mut Context::from_waker(&waker)));
            assert_eq!(changed.await.unwrap().len(), self.pods.size as usize);
            let handed_out = self.answers.handed_out.lock().unwrap().take().unwrap();
            let begun = self.begun.at.lock().unwrap().take().unwrap();
            let woken = listener.woken.lock().unwrap().take().unwrap();
            match self.measured {
                Part::Whole => handed_out.until(woken),
                Part::Membership => handed_out.until(begun),
                Part::Balancer => begun.until(woken),
            }
        })
    }

    fn picker(&self) -> Option<Box<dyn FnMut() + Send>> {
        let balancer = self.balancer.clone();
        Some(Box::new(move || {
            balancer.pick(Route::any()).unwrap().finish(Outcome::Success)
        }))
    }
}

/// Resolves on request only, and then at once.
fn on_demand() -> RefreshConfig {
    let mut config = RefreshConfig::default();
    (config.min_poll, config.max_poll) = (Duration::from_secs(3600), Duration::from_secs(3600));
    config.min_reresolve_interval = Duration::ZERO;
    config
}

/// Answers that were prepared, with new names as from a resolver.
#[derive(Default)]
struct Answers {
    waiting: Mutex<VecDeque<Answer>>,
    handed_out: Mutex<Option<Mark>>,
}

impl Answers {
    fn push(&self, pods: Pods, generation: u8) {
        let endpoint = |(name, addr): (String, _)| Endpoint::new(addr).with_pod(name.parse().unwrap());
        let endpoints = pods.list(generation).map(endpoint).collect();
        let answer = Answer::new(endpoints, Duration::from_secs(5), FoundBy::NamedPort);
        self.waiting.lock().unwrap().push_back(answer);
    }
}

struct Prepared(Arc<Answers>);

impl Resolve for Prepared {
    fn resolve(&self) -> BoxFuture<'_, Resolution> {
        Box::pin(async {
            let answer = self.0.waiting.lock().unwrap().pop_front().unwrap();
            *self.0.handed_out.lock().unwrap() = Some(Mark::now());
            Resolution::Found(answer)
        })
    }

    fn service(&self) -> String {
        "web".to_owned()
    }
}

/// Notes the time of its wake-up.
struct Listener {
    woken: Mutex<Option<Mark>>,
    task: Waker,
}

impl Listener {
    fn new(task: &Waker) -> Self {
        Self {
            woken: Mutex::default(),
            task: task.clone(),
        }
    }
}

impl Wake for Listener {
    fn wake(self: Arc<Self>) {
        let now = Mark::now();
        self.woken.lock().unwrap().get_or_insert(now);
        self.task.wake_by_ref();
    }
}

/// The time when a balancer began to apply a snapshot.
#[derive(Debug, Default)]
struct Begun {
    at: Mutex<Option<Mark>>,
    /// Relaxed: all on one thread. WHY: without it, each new pod would cost a lock.
    noted: AtomicBool,
}

impl Begun {
    fn note(&self) {
        if !self.noted.swap(true, Relaxed) {
            *self.at.lock().unwrap() = Some(Mark::now());
        }
    }

    fn reset(&self) {
        self.noted.store(false, Relaxed);
    }
}

/// Connects at once.
#[derive(Debug)]
struct Nothing(Arc<Begun>);

impl Connect for Nothing {
    type Conn = u64;
    type Error = Infallible;

    async fn connect(&self, endpoint: &Endpoint) -> Result<u64, Infallible> {
        Ok(endpoint.addr().port().into())
    }

    fn multiplexing(&self) -> Multiplexing {
        self.0.note();
        Multiplexing::Exclusive
    }
}
