//! Loopback addresses: one exclusive /16 per cluster, and the pods' addresses inside it.
//!
//! Linux answers on all of 127.0.0.0/8 without any set-up, so each pod can have an address of its
//! own and all pods of a workload the same port: the shape of a headless Service. What must not
//! live here: what a pod does with its address.

use std::{
    collections::{HashSet, VecDeque},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use fastrand::Rng;

use crate::error::Error;

/// The cluster that has bound this UDP port on `127.A.0.53` owns `127.A.0.0/16`.
const LOCK_PORT: u16 = 53_053;
const FIRST_BLOCK: u8 = 2;
const LAST_BLOCK: u8 = 250;
/// Host parts used in each /24: .1 to .254.
const HOSTS: u16 = 254;
/// Third octets used for pods: 1 to 255. 127.A.0.0/24 is kept for the cluster's own servers.
const POD_NETS: u16 = 255;

/// An exclusive `127.A.0.0/16` and which of its pod addresses are in use.
#[derive(Debug)]
pub(crate) struct AddressBlock {
    second: u8,
    next: u16,
    in_use: HashSet<Ipv4Addr>,
    freed: VecDeque<Ipv4Addr>,
    /// Held, never read: the kernel frees the port when the last clone is dropped or the process
    /// ends.
    reservation: Arc<UdpSocket>,
}

impl AddressBlock {
    /// Takes the first free block, beginning at a place that the process id and the seed decide.
    pub(crate) fn reserve(seed: u64) -> Result<Self, Error> {
        let blocks = usize::from(LAST_BLOCK - FIRST_BLOCK) + 1;
        let start = Rng::with_seed(seed ^ u64::from(std::process::id()).rotate_left(32)).usize(..blocks);
        let mut last = None;
        for step in 0..blocks {
            let second = FIRST_BLOCK + ((start + step) % blocks) as u8;
            match UdpSocket::bind((server_ip(second), LOCK_PORT)) {
                Ok(socket) => {
                    return Ok(Self {
                        second,
                        next: 0,
                        in_use: HashSet::new(),
                        freed: VecDeque::new(),
                        reservation: Arc::new(socket),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(Error::NoFreeBlock {
            tried: blocks,
            port: LOCK_PORT,
            source: last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()),
        })
    }

    /// Returns a share of the reservation.
    ///
    /// WHY shared: the block must not be reserved again before its last socket is closed.
    pub(crate) fn reservation(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.reservation)
    }

    /// Where the cluster's DNS server listens.
    pub(crate) fn server_ip(&self) -> Ipv4Addr {
        server_ip(self.second)
    }

    /// An address no pod had before, as long as there is one; then the address that has been free
    /// for the longest time.
    pub(crate) fn allocate(&mut self) -> Result<Ipv4Addr, Error> {
        while self.next < POD_NETS * HOSTS {
            let ip = self.nth(self.next);
            self.next += 1;
            if self.in_use.insert(ip) {
                return Ok(ip);
            }
        }
        while let Some(ip) = self.freed.pop_front() {
            if self.in_use.insert(ip) {
                return Ok(ip);
            }
        }
        Err(Error::AddressesExhausted {
            capacity: usize::from(POD_NETS * HOSTS),
        })
    }

    /// Takes exactly this address. `false`: a living pod has it.
    pub(crate) fn claim(&mut self, ip: Ipv4Addr) -> Result<bool, Error> {
        let [first, second, third, host] = ip.octets();
        if first != 127 || second != self.second || third == 0 || host == 0 || host == 255 {
            return Err(Error::OutsideBlock {
                ip,
                range: format!("127.{0}.1.1 to 127.{0}.255.254", self.second),
            });
        }
        Ok(self.in_use.insert(ip))
    }

    pub(crate) fn release(&mut self, ip: Ipv4Addr) {
        if self.in_use.remove(&ip) {
            self.freed.push_back(ip);
        }
    }

    fn nth(&self, index: u16) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, (1 + index / HOSTS) as u8, (1 + index % HOSTS) as u8)
    }
}

/// The address a pod has in DNS besides its IPv4 one, in a dual-stack cluster.
///
/// WHY: the IPv6 loopback is a single address (::1), so there is nothing to listen on. The record
/// is real, the address is not: connecting to it fails, as for a client with a broken IPv6 path.
pub(crate) fn fictional_v6(ip: Ipv4Addr) -> Ipv6Addr {
    let [_, second, third, host] = ip.octets().map(u16::from);
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, second, third, host)
}

/// A listening socket that a task can take over. Needs a tokio runtime.
pub(crate) fn listen(addr: SocketAddr, what: impl FnOnce() -> String) -> Result<tokio::net::TcpListener, Error> {
    const BACKLOG: u32 = 1024;
    let bind = || {
        let socket = tokio::net::TcpSocket::new_v4()?;
        // WHY: a pod on a reused address must not wait for the TIME_WAIT of the one before.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|source| Error::Bind {
        what: what(),
        addr,
        source,
    })
}

fn server_ip(second: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, second, 0, 53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_exclusive_while_held() {
        let first = AddressBlock::reserve(1).unwrap();
        let second = AddressBlock::reserve(1).unwrap();
        assert_ne!(first.server_ip(), second.server_ip());
    }

    #[test]
    fn addresses_are_new_until_the_block_is_used_up() {
        let mut block = AddressBlock::reserve(2).unwrap();
        let first = block.allocate().unwrap();
        block.release(first);
        let mut seen = HashSet::from([first]);
        for _ in 1..POD_NETS * HOSTS {
            assert!(seen.insert(block.allocate().unwrap()));
        }
        assert_eq!(block.allocate().unwrap(), first);
        assert!(matches!(block.allocate(), Err(Error::AddressesExhausted { .. })));
    }

    #[test]
    fn a_claimed_address_is_not_given_to_another_pod() {
        let mut block = AddressBlock::reserve(3).unwrap();
        let ip = block.nth(0);
        assert!(block.claim(ip).unwrap());
        assert!(!block.claim(ip).unwrap());
        assert_ne!(block.allocate().unwrap(), ip);
        assert!(matches!(
            block.claim(Ipv4Addr::LOCALHOST),
            Err(Error::OutsideBlock { .. })
        ));
    }
}
