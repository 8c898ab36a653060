//! The names a user writes and Kubernetes gives, parsed once: [`Target`], [`ServiceName`], [`PodName`], [`Ordinal`], [`Port`].
//!
//! A value of these types is valid; nothing downstream checks again. What must not live here: lookups, and the files of a pod that
//! tell its namespace (`headless-dns` reads them).
//!
//! Sources: Kubernetes DNS specification 1.1.0 (sections 2.3 and 2.4), RFC 1035 2.3.1 (labels), RFC 6335 5.1 (service names),
//! Kubernetes `IsDNS1035Label` / `IsDNS1123Label`.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// A Service and a port, as users write them: `web:http`, `web.shop:8080`, `web.shop.svc`, `web.shop.svc.cluster.local:http`.
///
/// What was left out is filled in by [`Target::in_cluster`]. Upper case is folded, a trailing dot is allowed.
///
/// ```
/// use headless_core::{Port, Target};
///
/// let target: Target = "web.shop.svc:http".parse()?;
/// assert_eq!(target.port(), Some(&Port::name("http")?));
/// assert_eq!(target.in_cluster("default", "cluster.local")?.to_string(), "web.shop.svc.cluster.local");
///
/// let wrong = "web.shop.scv:http".parse::<Target>().unwrap_err();
/// assert!(wrong.to_string().contains("the third label must be `svc`, found `scv`"));
/// # Ok::<(), headless_core::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    service: Box<str>,
    namespace: Option<Box<str>>,
    zone: Option<Box<str>>,
    port: Option<Port>,
}

impl Target {
    /// The Service's own name, the first label.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The namespace, if it was written.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The cluster domain, if it was written (`cluster.local` in most clusters).
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The port, if it was written.
    #[must_use]
    pub fn port(&self) -> Option<&Port> {
        self.port.as_ref()
    }

    /// The full name, with `namespace` and `zone` where the user wrote none.
    ///
    /// # Errors
    /// If `namespace` is not a label, `zone` is not a domain, or the whole is longer than DNS allows.
    pub fn in_cluster(&self, namespace: &str, zone: &str) -> Result<ServiceName, NameError> {
        ServiceName::new(
            &self.service,
            self.namespace().unwrap_or(namespace),
            self.zone().unwrap_or(zone),
        )
    }
}

impl FromStr for Target {
    type Err = NameError;

    fn from_str(input: &str) -> Result<Self, NameError> {
        let fail = |problem: String| NameError {
            what: "service",
            input: input.to_owned(),
            problem,
        };
        if input.contains("://") {
            return Err(fail("this is a URL; leave out the scheme and the path".to_owned()));
        }
        if input.parse::<IpAddr>().is_ok() || input.parse::<std::net::SocketAddr>().is_ok() {
            return Err(fail("this is an IP address; a Service has a name".to_owned()));
        }
        let (name, port) = match input.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse::<Port>()?)),
            None => (input, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let mut labels = name.splitn(4, '.');
        let service = labels.next().unwrap_or_default();
        check_label(service, Label::Dns1035).map_err(&fail)?;
        let namespace = labels.next();
        if let Some(namespace) = namespace {
            check_label(namespace, Label::Dns1123).map_err(&fail)?;
        }
        match labels.next() {
            None | Some("svc") => {}
            Some(other) if name.split('.').nth(3) == Some("svc") => {
                return Err(fail(format!(
                    "this is the name of one pod (`{service}` of Service `{}`); give the Service's name, `{}.{other}.svc`",
                    namespace.unwrap_or_default(),
                    namespace.unwrap_or_default(),
                )));
            }
            Some(other) => return Err(fail(format!("the third label must be `svc`, found `{other}`"))),
        }
        let zone = labels.next();
        if let Some(zone) = zone {
            check_domain(zone).map_err(&fail)?;
        }
        Ok(Self {
            service: service.into(),
            namespace: namespace.map(Into::into),
            zone: zone.map(Into::into),
            port,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.service)?;
        if let Some(namespace) = &self.namespace {
            write!(f, ".{namespace}")?;
        }
        if let Some(zone) = &self.zone {
            write!(f, ".svc.{zone}")?;
        }
        if let Some(port) = &self.port {
            write!(f, ":{port}")?;
        }
        Ok(())
    }
}

