//! The command line: what may be written, and what each mistake is called.

use crate::shared::{Args, SERVICE_HELP, ServiceFlags, positive};

/// The text of `--help`.
pub(crate) fn help() -> String {
    format!(
        "\
Shows the pods of a Kubernetes headless Service as `headless` sees them, live, and what happens to them.

Usage:
  watch [options]
      An embedded cluster under a little load, which is scaled, loses its DNS, is told that it does not
      exist, loses a pod and is rolled, again and again. Needs no Kubernetes, and no network beyond
      127.0.0.0/8.

  watch NAME:PORT [options]
      A real Service: web:http, web.shop.svc:http, web.shop.svc.cluster.local:8080. PORT is the name of
      a port of the Service (best), or the number of the *container's* port. Only DNS is asked; pods are
      connected to with --load.

Options:
  --load N                Send N requests `GET /` a second. Default: 0; 30 on the embedded cluster.
  --for SECONDS           End after this time. Default: when stopped (Ctrl-C).
  --once                  Print one table and end (with load, after a second and a half of it).
  --json                  With --once: print one JSON object and nothing else.
{SERVICE_HELP}\
\x20 --help                  Print this.

On a terminal the table is redrawn in place; otherwise there is a line for each event, and a table every
5 seconds and at the end.

Exit code: 0; 1 if the Service could not be discovered; 2 if the command line cannot be understood.
"
    )
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `--help`.
    Help,
    /// Everything else.
    Watch(WatchArgs),
}

/// What to watch, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WatchArgs {
    /// Without a name: the embedded cluster.
    pub(crate) service: ServiceFlags,
    /// Requests a second.
    pub(crate) load: u64,
    /// Seconds.
    pub(crate) limit: Option<u64>,
    pub(crate) once: bool,
    pub(crate) json: bool,
}

/// Requests a second on the embedded cluster: a few for each pod.
const LOAD: u64 = 30;
/// More is the business of a benchmark.
const MOST_LOAD: u64 = 1000;

/// Reads the arguments (without the program's name).
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut wanted = WatchArgs::default();
    let (mut load, mut of_service) = (None, None);
    let mut args = Args::new(args);
    while let Some(flag) = args.next()? {
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--once" => wanted.once = true,
            "--json" => wanted.json = true,
            "--for" => wanted.limit = Some(positive(&flag, &args.value()?)?),
            "--load" => load = Some(rate(&args.value()?)?),
            _ if wanted.service.take(&flag, &mut args)? => of_service = Some(flag),
            name if !name.starts_with('-') && wanted.service.service.is_empty() => wanted.service.service = flag,
            _ => return Err(format!("`{flag}` is not known")),
        }
    }
    let is_embedded = wanted.service.service.is_empty();
    wanted.load = load.unwrap_or(if is_embedded { LOAD } else { 0 });
    match of_service {
        // Not ignored: it would look as if it had been obeyed.
        Some(flag) if is_embedded => Err(format!("`{flag}` goes with NAME:PORT")),
        _ if wanted.json && !wanted.once => Err("`--json` goes with `--once`".to_owned()),
        _ if wanted.once && wanted.limit.is_some() => Err("`--for` does not go with `--once`".to_owned()),
        _ => Ok(Command::Watch(wanted)),
    }
}

fn rate(text: &str) -> Result<u64, String> {
    let rate = text.parse().ok().filter(|rate| *rate <= MOST_LOAD);
    rate.ok_or_else(|| format!("`--load` needs a number from 0 to {MOST_LOAD}, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(ToOwned::to_owned))
    }

    fn watch(line: &str) -> WatchArgs {
        match read(line) {
            Ok(Command::Watch(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn only_the_embedded_cluster_has_load_unless_told() {
        assert_eq!(watch("").load, LOAD);
        assert_eq!(watch("--load 0").load, 0);
        assert_eq!(watch("web:http").load, 0);
        let args = watch("web.shop.svc:http --load=5 --nameserver 10.0.0.10 --for 3");
        assert_eq!((args.load, args.limit), (5, Some(3)));
        assert_eq!(args.service.service, "web.shop.svc:http");
        assert_eq!(args.service.nameservers, ["10.0.0.10:53".parse().unwrap()]);
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("--twice", "`--twice` is not known"),
            ("web:http api:http", "`api:http` is not known"),
            ("--zone example.org", "`--zone` goes with NAME:PORT"),
            ("--json", "`--json` goes with `--once`"),
            ("--once=yes", "`--once` takes no value"),
            ("--once --for 3", "`--for` does not go with `--once`"),
            ("--for 0", "`--for` needs a number above 0, found `0`"),
            ("--load many", "`--load` needs a number from 0 to 1000, found `many`"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), Err(expected.to_owned()), "{line}");
        }
    }
}
