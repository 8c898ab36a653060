//! The command line: what may be written, and what each mistake is called.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
Discovers the pods of a Kubernetes headless Service over DNS and balances HTTP requests over them.

Usage:
  quickstart [--json]
      The whole job on an embedded cluster, in about 20 seconds: discover three pods, balance by three
      policies, scale to six pods and replace them all under load. Needs no Kubernetes, and no network
      beyond 127.0.0.0/8.

  quickstart --service NAME:PORT [options]
      Discovers a real Service and sends it GET requests for `/`, balanced by power of two choices.

Options:
  --service NAME:PORT     The Service: web:http, web.shop.svc:http, web.shop.svc.cluster.local:8080.
                          PORT is the name of a port of the Service (best), or the number of the
                          *container's* port.
  --nameserver IP[:PORT]  The name server to ask; may be given several times. Default: those of
                          /etc/resolv.conf.
  --namespace NAME        The Service's namespace, if --service names none. Default: that of the pod
                          this runs in.
  --zone DOMAIN           The cluster domain, if --service names none. Default: that of the pod, or
                          else cluster.local.
  --stateful-set NAME     The StatefulSet whose pods have ordinals. Needed only where DNS offers
                          neither SRV nor PTR.
  --requests N            How many requests to send. Default: 1000.
  --every SECONDS         Send them again and again, with this pause, until stopped; each round shows
                          the pods of its time.
  --json                  Print one JSON object (with --every: one a line) and nothing else.
  --help                  Print this.

Exit code: 0 if all went well; 1 if the Service could not be discovered, a request failed or a promise
was broken; 2 if the command line cannot be understood.
";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `--help`.
    Help,
    /// The embedded cluster.
    Demo {
        /// JSON instead of text.
        json: bool,
    },
    /// A Service that exists.
    Service(ServiceArgs),
}

/// What to call, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceArgs {
    pub(crate) service: String,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) namespace: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) stateful_set: Option<String>,
    pub(crate) requests: Option<u64>,
    pub(crate) every: Option<Duration>,
    pub(crate) json: bool,
}

/// Reads the arguments (without the program's name).
///
/// By hand: a library for command lines would be the largest dependency of this example.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut wanted = ServiceArgs::default();
    let mut of_service = None;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        // `--flag value` and `--flag=value` are the same.
        let (flag, mut inline) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let value = |inline: &mut Option<String>, args: &mut dyn Iterator<Item = String>| {
            let value = inline
                .take()
                .or_else(|| args.next().filter(|next| !next.starts_with("--")));
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("`{flag}` needs a value"))
        };
        match flag {
            "--help" | "-h" => return Ok(Command::Help),
            "--json" => wanted.json = true,
            "--service" => wanted.service = value(&mut inline, &mut args)?,
            "--nameserver" => wanted.nameservers.push(nameserver(&value(&mut inline, &mut args)?)?),
            "--namespace" => wanted.namespace = Some(value(&mut inline, &mut args)?),
            "--zone" => wanted.zone = Some(value(&mut inline, &mut args)?),
            "--stateful-set" => wanted.stateful_set = Some(value(&mut inline, &mut args)?),
            "--requests" => wanted.requests = Some(positive(flag, &value(&mut inline, &mut args)?)?),
            "--every" => wanted.every = Some(Duration::from_secs(positive(flag, &value(&mut inline, &mut args)?)?)),
            _ => return Err(format!("`{arg}` is not known")),
        }
        if inline.is_some() {
            return Err(format!("`{flag}` takes no value"));
        }
        if !matches!(flag, "--json" | "--service") {
            of_service = Some(flag.to_owned());
        }
    }
    match of_service {
        _ if !wanted.service.is_empty() => Ok(Command::Service(wanted)),
        // Not ignored: it would look as if it had been obeyed.
        Some(flag) => Err(format!("`{flag}` goes with `--service NAME:PORT`")),
        None => Ok(Command::Demo { json: wanted.json }),
    }
}

fn nameserver(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    with_port
        .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| format!("`{text}` is not a name server; write its address, like 10.96.0.10 or 127.0.0.1:5353"))
}

fn positive(flag: &str, text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{flag}` needs a number above 0, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(ToOwned::to_owned))
    }

    #[test]
    fn no_argument_is_the_demo() {
        assert_eq!(read(""), Ok(Command::Demo { json: false }));
        assert_eq!(read("--json"), Ok(Command::Demo { json: true }));
        assert_eq!(read("--json --help"), Ok(Command::Help));
    }

    #[test]
    fn both_ways_to_write_a_value_are_the_same() {
        let spaced = read("--service web.shop.svc:http --nameserver 10.0.0.10 --requests 20 --every 5 --json");
        let joined = read("--json --every=5 --requests=20 --nameserver=10.0.0.10:53 --service=web.shop.svc:http");
        assert_eq!(spaced, joined);
        let expected = ServiceArgs {
            service: "web.shop.svc:http".to_owned(),
            nameservers: vec!["10.0.0.10:53".parse().unwrap()],
            requests: Some(20),
            every: Some(Duration::from_secs(5)),
            json: true,
            ..ServiceArgs::default()
        };
        assert_eq!(spaced, Ok(Command::Service(expected)));
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("--sevice web:http", "`--sevice` is not known"),
            ("web:http", "`web:http` is not known"),
            ("--service", "`--service` needs a value"),
            ("--service --json", "`--service` needs a value"),
            ("--service=", "`--service` needs a value"),
            ("--json=yes", "`--json` takes no value"),
            ("--requests 5", "`--requests` goes with `--service NAME:PORT`"),
            (
                "--service web:http --requests 0",
                "`--requests` needs a number above 0, found `0`",
            ),
            (
                "--service web:http --every soon",
                "`--every` needs a number above 0, found `soon`",
            ),
            (
                "--service web:http --nameserver dns",
                "`dns` is not a name server; write its address",
            ),
        ];
        for (line, expected) in cases {
            let error = read(line).unwrap_err();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
