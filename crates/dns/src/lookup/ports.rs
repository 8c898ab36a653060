//! Whether the given port is one that the pods publish. DNS does not translate it, so a Service's
//! port in place of the container's leads to refused connections.

use std::collections::BTreeSet;
use std::mem;
use std::num::NonZeroU16;

use super::Lookup;
use crate::records::{Kind, LookupError, Question, Records};
use crate::{explain, srv};

/// Ports that the pods publish in place of the given one.
#[derive(Debug)]
pub(super) struct OtherPorts {
    given: NonZeroU16,
    listed: BTreeSet<u16>,
    name_asked: bool,
    /// The first that has a usual name, and that name.
    named: Option<(u16, &'static str)>,
}

impl Lookup {
    /// Remembers, and warns once, if the given port is none of the listed ports: it is likely the
    /// Service's port, and not the container's. The next lookup, which comes soon if connections
    /// fail, asks for the port's name.
    pub(super) async fn compare_ports(&self, given: NonZeroU16, records: &Records) {
        let mut listed = srv::ports(records);
        listed.remove(&0);
        if listed.is_empty() || listed.contains(&given.get()) {
            self.memory().other_ports = None;
            return;
        }
        match &mut self.memory().other_ports {
            Some(known) if known.listed == listed => {
                if mem::replace(&mut known.name_asked, true) {
                    return;
                }
            }
            other => {
                tracing::warn!(
                    service = %self.params.service, given = given.get(), ?listed,
                    "the port given is none of those that the pods publish; a headless Service needs the container's \
                     port (targetPort)"
                );
                *other = Some(OtherPorts {
                    given,
                    listed,
                    name_asked: false,
                    named: None,
                });
                return;
            }
        }
        let named = self.usual_name_of(&listed).await;
        if let Some(known) = &mut self.memory().other_ports {
            known.named = named;
        }
    }

    /// Finds the name of one of these ports, if it has a usual one: DNS tells the port of a name,
    /// and not the name of a port.
    async fn usual_name_of(&self, listed: &BTreeSet<u16>) -> Option<(u16, &'static str)> {
        for name in USUAL_NAMES {
            let question = Question::new(Kind::Srv, self.params.service.srv_fqdn(name));
            match self.srv(&question).await {
                Ok(records) => {
                    let ports = srv::ports(&records);
                    if let Some(port) = ports.intersection(listed).next() {
                        return Some((*port, name));
                    }
                }
                Err(LookupError::Negative(_)) => {}
                Err(LookupError::Truncated | LookupError::Failed(_)) => return None,
            }
        }
        None
    }

    /// Returns what may explain why the pods cannot be connected to.
    pub(crate) fn hint(&self) -> Option<String> {
        let memory = self.memory();
        let OtherPorts {
            given, listed, named, ..
        } = memory.other_ports.as_ref()?;
        Some(explain::other_ports(&self.params, *given, listed, *named))
    }
}

/// How ports of HTTP and gRPC are named in most Services.
const USUAL_NAMES: [&str; 4] = ["http", "https", "grpc", "web"];
