//! The command line: what may be written, and what each mistake is called.

use std::time::Duration;

use crate::shared::{Args, SERVICE_HELP, ServiceFlags, positive};

/// The text of `--help`.
pub(crate) fn help() -> String {
    format!(
        "\
A small shop on a replicated database: writes go to the verified primary, reads to replicas that are fresh
enough, and every acknowledged order is accounted for at the end.

Usage:
  mysql_splitter [--json] [--fresh]
      On three real MariaDB pods, in about 20 seconds: a replica lags, the primary moves, a replica dies and
      comes back, all under load. Uses the pods that `cargo xtask mysql up` keeps; if there are none, it starts
      some of its own. Needs the programs of MariaDB, no Kubernetes, and no network beyond 127.0.0.0/8.

  mysql_splitter --service NAME:PORT [options]
      The same load on a real cluster, such as mysql-headless.default.svc:3306. Nothing is done to its pods: none
      is started, killed or promoted. Do that yourself and watch. In the account's database it makes two small
      tables, demo_orders and demo_stock, and at the end removes the rows it wrote.

Options:
  --service NAME:PORT     The headless Service of the StatefulSet; PORT is the *container's* port.
{SERVICE_HELP}  --user NAME             The account; its password is read from the environment variable MYSQL_PASSWORD.
                          Default: MYSQL_USER, MYSQL_PASSWORD and MYSQL_DATABASE.
  --database NAME         The database. Default: MYSQL_DATABASE.
  --for SECONDS           How long the shop is open. Default: 15.
  --every SECONDS         Open it again and again, with this pause, until stopped (Ctrl-C, SIGTERM).
  --fresh                 Start pods of its own even if `cargo xtask mysql up` keeps some.
  --json                  Print one JSON object (with --every: one a line) and nothing else.
  --help                  Print this.

Exit code: 0 if the ledger balances; 1 if an acknowledged write was lost, duplicated or found on a wrong node, if
a read with a token was stale, or if the shop could not be opened; 2 if the command line cannot be understood.
"
    )
}

/// What the command line asks for: on which pods, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Without a name: pods on this machine.
    pub(crate) service: ServiceFlags,
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
    /// Of a real cluster's shop; the script of the others has its own length.
    pub(crate) length: Option<Duration>,
    pub(crate) every: Option<Duration>,
    pub(crate) fresh: bool,
    pub(crate) json: bool,
}

/// Reads the arguments (without the program's name). `None`: only the help is wanted.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Wanted>, String> {
    let mut wanted = Wanted::default();
    let mut of_service = None;
    let mut args = Args::new(args);
    while let Some(flag) = args.next()? {
        match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--json" => wanted.json = true,
            "--fresh" => wanted.fresh = true,
            "--service" => wanted.service.service = args.value()?,
            "--user" => wanted.user = Some(args.value()?),
            "--database" => wanted.database = Some(args.value()?),
            "--for" => wanted.length = Some(seconds(&flag, &mut args)?),
            "--every" => wanted.every = Some(seconds(&flag, &mut args)?),
            // It would be seen in the list of processes, and kept in the shell's history.
            "--password" => return Err("`--password` is not taken here: set the variable MYSQL_PASSWORD".to_owned()),
            _ if wanted.service.take(&flag, &mut args)? => {}
            _ => return Err(format!("`{flag}` is not known")),
        }
        if !matches!(flag.as_str(), "--json" | "--fresh" | "--service") {
            of_service = Some(flag);
        }
    }
    match of_service {
        _ if !wanted.service.service.is_empty() => match wanted.fresh {
            true => Err("`--fresh` starts pods, `--service` uses those that exist".to_owned()),
            false => Ok(Some(wanted)),
        },
        // Not ignored: it would look as if it had been obeyed.
        Some(flag) => Err(format!("`{flag}` goes with `--service NAME:PORT`")),
        None => Ok(Some(wanted)),
    }
}

fn seconds(flag: &str, args: &mut Args) -> Result<Duration, String> {
    Ok(Duration::from_secs(positive(flag, &args.value()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Wanted>, String> {
        parse(line.split_whitespace().map(ToOwned::to_owned))
    }

    #[test]
    fn no_argument_is_the_whole_story() {
        assert_eq!(read(""), Ok(Some(Wanted::default())));
        assert_eq!(read("--json --help"), Ok(None));
    }

    #[test]
    fn a_real_cluster_is_named_with_its_account() {
        let line = "--service db.shop.svc:3306 --namespace=shop --user app --database shop --for 20 --every=5 --json";
        let expected = Wanted {
            service: ServiceFlags {
                service: "db.shop.svc:3306".to_owned(),
                namespace: Some("shop".to_owned()),
                ..ServiceFlags::default()
            },
            user: Some("app".to_owned()),
            database: Some("shop".to_owned()),
            length: Some(Duration::from_secs(20)),
            every: Some(Duration::from_secs(5)),
            fresh: false,
            json: true,
        };
        assert_eq!(read(line), Ok(Some(expected)));
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("--sevice db:3306", "`--sevice` is not known"),
            ("--user app", "`--user` goes with `--service NAME:PORT`"),
            ("--service db:3306 --fresh", "`--fresh` starts pods"),
            ("--service db:3306 --password x", "`--password` is not taken here"),
            ("--service db:3306 --for 0", "`--for` needs a number above 0, found `0`"),
        ];
        for (line, expected) in cases {
            let error = read(line).unwrap_err();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