/// The full name of a Service: `web.shop.svc.cluster.local`.
///
/// ```
/// use headless_core::{PodName, Port, ServiceName};
///
/// let web = ServiceName::new("web", "shop", "cluster.local")?;
/// assert_eq!(web.fqdn(), "web.shop.svc.cluster.local.", "absolute: no search list, one query");
/// assert_eq!(web.srv_fqdn("http"), "_http._tcp.web.shop.svc.cluster.local.");
/// assert_eq!(web.pod_fqdn(&"web-0".parse()?), "web-0.web.shop.svc.cluster.local.");
/// # Ok::<(), headless_core::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName {
    service: Box<str>,
    namespace: Box<str>,
    zone: Box<str>,
}

impl ServiceName {
    /// A name from its parts; they are checked and folded to lower case.
    ///
    /// # Errors
    /// If `service` or `namespace` is not a Kubernetes label, `zone` is not a domain, or the whole is longer than 253 characters.
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

    /// The Service's own name, the first label.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The namespace it lives in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The cluster domain, without a trailing dot.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The absolute DNS name, with its trailing dot: the owner of the pods' A and AAAA records.
    #[must_use]
    pub fn fqdn(&self) -> String {
        format!("{self}.")
    }

    /// The absolute name of the SRV records of a named TCP port.
    #[must_use]
    pub fn srv_fqdn(&self, port_name: &str) -> String {
        format!("_{port_name}._tcp.{self}.")
    }

    /// The absolute DNS name of one pod under this Service.
    #[must_use]
    pub fn pod_fqdn(&self, pod: &PodName) -> String {
        format!("{pod}.{self}.")
    }

    /// The pod's name, if `fqdn` is the name of a pod under this Service: one label, then the Service. Case does not count.
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

/// A pod's host name under its Service, the first label of its DNS name: `web-0`, or `10-1-2-3` for a pod without a name of its own.
///
/// Cloning is a reference count. Ordered by set, then by ordinal *as a number*: `web-2` comes before `web-10`.
///
/// ```
/// use headless_core::{Ordinal, PodName};
///
/// let pod: PodName = "mysql-12".parse()?;
/// assert_eq!(pod.set(), Some("mysql"));
/// assert_eq!(pod.ordinal(), Some(Ordinal::new(12)));
/// assert!(pod > "mysql-2".parse()?);
/// assert_eq!("mysql-07".parse::<PodName>()?.ordinal(), None, "a StatefulSet never writes a leading zero");
/// # Ok::<(), headless_core::NameError>(())
/// ```
#[derive(Clone)]
pub struct PodName {
    name: Arc<str>,
    ordinal: Option<Ordinal>,
}

impl PodName {
    /// The whole label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The ordinal, if the name has the shape a StatefulSet gives: `<set>-<digits>`.
    ///
    /// The shape is no proof: an address written with dashes has it too ([`PodName::is_dashed`]), and about one in a thousand pod names
    /// of a Deployment. Whoever knows the StatefulSet's name compares [`PodName::set`] as well.
    #[must_use]
    pub fn ordinal(&self) -> Option<Ordinal> {
        self.ordinal
    }

    /// The StatefulSet's name, if the name has the shape a StatefulSet gives.
    #[must_use]
    pub fn set(&self) -> Option<&str> {
        self.ordinal.map(|_| self.stem())
    }

    /// Whether this is `ip` written with dashes, the name Kubernetes DNS invents for a pod without one: `10-1-2-3`, `fd00--1`.
    ///
    /// CoreDNS adds a `0` where the dashed IPv6 form would end in a dash (coredns#7431).
    #[must_use]
    pub fn is_dashed(&self, ip: IpAddr) -> bool {
        let mut dashed = match ip {
            IpAddr::V4(ip) => ip.to_string().replace('.', "-"),
            IpAddr::V6(ip) => ip.to_string().replace(':', "-"),
        };
        if dashed.ends_with('-') {
            dashed.push('0');
        }
        *self.name == *dashed
    }

    fn stem(&self) -> &str {
        match self.ordinal {
            Some(_) => self.name.rsplit_once('-').map_or(&*self.name, |(set, _)| set),
            None => &self.name,
        }
    }
}

impl FromStr for PodName {
    type Err = NameError;

