//! [`DnsResolverBuilder`]: the settings, and where their defaults come from.
//!
//! Files are read here, at build time; what they say is read in `resolv_conf.rs`. No lookup happens here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use headless_core::{PodName, Target};

use crate::error::ConfigError;
use crate::family::IpFamily;
use crate::lookup::Lookup;
use crate::name_servers::{NameServers, ServerSource};
use crate::params::LookupParams;
use crate::resolv_conf::ResolvConf;
use crate::resolver::DnsResolver;
use crate::strategy::{Naming, Plan};

/// The settings of a [`DnsResolver`]. Every one has a default that suits a pod.
///
/// ```
/// use headless_dns::IpFamily;
/// use headless_dns::DnsResolver;
///
/// let resolver = DnsResolver::builder("mysql:3306".parse()?)
///     .nameserver("127.0.0.1:5353".parse()?)
///     .namespace("shop")
///     .zone("cluster.local") // with these three given, no file is read
///     .stateful_set("mysql")
///     .family(IpFamily::V4Only)
///     .build()?;
/// assert_eq!(resolver.service_name().to_string(), "mysql.shop.svc.cluster.local");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct DnsResolverBuilder {
    target: Target,
    nameservers: Vec<SocketAddr>,
    namespace: Option<String>,
    zone: Option<String>,
    family: IpFamily,
    set: Option<String>,
    first_ordinal: u32,
    naming: Naming,
    timeout: Duration,
    external_name: bool,
    resolv_conf: PathBuf,
    namespace_file: PathBuf,
}

impl DnsResolver {
    /// Returns a builder for a resolver of `target`.
    pub fn builder(target: Target) -> DnsResolverBuilder {
        DnsResolverBuilder::new(target)
    }
}

impl DnsResolverBuilder {
    fn new(target: Target) -> Self {
        Self {
            target,
            nameservers: Vec::new(),
            namespace: None,
            zone: None,
            family: IpFamily::default(),
            set: None,
            first_ordinal: 0,
            naming: Naming::default(),
            timeout: TIMEOUT,
            external_name: false,
            resolv_conf: RESOLV_CONF.into(),
            namespace_file: NAMESPACE_FILE.into(),
        }
    }

    /// Adds a name server, asked over UDP and TCP. They are asked in the order given; the next one is for when one
    /// fails or does not answer. Default: those of `/etc/resolv.conf`, read again when they stop answering.
    pub fn nameserver(mut self, addr: SocketAddr) -> Self {
        self.nameservers.push(addr);
        self
    }

    /// The namespace, if the target names none. Default: the pod's own (its service account, or else `resolv.conf`'s
    /// search list).
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The cluster domain, if the target names none. Default: what `resolv.conf`'s search list tells, or else
    /// `cluster.local`.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Which addresses of a pod count. Default: [`IpFamily::PreferV4`].
    pub fn family(mut self, family: IpFamily) -> Self {
        self.family = family;
        self
    }

    /// The StatefulSet (`.metadata.name`) whose pods have ordinals; other pods under the Service keep their names only.
    ///
    /// Default: every name of the shape `<set>-<digits>` has one. Naming the set makes that certain, and lets the names
    /// be found as `<set>-<k>` where neither SRV nor PTR is offered. A set that does not exist is a failure of the
    /// first lookup.
    pub fn stateful_set(mut self, name: impl Into<String>) -> Self {
        self.set = Some(name.into());
        self
    }

    /// The StatefulSet's first ordinal (`.spec.ordinals.start`). Default: 0.
    pub fn first_ordinal(mut self, ordinal: u32) -> Self {
        self.first_ordinal = ordinal;
        self
    }

    /// How the pods' names are found. Default: [`Naming::Auto`].
    pub fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// How long one attempt may take. Default: 1 s, a thousand times what a cluster's DNS needs, and short enough that
    /// a lost packet does not delay the news. Each question is tried twice; a name server that stays silent costs at
    /// most three times this.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Accepts answers that lead to another name (a CNAME): a Service of type ExternalName. Default: false, since
    /// CoreDNS's `autopath` can answer for a Service without pods with addresses from the Internet.
    pub fn allow_external_name(mut self, allow: bool) -> Self {
        self.external_name = allow;
        self
    }

