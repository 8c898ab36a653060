//! [`ServiceFlags`]: which Service is meant, and who is asked for it.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use headless::dns::DnsResolver;

use super::flags::Args;

/// The part of `--help` about [`ServiceFlags`].
pub(crate) const SERVICE_HELP: &str = "\
\x20 --nameserver IP[:PORT]  The name server to ask; may be given several times. Default: those of
                          /etc/resolv.conf.
  --namespace NAME        The Service's namespace, if its name has none. Default: that of the pod
                          this runs in.
  --zone DOMAIN           The cluster domain, if the Service's name has none. Default: that of the
                          pod, or else cluster.local.
  --stateful-set NAME     The StatefulSet whose pods have ordinals. Needed only where DNS offers
                          neither SRV nor PTR.
";

/// The Service, and how it is resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceFlags {
    pub(crate) service: String,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) namespace: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) stateful_set: Option<String>,
}

impl ServiceFlags {
    /// Takes `flag` and its value, if it is one of these. `false`: it is not.
    pub(crate) fn take(&mut self, flag: &str, args: &mut Args) -> Result<bool, String> {
        match flag {
            "--nameserver" => self.nameservers.push(nameserver(&args.value()?)?),
            "--namespace" => self.namespace = Some(args.value()?),
            "--zone" => self.zone = Some(args.value()?),
            "--stateful-set" => self.stateful_set = Some(args.value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// With no flag given, this is what `Discovery::start(&self.service)` uses.
    pub(crate) fn resolver(&self) -> Result<DnsResolver, Box<dyn Error>> {
        let mut resolver = DnsResolver::builder(self.service.parse()?);
        for nameserver in &self.nameservers {
            resolver = resolver.nameserver(*nameserver);
        }
        if let Some(namespace) = &self.namespace {
            resolver = resolver.namespace(namespace);
        }
        if let Some(zone) = &self.zone {
            resolver = resolver.zone(zone);
        }
        if let Some(set) = &self.stateful_set {
            resolver = resolver.stateful_set(set);
        }
        Ok(resolver.build()?)
    }
}

fn nameserver(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    with_port
        .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| format!("`{text}` is not a name server; write its address, like 10.96.0.10 or 127.0.0.1:5353"))
}
