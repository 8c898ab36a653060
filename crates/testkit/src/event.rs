//! What happens in the cluster, as a stream of events that tests wait for instead of sleeping.
//!
//! Must not live here: the causes of events.

use std::{net::Ipv4Addr, sync::Mutex, time::Duration};

use tokio::sync::mpsc;

use crate::{dns::Query, error::Error, lock::lock};

/// Bound of every wait in this crate. A test that reaches it gets an error that says what did not
/// happen.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// A change in the cluster, or a DNS query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A pod has an address and its process listens. It is not ready yet.
    PodStarted(PodRef),
    /// A pod became ready: from now on DNS lists it.
    PodReady(PodRef),
    /// A pod stopped being ready but goes on: DNS no longer lists it.
    PodUnready(PodRef),
    /// A pod's process died. DNS lists it until it is removed.
    PodCrashed(PodRef),
    /// A pod's deletion began: DNS no longer lists it, and it still serves.
    PodTerminating(PodRef),
    /// A pod got its SIGTERM after the pre-stop wait: it finishes what it has.
    PodDraining(PodRef),
    /// A pod's last socket is closed and its address is free.
    PodGone(PodRef),
    /// The DNS server received a query.
    DnsQuery(Query),
}

/// The pod of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PodRef {
    /// The pod's name.
    pub name: String,
    /// The pod's address.
    pub ip: Ipv4Addr,
    /// Different for each pod ever started, also for two pods of the same name.
    pub uid: u64,
}

impl Event {
    /// Returns the pod of the event; `None` for a DNS query.
    pub fn pod(&self) -> Option<&PodRef> {
        match self {
            Self::PodStarted(pod)
            | Self::PodReady(pod)
            | Self::PodUnready(pod)
            | Self::PodCrashed(pod)
            | Self::PodTerminating(pod)
            | Self::PodDraining(pod)
            | Self::PodGone(pod) => Some(pod),
            Self::DnsQuery(_) => None,
        }
    }
}

/// A subscription: every event since it was made, in order, none lost.
///
/// Unread events are kept in memory, so drop a subscription that is no longer read.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::UnboundedReceiver<Event>,
}

impl Events {
    /// Returns the next event; `None` when the cluster was dropped and all its events were read.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// Reads events up to the first one that `wanted` accepts. `what` names it in the error text.
    ///
    /// # Errors
    /// [`Error::NotSeen`] after 10 s, [`Error::Stopped`] when the cluster is dropped.
    ///
    /// # Cancel safety
    /// Events read before the cancellation are gone.
    pub async fn until(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> bool) -> Result<Event, Error> {
        let find = async {
            while let Some(event) = self.receiver.recv().await {
                if wanted(&event) {
                    return Ok(event);
                }
            }
            Err(Error::Stopped)
        };
        with_timeout(|| what.to_owned(), find).await
    }
}

/// The sending side: one queue per subscriber.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    senders: Mutex<Vec<mpsc::UnboundedSender<Event>>>,
}

impl Hub {
    pub(crate) fn subscribe(&self) -> Events {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.senders).push(sender);
        Events { receiver }
    }

    pub(crate) fn send(&self, event: impl FnOnce() -> Event) {
        let mut senders = lock(&self.senders);
        if senders.is_empty() {
            return;
        }
        let event = event();
        senders.retain(|sender| sender.send(event.clone()).is_ok());
    }

    /// Ends all subscriptions.
    pub(crate) fn close(&self) {
        lock(&self.senders).clear();
    }
}

/// Waits for `future` for at most [`WAIT_LIMIT`].
pub(crate) async fn with_timeout<T>(
    what: impl FnOnce() -> String,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(WAIT_LIMIT, future).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::NotSeen {
            what: what(),
            waited: WAIT_LIMIT,
        }),
    }
}
