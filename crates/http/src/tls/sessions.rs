//! [`Sessions`]: what is remembered of each endpoint, so that the next connection to it needs no
//! full handshake; and whether it asks for a client certificate.
//!
//! rustls remembers by the server's name, which all endpoints share: a ticket of one would be
//! offered to the next. So each endpoint has a store of its own. As with all of TLS, a resumed
//! session does not show the certificate again. There is no early data: nothing is sent before the
//! handshake is over, so nothing can be replayed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use headless::EndpointKey;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;

use super::client_auth::ClientAuth;

use crate::sync::lock;

/// The configuration for each endpoint, which differs in its session store only. Those of the
/// endpoints connected to last are kept.
pub(crate) struct Sessions {
    config: ClientConfig,
    resumes: bool,
    limit: usize,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    configs: HashMap<EndpointKey, Entry>,
    connects: u64,
}

struct Entry {
    session: Session,
    last_connect: u64,
}

/// What one connection to an endpoint begins with.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) config: Arc<ClientConfig>,
    pub(super) client_auth: Arc<ClientAuth>,
}

impl Sessions {
    /// Each handshake is a full one unless it `resumes`.
    pub(crate) fn new(config: ClientConfig, resumes: bool) -> Self {
        Self {
            config,
            resumes,
            limit: MAX_ENDPOINTS,
            recent: Mutex::default(),
        }
    }

    /// Returns what one connection to `endpoint` begins with.
    pub(super) fn of(&self, endpoint: &EndpointKey) -> Session {
        let mut recent = lock(&self.recent);
        recent.connects += 1;
        let last_connect = recent.connects;
        if let Some(entry) = recent.configs.get_mut(endpoint) {
            entry.last_connect = last_connect;
            return entry.session.clone();
        }
        if recent.configs.len() >= self.limit {
            // Comparing them costs far less than the full handshake that follows.
            let oldest = recent.configs.iter().min_by_key(|(_, entry)| entry.last_connect);
            if let Some(oldest) = oldest.map(|(endpoint, _)| endpoint.clone()) {
                recent.configs.remove(&oldest);
            }
        }
        let mut config = self.config.clone();
        config.resumption = match self.resumes {
            true => Resumption::in_memory_sessions(1),
            false => Resumption::disabled(),
        };
        let client_auth = Arc::new(ClientAuth::new(Arc::clone(&config.client_auth_cert_resolver)));
        config.client_auth_cert_resolver = Arc::<ClientAuth>::clone(&client_auth);
        let session = Session {
            config: Arc::new(config),
            client_auth,
        };
        let entry = Entry {
            session: session.clone(),
            last_connect,
        };
        recent.configs.insert(endpoint.clone(), entry);
        session
    }
}

/// A few kB each. Beyond, the endpoint that was connected to longest ago gets a full handshake.
const MAX_ENDPOINTS: usize = 1024;

#[cfg(test)]
mod tests {
    use headless::{Endpoint, Tls, TlsProvider};
    use tokio_rustls::rustls::RootCertStore;

    use super::*;
    use crate::tls::provider;

    #[test]
    fn each_endpoint_has_its_own_store_and_the_oldest_is_forgotten() {
        let tls = Tls::with_system_roots().provider(TlsProvider::Ring);
        let config = ClientConfig::builder_with_provider(Arc::new(provider(&tls).unwrap()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(RootCertStore::empty());
        let sessions = Sessions {
            limit: 2,
            ..Sessions::new(config.with_no_client_auth(), true)
        };
        let [a, b, c] = [1, 2, 3].map(|port| Endpoint::new(([10, 0, 0, 1], port).into()));
        let config = |endpoint: &Endpoint| sessions.of(endpoint.key()).config;
        let first = [config(&a), config(&b)];
        assert!(!Arc::ptr_eq(&first[0], &first[1]));
        assert!(Arc::ptr_eq(&first[0], &config(&a)));
        config(&c);
        assert_eq!(sessions.recent.lock().unwrap().configs.len(), 2);
        assert!(Arc::ptr_eq(&first[0], &config(&a)), "connected to later than b");
        assert!(!Arc::ptr_eq(&first[1], &config(&b)));
    }
}
