//! The cluster's DNS: its answers (`zone`), their encoding (`wire`), its faults, and its query log.
//!
//! Must not live here: which pods are ready; `registry` makes a `zone::Zone` of them whenever
//! something changed.

mod cache;
pub(crate) mod endpoint;
mod log;
mod question;
mod record;
mod responder;
mod server;
mod wire;
pub(crate) mod zone;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use self::{
    log::{Query, Transport},
    record::RecordType,
    zone::BareSrv,
};
pub(crate) use self::{responder::Responder, server::Sockets};
use crate::{error::Error, event::with_timeout, fault::FaultRule};

/// Handle to the cluster's DNS server: faults, the cache's clock, and the query log.
#[derive(Clone, Debug)]
pub struct Dns {
    responder: Arc<Responder>,
}

/// The id of a fault, for [`remove`](Dns::remove).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

impl Dns {
    pub(crate) fn new(responder: Arc<Responder>) -> Self {
        Self { responder }
    }

    /// Adds a fault for matching queries from now on. The oldest rule that matches applies; delays
    /// add up.
    ///
    /// ```
    /// # use headless_testkit::{Cluster, Fault, RecordType};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), headless_testkit::Error> {
    /// # let cluster = Cluster::builder().start().await?;
    /// cluster.dns().fail(Fault::ServFail.on_type(RecordType::Srv).times(3));
    /// let silence = cluster.dns().fail(Fault::Drop);
    /// cluster.dns().remove(silence);
    /// # Ok(()) }
    /// ```
    pub fn fail(&self, rule: impl Into<FaultRule>) -> FaultId {
        let mut state = self.responder.state();
        state.next_rule += 1;
        let id = state.next_rule;
        state.rules.push((id, rule.into()));
        FaultId(id)
    }

    /// Ends one fault. Returns `false` if it had already ended.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut state = self.responder.state();
        let before = state.rules.len();
        state.rules.retain(|rule| rule.0 != id.0);
        state.rules.len() < before
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.responder.state().rules.clear();
    }

    /// Answers from the cluster's current state until [`thaw`](Self::thaw): a name server without
    /// updates from the API server.
    pub fn freeze(&self) {
        let zone = self.responder.registry.zone();
        self.responder.state().frozen = Some(zone);
    }

    /// Ends [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.responder.state().frozen = None;
    }

    /// Advances the cache's clock, so that cached answers age without waiting.
    ///
    /// Without [`ClusterBuilder::dns_cache`](crate::ClusterBuilder::dns_cache) there is no cache,
    /// and nothing happens.
    pub fn age_cache(&self, by: Duration) {
        if let Some(cache) = &mut self.responder.state().cache {
            cache.advance(by);
        }
    }

    /// Removes all cached answers.
    pub fn flush_cache(&self) {
        if let Some(cache) = &mut self.responder.state().cache {
            cache.clear();
        }
    }

    /// Returns the last 10,000 queries, oldest first.
    pub fn queries(&self) -> Vec<Query> {
        self.responder.state().log.recent()
    }

    /// Returns how often each (name, type, transport) was queried.
    pub fn counts(&self) -> BTreeMap<Query, u64> {
        self.responder.state().log.counts()
    }

    /// Returns the number of queries so far that `wanted` accepts.
    pub fn count(&self, wanted: impl Fn(&Query) -> bool) -> u64 {
        self.responder.state().log.count(wanted)
    }

    /// Returns the number of queries so far for this name and type, over UDP and TCP.
    pub fn count_of(&self, name: &str, rtype: RecordType) -> u64 {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.count(|query| query.name == name && query.rtype == rtype)
    }

    /// Returns the number of queries so far.
    pub fn total(&self) -> u64 {
        *self.responder.arrived.borrow()
    }

    /// Waits until at least `count` queries have arrived in total: `total() + 1` waits for the next
    /// one.
    ///
    /// # Errors
    /// [`Error::NotSeen`] after 10 s.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_total(&self, count: u64) -> Result<(), Error> {
        let mut arrived = self.responder.arrived.subscribe();
        let reached = async {
            let waited = arrived.wait_for(|so_far| *so_far >= count).await;
            waited.map(|_| ()).map_err(|_| Error::Stopped)
        };
        let so_far = self.total();
        with_timeout(|| format!("DNS query {count} ({so_far} so far)"), reached).await
    }

    /// Waits until at least `count` queries that `wanted` accepts have arrived in total.
    ///
    /// # Errors
    /// [`Error::NotSeen`] after 10 s.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_count(&self, count: u64, wanted: impl Fn(&Query) -> bool) -> Result<(), Error> {
        let mut arrived = self.responder.arrived.subscribe();
        // WHY not `wait_for`: its closure would take the log's lock while it holds the watch's, and
        // the server takes them in the other order.
        let reached = async {
            while self.count(&wanted) < count {
                arrived.changed().await.map_err(|_| Error::Stopped)?;
            }
            Ok(())
        };
        with_timeout(|| format!("{count} DNS queries of a kind"), reached).await
    }
}