    fn from_str(input: &str) -> Result<Self, NameError> {
        let name = input.to_ascii_lowercase();
        check_label(&name, Label::Dns1123).map_err(|problem| NameError {
            what: "pod",
            input: input.to_owned(),
            problem,
        })?;
        let ordinal = name
            .rsplit_once('-')
            .filter(|(set, _)| !set.is_empty())
            .and_then(|(_, digits)| digits.parse().ok());
        Ok(Self {
            name: name.into(),
            ordinal,
        })
    }
}

impl PartialEq for PodName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for PodName {}

impl std::hash::Hash for PodName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PartialOrd for PodName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PodName {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.stem(), self.ordinal).cmp(&(other.stem(), other.ordinal))
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The number of a StatefulSet's pod. Sets begin at 0 unless `spec.ordinals.start` says otherwise.
///
/// Gaps are normal (a pod that is not ready has no DNS record), so the number of pods is never inferred from the highest ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ordinal(u32);

impl Ordinal {
    /// Ordinal 0, where a default StatefulSet begins.
    pub const ZERO: Self = Self(0);

    /// The ordinal `number`.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Ordinal {
    type Err = NameError;

    /// Reads the digits as a StatefulSet writes them: no sign, no leading zero, at most `i32::MAX` (the API's type).
    fn from_str(digits: &str) -> Result<Self, NameError> {
        let fail = |problem: &str| NameError {
            what: "ordinal",
            input: digits.to_owned(),
            problem: problem.to_owned(),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("it must be digits only"));
        }
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(fail("it must not begin with a zero"));
        }
        let number: i32 = digits
            .parse()
            .map_err(|_| fail("it is larger than Kubernetes allows (2147483647)"))?;
        Ok(Self(number.unsigned_abs()))
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A port of the pods, by number or by the name the Service gives it.
///
/// The *name* is the better choice: one SRV query then gives names, addresses and ports of all pods, on every DNS server.
/// A *number* is the container's port (`targetPort`), not the Service's `port`: nobody translates it, since a headless Service has no
/// virtual IP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Port {
    /// The container's port number, 1 to 65535.
    Number(std::num::NonZeroU16),
    /// The name of a port in the Service's `spec.ports`.
    Name(Box<str>),
}

impl Port {
    /// A port by its name in the Service.
    ///
    /// # Errors
    /// If it is not a port name: RFC 6335 5.1, at most 15 lower-case letters, digits and single inner hyphens, at least one letter.
    pub fn name(name: &str) -> Result<Self, NameError> {
        let fail = |problem: &str| NameError {
            what: "port",
            input: name.to_owned(),
            problem: problem.to_owned(),
        };
        if name.is_empty() || name.len() > 15 {
            return Err(fail("a port name has 1 to 15 characters"));
        }
        if !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(fail("a port name has only lower-case letters, digits and hyphens"));
        }
        if !name.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(fail("a port name has at least one letter"));
        }
        if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
            return Err(fail("a hyphen must stand alone between letters or digits"));
        }
        Ok(Self::Name(name.into()))
    }
}

impl FromStr for Port {
    type Err = NameError;

    fn from_str(port: &str) -> Result<Self, NameError> {
        if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
            return port.parse().map(Self::Number).map_err(|_| NameError {
                what: "port",
                input: port.to_owned(),
                problem: "a port number lies between 1 and 65535".to_owned(),
            });
        }
        Self::name(port)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A name that cannot be read: what was given, what is wrong with it, and how to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    what: &'static str,
    input: String,
    problem: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {} `{}`: {}", self.what, self.input, self.problem)?;
        if self.what == "service" {
            f.write_str("; write NAME[.NAMESPACE[.svc[.ZONE]]][:PORT], for example `web.shop.svc:http`")?;
        }
        Ok(())
    }
}

impl std::error::Error for NameError {}

#[derive(Clone, Copy, PartialEq)]
enum Label {
    /// Services: begins with a letter.
    Dns1035,
    /// Namespaces and pods: may begin with a digit.
    Dns1123,
}

fn check_label(label: &str, kind: Label) -> Result<(), String> {
    if label.is_empty() {
        return Err("a label is empty".to_owned());
    }
    if label.len() > MAX_LABEL {
        return Err(format!(
            "label `{label}` has {} characters, DNS allows {MAX_LABEL}",
            label.len()
        ));
    }
    if !label
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(format!("label `{label}` may only have letters, digits and hyphens"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!("label `{label}` must not begin or end with a hyphen"));
    }
    if kind == Label::Dns1035 && label.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("a Service's name begins with a letter, `{label}` does not"));
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), String> {
    domain
        .split('.')
        .try_for_each(|label| check_label(label, Label::Dns1123))
}

