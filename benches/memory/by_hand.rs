//! The limit: the least that could be written by hand.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::pods;

/// A pod: who it is, and how many requests it has.
#[derive(Debug)]
#[expect(dead_code, reason = "only takes room")]
pub struct Endpoint {
    name: Box<str>,
    addr: SocketAddr,
    in_flight: AtomicU32,
}

pub fn endpoints(count: u32) -> Box<[Arc<Endpoint>]> {
    let endpoint = |(name, addr): (String, _)| {
        let (name, in_flight) = (name.into(), AtomicU32::new(0));
        Arc::new(Endpoint { name, addr, in_flight })
    };
    pods(count).map(endpoint).collect()
}

/// The idle connections of each pod, newest last, and when each was last used.
pub struct Pools(Vec<Mutex<Vec<(u64, Instant)>>>);

impl Pools {
    pub fn new(count: u32) -> Self {
        Self((0..count).map(|_| Mutex::default()).collect())
    }

    /// Until each pod has so many.
    pub fn open(&mut self, each: usize) {
        for pool in &self.0 {
            let mut idle = pool.lock().unwrap();
            while idle.len() < each {
                idle.push((80, Instant::now()));
            }
        }
    }
}
