//! The peers, each as its documentation has it, and each given what it takes: pingora a set, tower the difference.

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

use crate::contender::{Contender, Cost, Lives, Pods, cost};

/// pingora's load balancer with the selection `S`.
pub struct Pingora<S: BackendSelection> {
    name: &'static str,
    pods: Pods,
    lives: Lives,
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
            lives: Lives::default(),
            sets,
            balancer,
        };
        new.prepare();
        new.replace();
        new
    }
}

impl<S> Contender for Pingora<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        let list = self.pods.list(self.lives.next());
        let set = list.map(|(_, addr)| Backend::new(&addr.to_string()).unwrap());
        self.sets.lock().unwrap().push_back(set.collect());
    }

    fn replace(&mut self) -> Cost {
        cost(|| self.balancer.update().now_or_never().unwrap().unwrap())
    }

    /// It may find nobody: while an update is under way, the pods that are new in it are not those that can be chosen.
    fn picker(&self) -> Option<Box<dyn FnMut() + Send>> {
        let balancer = Arc::clone(&self.balancer);
        Some(Box::new(move || drop(balancer.select(b"key", 256))))
    }
}

/// Hands out sets made beforehand.
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

/// tower's balancer, which is told what differs. It takes that in when it is next polled: in somebody's request.
pub struct Tower {
    name: &'static str,
    pods: Pods,
    lives: Lives,
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
        let (lives, listed, differences) = (Lives::default(), Vec::new(), VecDeque::new());
        let mut new = Self {
            name,
            pods,
            lives,
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

impl Contender for Tower {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        let list: Vec<_> = self.pods.list(self.lives.next()).map(|(_, addr)| addr).collect();
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

/// The differences that have not been taken in yet.
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