/// RFC 1035 2.3.4, in octets on the wire; as text this leaves 253 characters.
const MAX_NAME: usize = 253;
/// RFC 1035 2.3.4.
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(input: &str) -> Result<String, String> {
        input
            .parse::<Target>()
            .map(|t| t.to_string())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_four_forms_with_and_without_a_port() {
        for (input, full) in [
            ("web", "web.default.svc.cluster.local"),
            ("web.shop", "web.shop.svc.cluster.local"),
            ("web.shop.svc", "web.shop.svc.cluster.local"),
            ("web.shop.svc.cluster.local", "web.shop.svc.cluster.local"),
            ("web.shop.svc.k8s.example.com.", "web.shop.svc.k8s.example.com"),
            ("WEB.Shop", "web.shop.svc.cluster.local"),
        ] {
            for port in ["", ":http", ":8080"] {
                let target: Target = format!("{input}{port}").parse().unwrap();
                assert_eq!(target.in_cluster("default", "cluster.local").unwrap().to_string(), full);
                assert_eq!(
                    target.port().map(ToString::to_string).unwrap_or_default(),
                    port.trim_start_matches(':')
                );
            }
        }
    }

    #[test]
    fn bad_names_say_what_is_wrong_and_how_to_write_it() {
        for (input, says) in [
            ("", "a label is empty"),
            (":http", "a label is empty"),
            ("web..svc", "a label is empty"),
            ("http://web:80", "this is a URL"),
            ("10.0.0.1", "this is an IP address"),
            ("[::1]:80", "this is an IP address"),
            ("2web", "begins with a letter"),
            ("we_b", "only have letters, digits and hyphens"),
            ("-web", "must not begin or end with a hyphen"),
            ("web.shop.scv", "the third label must be `svc`, found `scv`"),
            (
                "web-0.web.shop.svc",
                "the name of one pod (`web-0` of Service `web`); give the Service's name, `web.shop.svc`",
            ),
            (&"w".repeat(64), "has 64 characters, DNS allows 63"),
        ] {
            let error = target(input).unwrap_err();
            assert!(error.contains(says), "{input}: {error}");
            assert!(error.contains("write NAME"), "{input}: {error}");
        }
        let long = ["a234567890"; 25].join(".");
        assert!(
            ServiceName::new("web", "shop", &long)
                .unwrap_err()
                .to_string()
                .contains("DNS allows 253")
        );
    }

    #[test]
    fn bad_ports_say_what_is_wrong() {
        for (input, says) in [
            ("web:", "1 to 15 characters"),
            ("web:0", "between 1 and 65535"),
            ("web:65536", "between 1 and 65535"),
            ("web:HTTP", "lower-case"),
            ("web:80-80", "at least one letter"),
            ("web:a--b", "a hyphen must stand alone"),
            ("web:much-too-long-name", "1 to 15 characters"),
        ] {
            let error = target(input).unwrap_err();
            assert!(error.contains(says), "{input}: {error}");
        }
    }

    #[test]
    fn ordinals_are_read_as_a_stateful_set_writes_them() {
        for (name, set, ordinal) in [
            ("web-0", Some("web"), Some(0)),
            ("my-app-12", Some("my-app"), Some(12)),
            ("web-2147483647", Some("web"), Some(2_147_483_647)),
            ("web-2147483648", None, None),
            ("web-00", None, None),
            ("web-01", None, None),
            ("web", None, None),
            ("0", None, None),
            ("web-a1", None, None),
        ] {
            let pod: PodName = name.parse().unwrap();
            assert_eq!((pod.set(), pod.ordinal().map(Ordinal::get)), (set, ordinal), "{name}");
        }
    }

    #[test]
    fn a_dashed_address_is_recognised() {
        for (name, ip) in [("10-1-2-3", "10.1.2.3"), ("fd00--1", "fd00::1"), ("fd00--0", "fd00::")] {
            assert!(
                name.parse::<PodName>().unwrap().is_dashed(ip.parse().unwrap()),
                "{name}"
            );
        }
        assert!(
            !"10-1-2-3"
                .parse::<PodName>()
                .unwrap()
                .is_dashed("10.1.2.4".parse().unwrap())
        );
    }

    #[test]
    fn pods_sort_by_set_then_number() {
        let mut pods: Vec<PodName> = ["web-10", "web-2", "db-1", "web", "10-1-2-3"]
            .iter()
            .map(|p| p.parse().unwrap())
            .collect();
        pods.sort();
        let pods: Vec<&str> = pods.iter().map(PodName::as_str).collect();
        assert_eq!(pods, ["10-1-2-3", "db-1", "web", "web-2", "web-10"]);
    }

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
