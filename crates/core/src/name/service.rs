//! [`ServiceName`]: the full name of a Service, and the DNS names below it.

use std::fmt;

use super::{Label, MAX_NAME, NameError, PodName, check_domain, check_label};

/// The full name of a Service: `web.shop.svc.cluster.local`.
///
/// ```
/// # use headless_core as headless;
/// use headless::{PodName, Port, ServiceName};
///
/// let web = ServiceName::new("web", "shop", "cluster.local")?;
/// assert_eq!(web.fqdn(), "web.shop.svc.cluster.local.", "absolute: no search list, one query");
/// assert_eq!(web.srv_fqdn("http"), "_http._tcp.web.shop.svc.cluster.local.");
/// assert_eq!(web.pod_fqdn(&"web-0".parse()?), "web-0.web.shop.svc.cluster.local.");
/// # Ok::<(), headless::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName {
    service: Box<str>,
    namespace: Box<str>,
    zone: Box<str>,
}

impl ServiceName {
    /// Returns the name made of these parts, which are checked and folded to lower case.
    ///
    /// # Errors
    /// [`NameError`] if `service` or `namespace` is not a Kubernetes label, `zone` is not a domain,
    /// or the whole is longer than 253 characters.
    pub fn new(service: &str, namespace: &str, zone: &str) -> Result<Self, NameError> {
        let whole = format!("{service}.{namespace}.svc.{zone}");
        let fail = |problem: String| NameError {
            what: "service",
            input: whole.clone(),
            problem,
        };
        let (service, namespace) = (service.to_ascii_lowercase(), namespace.to_ascii_lowercase());
        let zone = zone.strip_suffix('.').unwrap_or(zone).to_ascii_lowercase();
        check_label(&service, Label::Dns1035).map_err(&fail)?;
        check_label(&namespace, Label::Dns1123).map_err(&fail)?;
        check_domain(&zone).map_err(&fail)?;
        if whole.len() > MAX_NAME {
            return Err(fail(format!(
                "it has {} characters, DNS allows {MAX_NAME}",
                whole.len()
            )));
        }
        Ok(Self {
            service: service.into(),
            namespace: namespace.into(),
            zone: zone.into(),
        })
    }

    /// Returns the Service's own name, the first label.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the namespace of the Service.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the cluster domain, without a trailing dot.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Returns the absolute DNS name, with its trailing dot: the owner of the pods' A and AAAA
    /// records.
    #[must_use]
    pub fn fqdn(&self) -> String {
        format!("{self}.")
    }

    /// Returns the absolute name of the SRV records of a named TCP port.
    #[must_use]
    pub fn srv_fqdn(&self, port_name: &str) -> String {
        format!("_{port_name}._tcp.{self}.")
    }

    /// Returns the absolute DNS name of one pod under this Service.
    #[must_use]
    pub fn pod_fqdn(&self, pod: &PodName) -> String {
        format!("{pod}.{self}.")
    }

    /// Returns the pod's name, if `fqdn` is the name of a pod under this Service: one label,
    /// followed by the Service's name. Case is ignored.
    #[must_use]
    pub fn pod_of(&self, fqdn: &str) -> Option<PodName> {
        let fqdn = fqdn.strip_suffix('.').unwrap_or(fqdn).to_ascii_lowercase();
        let (pod, service) = fqdn.split_once('.')?;
        if service != self.to_string() {
            return None;
        }
        pod.parse().ok()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.svc.{}", self.service, self.namespace, self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_belongs_to_its_service_only() {
        let web = ServiceName::new("web", "shop", "cluster.local").unwrap();
        assert_eq!(
            web.pod_of("Web-0.WEB.shop.svc.cluster.local.").unwrap().as_str(),
            "web-0"
        );
        assert_eq!(web.pod_of("web-0.other.shop.svc.cluster.local."), None);
        assert_eq!(web.pod_of("a.web-0.web.shop.svc.cluster.local."), None);
        assert_eq!(web.pod_of("web.shop.svc.cluster.local."), None);
    }
}
