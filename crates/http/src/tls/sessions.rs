//! [`Sessions`]: what is remembered of each pod, so that the next connection to it needs no full handshake.
//!
//! rustls remembers by the server's name, which all pods share; a ticket of one pod would be offered to the next. So each pod has a
//! store of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use headless_core::EndpointKey;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;

/// The configuration for each pod: the same for all but for its store. Those of the pods dialled last are kept.
pub(crate) struct Sessions {
    config: ClientConfig,
    limit: usize,
    pods: Mutex<Pods>,
}

#[derive(Default)]
struct Pods {
    /// With the dial that asked for it last.
    known: HashMap<EndpointKey, (u64, Arc<ClientConfig>)>,
    dials: u64,
}

impl Sessions {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            config,
            limit: MAX_PODS,
            pods: Mutex::default(),
        }
    }

    /// The configuration for one dial.
    pub(crate) fn of(&self, pod: &EndpointKey) -> Arc<ClientConfig> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.dials += 1;
        let dial = pods.dials;
        if let Some((last, config)) = pods.known.get_mut(pod) {
            *last = dial;
            return Arc::clone(config);
        }
        if pods.known.len() >= self.limit {
            // A look at each is far less than the full handshake that follows.
            let oldest = pods.known.iter().min_by_key(|(_, (last, _))| *last);
            if let Some(pod) = oldest.map(|(pod, _)| pod.clone()) {
                pods.known.remove(&pod);
            }
        }
        let mut config = self.config.clone();
        config.resumption = Resumption::in_memory_sessions(1);
        let config = Arc::new(config);
        pods.known.insert(pod.clone(), (dial, Arc::clone(&config)));
        config
    }
}

/// A few kB each. Beyond, the pod that was dialled longest ago gets a full handshake.
const MAX_PODS: usize = 1024;

#[cfg(test)]
mod tests {
    use headless_core::Endpoint;
    use tokio_rustls::rustls::RootCertStore;

    use super::*;
    use crate::tls::provider;

    #[test]
    fn each_pod_has_its_own_store_and_the_oldest_is_forgotten() {
        let config = ClientConfig::builder_with_provider(provider());
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(RootCertStore::empty());
        let sessions = Sessions {
            limit: 2,
            ..Sessions::new(config.with_no_client_auth())
        };
        let [a, b, c] = [1, 2, 3].map(|port| Endpoint::new(([10, 0, 0, 1], port).into()));
        let first = [sessions.of(a.key()), sessions.of(b.key())];
        assert!(!Arc::ptr_eq(&first[0], &first[1]));
        assert!(Arc::ptr_eq(&first[0], &sessions.of(a.key())));
        sessions.of(c.key());
        assert_eq!(sessions.pods.lock().unwrap().known.len(), 2);
        assert!(Arc::ptr_eq(&first[0], &sessions.of(a.key())), "dialled later than b");
        assert!(!Arc::ptr_eq(&first[1], &sessions.of(b.key())));
    }
}
