//! [`Naming`] and [`Plan`]: the strategies for one target, in order. They are followed in
//! `lookup.rs`.
//!
//! Source: the Kubernetes DNS specification 1.1.0 for what each server answers, CoreDNS for what
//! most servers do.

use std::num::NonZeroU16;

use headless_core::{FoundBy, Port};

use crate::ConfigError;

/// How the pods' names are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Naming {
    /// The best way that the DNS server offers, found at run time. The default.
    #[default]
    Auto,
    /// SRV of the named port. Needs a port *name*.
    NamedPort,
    /// SRV at the Service's own name: CoreDNS and kube-dns. Needs a port number, or a Service with
    /// one port.
    ServiceSrv,
    /// A/AAAA of the Service, and of each `<set>-<k>` below it. Needs a port number and the
    /// StatefulSet's name.
    PodNames,
    /// A/AAAA of the Service, and the PTR of each address, confirmed by a forward lookup. Needs a
    /// port number.
    Reverse,
    /// A/AAAA of the Service only: addresses without names and ordinals. Needs a port number.
    Addresses,
}

/// The first question for a target, and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// SRV `_name._tcp.<service>`, without a fallback: A records know no port names.
    NamedPort(Box<str>),
    /// SRV `<service>`. The port is the only port of the Service.
    OnlyPort,
    /// SRV `<service>` for the names, with the given port. The fallback is addresses that are named
    /// in another way, unless the strategy is forced.
    ServiceSrv {
        port: NonZeroU16,
        fallback: Option<NameSource>,
    },
    /// A/AAAA from the start.
    Addresses { port: NonZeroU16, names: NameSource },
}

/// How addresses get their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSource {
    PodNames,
    Reverse,
    None,
}

impl NameSource {
    pub(crate) fn found_by(self) -> FoundBy {
        match self {
            Self::PodNames => FoundBy::PodNames,
            Self::Reverse => FoundBy::Reverse,
            Self::None => FoundBy::Addresses,
        }
    }
}

impl Plan {
    pub(crate) fn new(target: &str, port: Option<&Port>, naming: Naming, has_set: bool) -> Result<Self, ConfigError> {
        let wrong = |problem: String| ConfigError::Port {
            target: target.to_owned(),
            problem,
        };
        let number = || match port {
            Some(Port::Number(number)) => Ok(*number),
            Some(name) => Err(wrong(format!(
                "{naming:?} asks for A and AAAA records, which have no ports, so the port name `{name}` cannot be \
                 found there; give the container's port number, or leave the naming to Naming::Auto"
            ))),
            None => Err(wrong(format!(
                "{naming:?} asks for A and AAAA records, which have no ports; add the container's port number, `:8080`"
            ))),
        };
        match naming {
            Naming::Auto => Ok(match port {
                Some(Port::Number(port)) => Self::ServiceSrv {
                    port: *port,
                    fallback: Some(if has_set {
                        NameSource::PodNames
                    } else {
                        NameSource::Reverse
                    }),
                },
                Some(name) => Self::NamedPort(name.to_string().into()),
                None => Self::OnlyPort,
            }),
            Naming::NamedPort => match port {
                Some(Port::Number(number)) => Err(wrong(format!(
                    "a numeric port where a name is needed: {naming:?} asks SRV `_name._tcp`; write the port's name \
                     from the Service's spec.ports in place of `{number}`, or leave the naming to Naming::Auto"
                ))),
                Some(name) => Ok(Self::NamedPort(name.to_string().into())),
                None => Err(wrong(format!(
                    "{naming:?} needs the port's name from the Service's spec.ports; add it, `:http`"
                ))),
            },
            Naming::ServiceSrv => match port {
                Some(Port::Number(port)) => Ok(Self::ServiceSrv {
                    port: *port,
                    fallback: None,
                }),
                Some(name) => Err(wrong(format!(
                    "SRV records at the Service's own name do not tell which port is `{name}`; give the container's \
                     port number, or leave the naming to Naming::Auto"
                ))),
                None => Ok(Self::OnlyPort),
            },
            Naming::PodNames if !has_set => Err(ConfigError::NoStatefulSet {
                target: target.to_owned(),
            }),
            Naming::PodNames => Ok(Self::Addresses {
                port: number()?,
                names: NameSource::PodNames,
            }),
            Naming::Reverse => Ok(Self::Addresses {
                port: number()?,
                names: NameSource::Reverse,
            }),
            Naming::Addresses => Ok(Self::Addresses {
                port: number()?,
                names: NameSource::None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(port: &str, naming: Naming, has_set: bool) -> Result<Plan, String> {
        let port = (!port.is_empty()).then(|| port.parse::<Port>().unwrap());
        Plan::new("web.shop", port.as_ref(), naming, has_set).map_err(|error| error.to_string())
    }

    #[test]
    fn the_port_chooses_the_first_strategy() {
        let port = NonZeroU16::new(8080).unwrap();
        assert_eq!(plan("http", Naming::Auto, false), Ok(Plan::NamedPort("http".into())));
        assert_eq!(plan("", Naming::Auto, true), Ok(Plan::OnlyPort));
        assert_eq!(
            plan("8080", Naming::Auto, false),
            Ok(Plan::ServiceSrv {
                port,
                fallback: Some(NameSource::Reverse)
            })
        );
        assert_eq!(
            plan("8080", Naming::Auto, true),
            Ok(Plan::ServiceSrv {
                port,
                fallback: Some(NameSource::PodNames)
            })
        );
    }

    #[test]
    fn a_forced_strategy_has_no_fallback() {
        let port = NonZeroU16::new(8080).unwrap();
        assert_eq!(
            plan("8080", Naming::ServiceSrv, true),
            Ok(Plan::ServiceSrv { port, fallback: None })
        );
        assert_eq!(plan("", Naming::ServiceSrv, true), Ok(Plan::OnlyPort));
        assert_eq!(
            plan("http", Naming::NamedPort, true),
            Ok(Plan::NamedPort("http".into()))
        );
        for (naming, names) in [
            (Naming::PodNames, NameSource::PodNames),
            (Naming::Reverse, NameSource::Reverse),
            (Naming::Addresses, NameSource::None),
        ] {
            assert_eq!(plan("8080", naming, true), Ok(Plan::Addresses { port, names }));
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        for (port, naming, says) in [
            ("8080", Naming::NamedPort, "a numeric port where a name is needed"),
            ("", Naming::NamedPort, "add it, `:http`"),
            ("http", Naming::ServiceSrv, "do not tell which port is `http`"),
            ("http", Naming::Reverse, "give the container's port number"),
            ("", Naming::Addresses, "add the container's port number"),
            ("8080", Naming::PodNames, "stateful_set"),
        ] {
            let error = plan(port, naming, false).unwrap_err();
            assert!(
                error.contains(says) && error.contains("web.shop"),
                "{naming:?} {port}: {error}"
            );
        }
    }
}
