//! The command line.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use demo_support::{ServiceArgs, command, named_service, number, positive, seconds, service_options};

/// What may be written, with the text of `--help`.
pub(crate) fn cli() -> Command {
    let flag = |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    let load = "Send N requests `GET /` a second [default: 0; 30 on the embedded cluster]";
    let load = Arg::new("load").long("load").value_name("N").help(load);
    command(
        "watch",
        "Shows the pods of a Kubernetes headless Service as `headless` sees them, live, and what happens to them.",
    )
    .after_help(
        "Without NAME:PORT it watches an embedded cluster under a little load, which is scaled, loses its DNS, is \
         denied by it, loses a pod and is rolled, again and again. That needs no Kubernetes, and no network \
         beyond 127.0.0.0/8. With it, only DNS is asked; pods are connected to with --load.\n\nOn a terminal the table \
         is redrawn in place; otherwise there is a line for each event, and a table every 5 seconds and at the \
         end.\n\nExit code: 0; 1 if the Service could not be discovered; 2 if the command line cannot be understood.",
    )
    .arg(named_service(false))
    .arg(load.value_parser(value_parser!(u64).range(..=MOST_LOAD)))
    .arg(
        positive(
            "for",
            "SECONDS",
            "End after this time [default: when stopped by Ctrl-C]",
        )
        .conflicts_with("once"),
    )
    .arg(flag(
        "once",
        "Print one table and end (with load, after a second and a half of it)",
    ))
    .arg(flag("json", "With --once: print one JSON object and nothing else").requires("once"))
    .args(service_options())
}

/// What to watch, and how.
pub(crate) struct WatchArgs {
    /// `None`: the embedded cluster.
    pub(crate) service: Option<ServiceArgs>,
    /// Requests a second.
    pub(crate) load: u64,
    pub(crate) limit: Option<Duration>,
    pub(crate) once: bool,
    pub(crate) json: bool,
}

/// Requests a second on the embedded cluster: a few for each pod.
const LOAD: u64 = 30;
/// More is the business of a benchmark.
const MOST_LOAD: u64 = 1000;

impl WatchArgs {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let service = ServiceArgs::of(matches);
        let load = if service.is_none() { LOAD } else { 0 };
        Self {
            load: number(matches, "load").unwrap_or(load),
            service,
            limit: seconds(matches, "for"),
            once: matches.get_flag("once"),
            json: matches.get_flag("json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use demo_support::read;

    use super::*;

    fn watch(line: &str) -> WatchArgs {
        WatchArgs::of(&read(cli(), line).unwrap())
    }

    #[test]
    fn only_the_embedded_cluster_has_load_unless_told() {
        assert_eq!(watch("").load, LOAD);
        assert_eq!(watch("--load 0").load, 0);
        assert_eq!(watch("web:http").load, 0);
        let args = watch("web.shop.svc:http --load=5 --nameserver 10.0.0.10 --for 3");
        assert_eq!((args.load, args.limit), (5, Some(Duration::from_secs(3))));
        let service = args.service.unwrap();
        assert_eq!(service.service, "web.shop.svc:http");
        assert_eq!(service.nameservers, ["10.0.0.10:53".parse().unwrap()]);
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("--twice", "unexpected argument '--twice'"),
            ("web:http api:http", "unexpected argument 'api:http'"),
            ("--zone example.org", "NAME:PORT"),
            ("--json", "--once"),
            ("--once=yes", "unexpected value 'yes' for '--once'"),
            ("--once --for 3", "'--once' cannot be used with '--for <SECONDS>'"),
            ("--for 0", "invalid value '0' for '--for <SECONDS>'"),
            ("--load many", "invalid value 'many' for '--load <N>'"),
        ];
        for (line, expected) in cases {
            let error = read(cli(), line).err().unwrap().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