    /// The file read in place of `/etc/resolv.conf`.
    pub fn resolv_conf(mut self, path: impl Into<PathBuf>) -> Self {
        self.resolv_conf = path.into();
        self
    }

    /// The file read in place of `/var/run/secrets/kubernetes.io/serviceaccount/namespace`.
    pub fn namespace_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.namespace_file = path.into();
        self
    }

    /// The resolver. Reads the files that are needed; sends nothing.
    ///
    /// # Errors
    /// If no name server or no namespace can be found, a name is not one, or port, StatefulSet and naming do not go
    /// together.
    pub fn build(self) -> Result<DnsResolver, ConfigError> {
        let shown = self.target.to_string();
        let plan = Plan::new(&shown, self.target.port(), self.naming, self.set.is_some())?;
        let conf = self.read_resolv_conf()?;
        let namespace = self.find_namespace(&conf)?;
        let zone = self.zone.as_deref().or(conf.zone()).unwrap_or(ZONE);
        let service = self.target.in_cluster(&namespace, zone)?;
        let set = self.set.as_deref().map(check_set).transpose()?;
        let (source, servers) = if self.nameservers.is_empty() {
            (ServerSource::File(self.resolv_conf), conf.nameservers)
        } else {
            (ServerSource::Fixed, self.nameservers)
        };
        let transport =
            NameServers::new(source, &servers, self.timeout).map_err(|problem| ConfigError::Transport { problem })?;
        let params = LookupParams {
            service,
            family: self.family,
            set,
            first_ordinal: self.first_ordinal,
            external_name: self.external_name,
        };
        let port = self.target.port().cloned();
        Ok(DnsResolver::new(Lookup::new(params, plan, Box::new(transport)), port))
    }

    /// Reads the file if something it could tell is missing; only for name servers it is needed.
    fn read_resolv_conf(&self) -> Result<ResolvConf, ConfigError> {
        let path = self.resolv_conf.display().to_string();
        if self.nameservers.is_empty() {
            let text = std::fs::read_to_string(&self.resolv_conf).map_err(|source| ConfigError::ResolvConf {
                path: path.clone(),
                source,
            })?;
            let conf = ResolvConf::parse(&text);
            return if conf.nameservers.is_empty() {
                Err(ConfigError::NoNameServer { path })
            } else {
                Ok(conf)
            };
        }
        let has_namespace = self.target.namespace().is_some() || self.namespace.is_some();
        let has_zone = self.target.zone().is_some() || self.zone.is_some();
        if has_namespace && has_zone {
            return Ok(ResolvConf::default());
        }
        Ok(std::fs::read_to_string(&self.resolv_conf)
            .map(|text| ResolvConf::parse(&text))
            .unwrap_or_default())
    }

    fn find_namespace(&self, conf: &ResolvConf) -> Result<String, ConfigError> {
        if let Some(namespace) = self.target.namespace().or(self.namespace.as_deref()) {
            return Ok(namespace.to_owned());
        }
        let mounted = std::fs::read_to_string(&self.namespace_file).map(|text| text.trim().to_owned());
        let mounted = mounted.ok().filter(|namespace| !namespace.is_empty());
        mounted
            .or_else(|| conf.namespace().map(ToOwned::to_owned))
            .ok_or_else(|| ConfigError::NoNamespace {
                target: self.target.to_string(),
                namespace_file: self.namespace_file.display().to_string(),
                resolv_conf: self.resolv_conf.display().to_string(),
            })
    }
}

/// The set's name, folded. Its pods' names must be names, so it is one too.
fn check_set(set: &str) -> Result<Box<str>, ConfigError> {
    let pod: PodName = format!("{set}-0").parse()?;
    Ok(pod.set().unwrap_or(set).into())
}
/// See [`DnsResolverBuilder::timeout`].
const TIMEOUT: Duration = Duration::from_secs(1);
const RESOLV_CONF: &str = "/etc/resolv.conf";
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The cluster domain of nearly every cluster.
const ZONE: &str = "cluster.local";
