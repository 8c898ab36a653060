//! The command line.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use demo_support::{ServiceArgs, command, named_service, number, positive, seconds, service_options};

/// What may be written, with the text of `--help`.
pub(crate) fn cli() -> Command {
    command("quickstart", "Discovers the pods of a Kubernetes headless Service over DNS and balances HTTP requests over them.")
        .after_help(
            "Without --service it shows the whole job on an embedded cluster, in about 20 seconds: it discovers three \
             pods, balances by three policies, scales to six pods and replaces them all under load. That needs no \
             Kubernetes, and no network beyond 127.0.0.0/8.\n\nWith --service it discovers a real Service and sends it \
             GET requests for `/`, balanced by power of two choices.\n\nExit code: 0 if all went well; 1 if the Service \
             could not be discovered, a request failed or a promise was broken; 2 if the command line cannot be \
             understood.",
        )
        .arg(named_service(true))
        .args(service_options())
        .arg(positive("requests", "N", "How many requests to send [default: 1000]").requires("service"))
        .arg(
            positive(
                "every",
                "SECONDS",
                "Send them again and again, with this pause, until stopped; each round shows the pods of its time",
            )
            .requires("service"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print one JSON object (with --every: one a line) and nothing else"),
        )
}

/// A Service that exists, and what to send it.
pub(crate) struct Real {
    pub(crate) service: ServiceArgs,
    pub(crate) requests: Option<u64>,
    pub(crate) every: Option<Duration>,
    pub(crate) json: bool,
}

impl Real {
    /// `None`: the embedded cluster is meant.
    pub(crate) fn of(matches: &ArgMatches) -> Option<Self> {
        Some(Self {
            service: ServiceArgs::of(matches)?,
            requests: number(matches, "requests"),
            every: seconds(matches, "every"),
            json: matches.get_flag("json"),
        })
    }
}

#[cfg(test)]
mod tests {
    use demo_support::read;

    use super::*;

    #[test]
    fn a_service_has_options() {
        let real = |line: &str| Real::of(&read(cli(), line).unwrap());
        assert!(real("").is_none() && real("--json").is_none());
        let found = real("--service web.shop.svc:http --requests 20 --every=5 --json").unwrap();
        assert_eq!(
            (found.requests, found.every, found.json),
            (Some(20), Some(Duration::from_secs(5)), true)
        );
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("web:http", "unexpected argument 'web:http'"),
            ("--json=yes", "unexpected value 'yes' for '--json'"),
            // Not ignored: it would look as if it had been obeyed.
            ("--requests 5", "--service <NAME:PORT>"),
            (
                "--service web:http --requests 0",
                "invalid value '0' for '--requests <N>'",
            ),
            (
                "--service web:http --every soon",
                "invalid value 'soon' for '--every <SECONDS>'",
            ),
        ];
        for (line, expected) in cases {
            let error = read(cli(), line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
