//! [`Probe`]: looks at one pod again and again, on a connection of its own, and reports what it sees. What follows from it is
//! `monitor.rs`.
//!
//! A connection of its own, because a pod whose pool is busy must be looked at all the same.

use std::sync::Arc;
use std::time::Duration;

use headless::{Endpoint, EndpointKey};
use headless_core::Timestamp;
use mysql_async::Conn;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

use crate::connector::{Connector, ConnectorError};
use crate::roles::Sample;
use crate::server::{Greeting, Questions, privileges};
use crate::statement::Dialect;

/// What was seen of a pod.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) pod: EndpointKey,
    pub(crate) seen: Result<Answer, String>,
}

/// What a pod answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) sample: Sample,
    pub(crate) dialect: Dialect,
    /// What the account may do that it should not.
    pub(crate) privileged: Option<String>,
}

/// Looks at one pod.
pub(crate) struct Probe {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) connector: Connector,
    pub(crate) zero: Instant,
    pub(crate) interval: Duration,
    pub(crate) limit: Duration,
    /// Somebody wants to know now.
    pub(crate) look_again: Arc<Notify>,
    pub(crate) reports: mpsc::Sender<Observation>,
}

/// A pod that answers.
struct Contact {
    conn: Conn,
    questions: Questions,
    dialect: Dialect,
    privileged: Option<String>,
}

impl Probe {
    /// Runs until nobody listens any more.
    pub(crate) async fn run(self) {
        let mut contact = None;
        loop {
            // Armed before the look: who asks while it runs wants another one.
            let again = self.look_again.notified();
            tokio::pin!(again);
            again.as_mut().enable();
            let seen = self.look(&mut contact).await;
            if seen.is_err() {
                contact = None;
            }
            let pod = self.endpoint.key().clone();
            if self.reports.send(Observation { pod, seen }).await.is_err() {
                return;
            }
            let _woken = timeout(self.interval, again).await;
        }
    }

    async fn look(&self, contact: &mut Option<Contact>) -> Result<Answer, String> {
        if contact.is_none() {
            // A connection takes several exchanges; each of them may take as long as one look.
            let opened = timeout(self.limit * EXCHANGES, self.open()).await;
            *contact = Some(opened.map_err(|_| self.silent())??);
        }
        let Some(contact) = contact else {
            return Err(self.silent());
        };
        let now = || Timestamp::from_elapsed(self.zero.elapsed());
        let asked = timeout(self.limit, contact.questions.ask(&mut contact.conn, now)).await;
        match asked {
            Ok(Ok(sample)) => Ok(Answer {
                sample,
                dialect: contact.dialect,
                privileged: contact.privileged.clone(),
            }),
            Ok(Err(error)) => Err(ConnectorError::from(error).to_string()),
            Err(_elapsed) => Err(self.silent()),
        }
    }

    async fn open(&self) -> Result<Contact, String> {
        let said = |error: mysql_async::Error| ConnectorError::from(error).to_string();
        let mut conn = self
            .connector
            .dial(&self.endpoint)
            .await
            .map_err(|error| error.to_string())?;
        let greeting = Greeting::ask(&mut conn).await.map_err(said)?;
        let questions = Questions::probe(&mut conn).await.map_err(said)?;
        let privileged = privileges(&mut conn).await.map_err(said)?;
        Ok(Contact {
            conn,
            questions,
            dialect: greeting.dialect(),
            privileged,
        })
    }

    fn silent(&self) -> String {
        format!("no answer within {:?}", self.limit)
    }
}

/// Handshake, authentication, settings, and the probe's own questions.
const EXCHANGES: u32 = 4;
