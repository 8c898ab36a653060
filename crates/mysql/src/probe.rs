//! [`Probe`]: asks one pod again and again for its role and position, on a connection of its own,
//! and reports what it answers. What follows from it is `monitor.rs`.
//!
//! A connection of its own, because a pod whose pool is busy must be probed all the same.

use std::sync::Arc;
use std::time::Duration;

use headless::{Endpoint, EndpointKey, Timestamp};
use mysql_async::Conn;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

use crate::connector::{Connector, ConnectorError};
use crate::roles::Sample;
use crate::server::{Greeting, Questions, privileges};
use crate::statement::Dialect;

/// One probe of a pod.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) pod: EndpointKey,
    /// `Err`: why it did not answer.
    pub(crate) answer: Result<Answer, String>,
}

/// What a pod answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) sample: Sample,
    pub(crate) dialect: Dialect,
    /// What the account may do that it should not.
    pub(crate) privileged: Option<String>,
}

/// The task that probes one pod.
pub(crate) struct Probe {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) connector: Connector,
    pub(crate) zero: Instant,
    pub(crate) interval: Duration,
    pub(crate) limit: Duration,
    /// The pod has to be probed now.
    pub(crate) probe_now: Arc<Notify>,
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
    /// Runs until its reports are no longer received.
    pub(crate) async fn run(self) {
        let mut contact = None;
        loop {
            // Armed before the probe: a request that comes while it runs asks for another one.
            let again = self.probe_now.notified();
            tokio::pin!(again);
            again.as_mut().enable();
            let answer = self.probe(&mut contact).await;
            if answer.is_err() {
                contact = None;
            }
            let pod = self.endpoint.key().clone();
            if self.reports.send(Observation { pod, answer }).await.is_err() {
                return;
            }
            let _woken = timeout(self.interval, again).await;
        }
    }

    async fn probe(&self, contact: &mut Option<Contact>) -> Result<Answer, String> {
        if contact.is_none() {
            // A connection takes several exchanges; each of them may take as long as one probe.
            let opened = timeout(self.limit * EXCHANGES, self.open()).await;
            *contact = Some(opened.map_err(|_| self.no_answer())??);
        }
        let Some(contact) = contact else {
            return Err(self.no_answer());
        };
        let now = || Timestamp::from_elapsed(self.zero.elapsed());
        let asked = timeout(self.limit, contact.questions.ask(&mut contact.conn, now)).await;
        match asked {
            Ok(Ok(sample)) => Ok(Answer {
                sample,
                dialect: contact.dialect,
                privileged: contact.privileged.clone(),
            }),
            Ok(Err(error)) => Err(ConnectorError::from_driver(error).to_string()),
            Err(_elapsed) => Err(self.no_answer()),
        }
    }

    async fn open(&self) -> Result<Contact, String> {
        let described = |error: mysql_async::Error| ConnectorError::from_driver(error).to_string();
        let mut conn = self
            .connector
            .open(&self.endpoint)
            .await
            .map_err(|error| error.to_string())?;
        let greeting = Greeting::ask(&mut conn).await.map_err(described)?;
        let questions = Questions::probe(&mut conn).await.map_err(described)?;
        let privileged = privileges(&mut conn).await.map_err(described)?;
        Ok(Contact {
            conn,
            questions,
            dialect: greeting.dialect(),
            privileged,
        })
    }

    fn no_answer(&self) -> String {
        format!("no answer within {:?}", self.limit)
    }
}

/// Handshake, authentication, settings, and the probe's own questions.
const EXCHANGES: u32 = 4;
