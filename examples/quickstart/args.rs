//! The command line: what may be written, and what each mistake is called.

use std::time::Duration;

use crate::shared::{Args, SERVICE_HELP, ServiceFlags, positive};

/// The text of `--help`.
pub(crate) fn help() -> String {
    format!(
        "\
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
{SERVICE_HELP}  --requests N            How many requests to send. Default: 1000.
  --every SECONDS         Send them again and again, with this pause, until stopped; each round shows
                          the pods of its time.
  --json                  Print one JSON object (with --every: one a line) and nothing else.
  --help                  Print this.

Exit code: 0 if all went well; 1 if the Service could not be discovered, a request failed or a promise
was broken; 2 if the command line cannot be understood.
"
    )
}

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
    pub(crate) service: ServiceFlags,
    pub(crate) requests: Option<u64>,
    pub(crate) every: Option<Duration>,
    pub(crate) json: bool,
}

/// Reads the arguments (without the program's name).
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut wanted = ServiceArgs::default();
    let mut of_service = None;
    let mut args = Args::new(args);
    while let Some(flag) = args.next()? {
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--json" => wanted.json = true,
            "--service" => wanted.service.service = args.value()?,
            "--requests" => wanted.requests = Some(positive(&flag, &args.value()?)?),
            "--every" => wanted.every = Some(Duration::from_secs(positive(&flag, &args.value()?)?)),
            _ if wanted.service.take(&flag, &mut args)? => {}
            _ => return Err(format!("`{flag}` is not known")),
        }
        if !matches!(flag.as_str(), "--json" | "--service") {
            of_service = Some(flag);
        }
    }
    match of_service {
        _ if !wanted.service.service.is_empty() => Ok(Command::Service(wanted)),
        // Not ignored: it would look as if it had been obeyed.
        Some(flag) => Err(format!("`{flag}` goes with `--service NAME:PORT`")),
        None => Ok(Command::Demo { json: wanted.json }),
    }
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
            service: ServiceFlags {
                service: "web.shop.svc:http".to_owned(),
                nameservers: vec!["10.0.0.10:53".parse().unwrap()],
                ..ServiceFlags::default()
            },
            requests: Some(20),
            every: Some(Duration::from_secs(5)),
            json: true,
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
