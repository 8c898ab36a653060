//! The peers, as in their documentation. Each gets the form that it takes: pingora a set, tower the
//! difference.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::{FutureExt, Stream};
use headless_benches::peers::Pod;
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::selection::{BackendIter, BackendSelection};
pub use pingora_load_balancing::selection::{RoundRobin, consistent::KetamaHashing};
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use tower::balance::p2c::Balance;
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower_service::Service;

use crate::implementation::{Cost, Generations, Implementation, Pods, cost};

/// pingora's load balancer with the selection `S`.
pub struct Pingora<S: BackendSelection> {
    name: &'static str,
    pods: Pods,
    generations: Generations,
    sets: Sets,
    balancer: Arc<LoadBalancer<S>>,
}

type Sets = Arc<Mutex<VecDeque<BTreeSet<Backend>>>>;

impl<S> Pingora<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    pub fn new(name: &'static str, pods: Pods) -> Self {
        let sets = Sets::default();
        let balancer = Arc::new(LoadBalancer::from_backends(Backends::new(Box::new(Prepared(
            Arc::clone(&sets),
        )))));
        let mut new = Self {
            name,
            pods,
            generations: Generations::default(),
            sets,
            balancer,
        };
        new.prepare();
        new.replace();
        new
    }
}

impl<S> Implementation for Pingora<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        let list = self.pods.list(self.generations.next());
        let set = list.map(|(_, addr)| Backend::new(&addr.to_string()).unwrap());
        self.sets.lock().unwrap().push_back(set.collect());
    }

    fn replace(&mut self) -> Cost {
        cost(|| self.balancer.update().now_or_never().unwrap().unwrap())
    }

    /// A pick may find no pod: during an update, new pods cannot be chosen yet.
    fn picker(&self) -> Option<Box<dyn FnMut() + Send>> {
        let balancer = Arc::clone(&self.balancer);
        Some(Box::new(move || drop(balancer.select(b"key", 256))))
    }
}

/// Returns the prepared sets.
struct Prepared(Sets);

type Discovered = pingora_error::Result<(BTreeSet<Backend>, HashMap<u64, bool>)>;

impl ServiceDiscovery for Prepared {
    fn discover<'a, 'b>(&'a self) -> Pin<Box<dyn Future<Output = Discovered> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let set = self.0.lock().unwrap().pop_front().unwrap();
        Box::pin(ready(Ok((set, HashMap::new()))))
    }
}

/// tower's balancer, which gets the difference. It applies it when it is polled next, in a request.
pub struct Tower {
    name: &'static str,
    pods: Pods,
    generations: Generations,
    listed: Vec<SocketAddr>,
    differences: VecDeque<Vec<Changed>>,
    queue: Queue,
    balance: Balance<Queue, ()>,
}

type Changed = Change<SocketAddr, PendingRequests<Pod<()>>>;

impl Tower {
    pub fn new(name: &'static str, pods: Pods) -> Self {
        let queue = Queue::default();
        let balance = Balance::new(queue.clone());
        let (generations, listed, differences) = (Generations::default(), Vec::new(), VecDeque::new());
        let mut new = Self {
            name,
            pods,
            generations,
            listed,
            differences,
            queue,
            balance,
        };
        new.prepare();
        new.replace();
        new
    }
}

impl Implementation for Tower {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        let list: Vec<_> = self.pods.list(self.generations.next()).map(|(_, addr)| addr).collect();
        let insert = |addr| Change::Insert(addr, PendingRequests::new(Pod(()), CompleteOnResponse::default()));
        let mut difference = Vec::new();
        for (k, &addr) in list.iter().enumerate() {
            let old = self.listed.get(k).filter(|old| **old != addr);
            difference.extend(old.map(|old| Change::Remove(*old)));
            if old.is_some() || self.listed.is_empty() {
                difference.push(insert(addr));
            }
        }
        self.listed = list;
        self.differences.push_back(difference);
    }

    fn replace(&mut self) -> Cost {
        self.queue.0.borrow_mut().extend(self.differences.pop_front().unwrap());
        cost(|| {
            let polled = self.balance.poll_ready(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready());
        })
    }
}

/// The differences that were not applied yet.
#[derive(Clone, Default)]
struct Queue(Rc<RefCell<VecDeque<Changed>>>);

impl Stream for Queue {
    type Item = Result<Changed, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.borrow_mut().pop_front() {
            Some(change) => Poll::Ready(Some(Ok(change))),
            None => Poll::Pending,
        }
    }
}
