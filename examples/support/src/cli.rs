//! The command line: the options that name a Service and say how it is resolved, the same for each
//! demo.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use headless::dns::DnsResolver;

/// The columns that help is wrapped at, unless the terminal has fewer.
const COLUMNS: usize = 80;

/// The Service, and how it is resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceArgs {
    /// The Service as it was written, such as `web.shop.svc:http`.
    pub service: String,
    /// The name servers to ask, instead of those in /etc/resolv.conf.
    pub nameservers: Vec<SocketAddr>,
    /// The namespace, if the name has none.
    pub namespace: Option<String>,
    /// The cluster domain, if the name has none.
    pub zone: Option<String>,
    /// The StatefulSet whose pods have ordinals.
    pub stateful_set: Option<String>,
}

impl ServiceArgs {
    /// Reads the arguments of [`named_service`] and [`service_options`]. `None`: no Service is
    /// named.
    pub fn of(matches: &ArgMatches) -> Option<Self> {
        let text = |id: &str| matches.get_one::<String>(id).cloned();
        let nameservers = matches.get_many("nameserver").unwrap_or_default();
        Some(Self {
            service: text("service")?,
            nameservers: nameservers.copied().collect(),
            namespace: text("namespace"),
            zone: text("zone"),
            stateful_set: text("stateful-set"),
        })
    }

    /// Builds the resolver. With no option given, it is the one that `Discovery::start` uses.
    ///
    /// # Errors
    /// If the Service's name or a setting cannot be understood.
    pub fn resolver(&self) -> Result<DnsResolver, Box<dyn Error>> {
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

/// A command whose help fits the terminal.
pub fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).max_term_width(COLUMNS)
}

/// The argument that names the Service: `--service NAME:PORT`, or without the flag.
pub fn named_service(with_flag: bool) -> Arg {
    let service = Arg::new("service").value_name("NAME:PORT").help(
        "The Service: web:http, web.shop.svc:http, web.shop.svc.cluster.local:8080. PORT is the name of a port of the \
         Service (best), or the number of the container's port",
    );
    if with_flag { service.long("service") } else { service }
}

/// How the named Service is resolved.
pub fn service_options() -> [Arg; 4] {
    let option = |id: &'static str, value: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name(value).help(help).requires("service")
    };
    [
        option(
            "nameserver",
            "IP[:PORT]",
            "The name server to ask; may be given several times [default: those of /etc/resolv.conf]",
        )
        .action(ArgAction::Append)
        .value_parser(nameserver),
        option(
            "namespace",
            "NAME",
            "The Service's namespace, if its name has none [default: that of the pod this runs in]",
        ),
        option(
            "zone",
            "DOMAIN",
            "The cluster domain, if the Service's name has none [default: that of the pod, or cluster.local]",
        ),
        option(
            "stateful-set",
            "NAME",
            "The StatefulSet whose pods have ordinals; needed only where DNS offers neither SRV nor PTR",
        ),
    ]
}

/// An option with a number above 0.
pub fn positive(id: &'static str, value: &'static str, help: &'static str) -> Arg {
    let number = value_parser!(u64).range(1..);
    Arg::new(id).long(id).value_name(value).help(help).value_parser(number)
}

/// The value of an option that is a number.
pub fn number(matches: &ArgMatches, id: &str) -> Option<u64> {
    matches.get_one(id).copied()
}

/// The value of an option that is a number of seconds.
pub fn seconds(matches: &ArgMatches, id: &str) -> Option<Duration> {
    number(matches, id).map(Duration::from_secs)
}

/// Reads a line as a shell would split it, for tests.
///
/// # Errors
/// What clap says about it.
pub fn read(command: Command, line: &str) -> Result<ArgMatches, clap::Error> {
    command
        .no_binary_name(true)
        .try_get_matches_from(line.split_whitespace())
}

fn nameserver(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    with_port
        .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| "not a name server; write its address, like 10.96.0.10 or 127.0.0.1:5353".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(line: &str) -> Result<Option<ServiceArgs>, String> {
        let command = command("demo", "").arg(named_service(true)).args(service_options());
        let matches = read(command, line).map_err(|error| error.to_string())?;
        Ok(ServiceArgs::of(&matches))
    }

    #[test]
    fn both_ways_to_write_a_value_are_the_same() {
        let spaced = service("--service web.shop.svc:http --nameserver 10.0.0.10 --zone example.org");
        let joined = service("--zone=example.org --nameserver=10.0.0.10:53 --service=web.shop.svc:http");
        assert_eq!(spaced, joined);
        let found = spaced.unwrap().unwrap();
        assert_eq!(found.nameservers, ["10.0.0.10:53".parse().unwrap()]);
        assert_eq!(
            (&*found.service, found.zone.as_deref()),
            ("web.shop.svc:http", Some("example.org"))
        );
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("--sevice web:http", "unexpected argument '--sevice'"),
            ("--service", "a value is required for '--service <NAME:PORT>'"),
            // Not ignored: it would look as if it had been obeyed.
            ("--zone example.org", "--service <NAME:PORT>"),
            (
                "--service web:http --nameserver dns",
                "not a name server; write its address",
            ),
        ];
        for (line, expected) in cases {
            let error = service(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
