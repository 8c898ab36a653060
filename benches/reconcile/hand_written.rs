//! The baseline: the least that takes a complete list and keeps the state of the pods that stay.
//! Once by merging two sorted lists, once by a lookup of each pod in a hash map.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::iter::Peekable;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use arc_swap::ArcSwap;

use crate::implementation::{Cost, Generations, Implementation, Pods, cost};

/// The identity of a pod: the address first, because addresses are compared fastest.
type Key = (SocketAddr, Arc<str>);

/// One pod, and the state that is kept.
#[derive(Debug)]
struct Endpoint {
    key: Key,
    in_flight: AtomicU32,
}

impl Endpoint {
    fn new(key: &Key) -> Arc<Self> {
        Arc::new(Self {
            key: key.clone(),
            in_flight: AtomicU32::new(0),
        })
    }
}

type Set = Arc<[Arc<Endpoint>]>;

/// Merges both lists in one pass, because both are sorted.
fn merge(old: &[Arc<Endpoint>], new: &[Key]) -> Set {
    let mut olds = old.iter().peekable();
    new.iter()
        .map(|key| kept(&mut olds, key).unwrap_or_else(|| Endpoint::new(key)))
        .collect()
}

fn kept<'a>(olds: &mut Peekable<impl Iterator<Item = &'a Arc<Endpoint>>>, key: &Key) -> Option<Arc<Endpoint>> {
    loop {
        match olds.peek()?.key.cmp(key) {
            Ordering::Less => drop(olds.next()),
            Ordering::Equal => return olds.next().cloned(),
            Ordering::Greater => return None,
        }
    }
}

/// Sorted lists, prepared before the measurement.
struct Lists {
    pods: Pods,
    generations: Generations,
    made: VecDeque<Vec<Key>>,
}

impl Lists {
    fn of(pods: Pods) -> Self {
        Self {
            pods,
            generations: Generations::default(),
            made: VecDeque::new(),
        }
    }

    fn make(&mut self) {
        self.made.push_back(sorted(self.pods, self.generations.next()));
    }

    fn take(&mut self) -> Vec<Key> {
        self.made.pop_front().unwrap()
    }
}

/// The baseline.
pub struct Merge {
    name: &'static str,
    lists: Lists,
    set: Arc<ArcSwap<Set>>,
}

impl Merge {
    pub fn new(name: &'static str, pods: Pods) -> Self {
        let set = Arc::new(ArcSwap::from_pointee(merge(&[], &sorted(pods, 0))));
        Self {
            name,
            lists: Lists::of(pods),
            set,
        }
    }
}

impl Implementation for Merge {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        self.lists.make();
    }

    fn replace(&mut self) -> Cost {
        let list = self.lists.take();
        cost(|| {
            let merged = merge(&self.set.load(), &list);
            self.set.store(Arc::new(merged));
        })
    }

    fn picker(&self) -> Option<Box<dyn FnMut() + Send>> {
        let set = Arc::clone(&self.set);
        Some(Box::new(move || {
            let picked = pick(&set.load());
            picked.in_flight.fetch_sub(1, Relaxed);
        }))
    }
}

/// Picks the less loaded of two, and counts the request.
fn pick(set: &[Arc<Endpoint>]) -> Arc<Endpoint> {
    let entropy = rand::random::<u64>();
    let drawn = |bits: u32| &set[((u64::from(bits) * set.len() as u64) >> 32) as usize];
    let (a, b) = (drawn(entropy as u32), drawn((entropy >> 32) as u32));
    let picked = if a.in_flight.load(Relaxed) <= b.in_flight.load(Relaxed) {
        a
    } else {
        b
    };
    picked.in_flight.fetch_add(1, Relaxed);
    Arc::clone(picked)
}

/// The same without an order: pods that stay are found by their hash.
pub struct ByHash {
    name: &'static str,
    lists: Lists,
    known: HashMap<Key, Arc<Endpoint>>,
    set: ArcSwap<Set>,
}

impl ByHash {
    pub fn new(name: &'static str, pods: Pods) -> Self {
        let known: HashMap<_, _> = sorted(pods, 0)
            .into_iter()
            .map(|key| (key.clone(), Endpoint::new(&key)))
            .collect();
        let set = ArcSwap::from_pointee(known.values().cloned().collect());
        Self {
            name,
            lists: Lists::of(pods),
            known,
            set,
        }
    }
}

impl Implementation for ByHash {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self) {
        self.lists.make();
    }

    fn replace(&mut self) -> Cost {
        let list = self.lists.take();
        cost(|| {
            let next: HashMap<_, _> = list
                .iter()
                .map(|key| {
                    let kept = self.known.get(key).cloned();
                    (key.clone(), kept.unwrap_or_else(|| Endpoint::new(key)))
                })
                .collect();
            self.set.store(Arc::new(next.values().cloned().collect()));
            self.known = next;
        })
    }
}

fn sorted(pods: Pods, generation: u8) -> Vec<Key> {
    let mut list: Vec<Key> = pods.list(generation).map(|(name, addr)| (addr, name.into())).collect();
    list.sort_unstable();
    list
}
