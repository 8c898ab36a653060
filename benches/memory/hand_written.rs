//! The baseline: the least that could be written by a user.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use headless_benches::pods;

/// A pod: its identity, and the number of its requests.
#[derive(Debug)]
#[expect(dead_code, reason = "only takes memory")]
pub struct Endpoint {
    name: Box<str>,
    addr: SocketAddr,
    in_flight: AtomicU32,
}

pub fn endpoints(count: usize) -> Box<[Arc<Endpoint>]> {
    let endpoint = |(name, addr): (String, _)| {
        let (name, in_flight) = (name.into(), AtomicU32::new(0));
        Arc::new(Endpoint { name, addr, in_flight })
    };
    pods::addresses(count).map(endpoint).collect()
}

/// The idle connections of each pod, newest last, with the time of their last use.
pub struct Pools(Vec<Mutex<Vec<(u64, Instant)>>>);

impl Pools {
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| Mutex::default()).collect())
    }

    /// Adds connections until each pod has `each`.
    pub fn open(&mut self, each: usize) {
        for pool in &self.0 {
            let mut idle = pool.lock().unwrap();
            while idle.len() < each {
                idle.push((80, Instant::now()));
            }
        }
    }
}
