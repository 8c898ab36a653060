//! The command line.

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};
use demo_support::{ServiceArgs, command, named_service, positive, seconds, service_options};

/// What may be written, with the text of `--help`.
pub(crate) fn cli() -> Command {
    let flag = |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    let text = |id: &'static str, help: &'static str| {
        let option = Arg::new(id).long(id).value_name("NAME");
        option.help(help).requires("service")
    };
    let every = "Open it again and again, with this pause, until stopped (Ctrl-C, SIGTERM)";
    command(
        "mysql_splitter",
        "A small shop on a replicated database: writes go to the verified primary, reads to replicas that are fresh \
         enough, and every acknowledged order is accounted for at the end.",
    )
    .after_help(
        "Without --service it runs on three real MariaDB pods, in about 20 seconds: a replica lags, the primary moves, a \
         replica dies and comes back, all under load. It uses the pods that `cargo xtask mysql up` keeps; if there are \
         none, it starts some of its own. It needs the programs of MariaDB, no Kubernetes, and no network beyond \
         127.0.0.0/8.\n\nWith --service it sends the same load to a real cluster, such as \
         mysql-headless.default.svc:3306. Nothing is done to its pods: none is started, killed or promoted. Do that \
         yourself and watch. In the account's database it makes two small tables, demo_orders and demo_stock, and at \
         the end removes the rows it wrote.\n\nExit code: 0 if the ledger balances; 1 if an acknowledged write was \
         lost, duplicated or found on a wrong node, if a read with a token was stale, or if the shop could not be \
         opened; 2 if the command line cannot be understood.",
    )
    .arg(named_service(true))
    .args(service_options())
    .arg(text(
        "user",
        "The account; its password is read from the environment variable MYSQL_PASSWORD [default: MYSQL_USER]",
    ))
    .arg(text("database", "The database [default: MYSQL_DATABASE]"))
    .arg(positive("for", "SECONDS", "How long the shop is open [default: 15]").requires("service"))
    .arg(positive("every", "SECONDS", every).requires("service"))
    .arg(flag("fresh", "Start pods of its own even if `cargo xtask mysql up` keeps some").conflicts_with("service"))
    .arg(flag("json", "Print one JSON object (with --every: one a line) and nothing else"))
    // It would be seen in the list of processes, and kept in the shell's history.
    .arg(Arg::new("password").long("password").hide(true))
}

/// What the command line asks for: on which pods, and for how long.
pub(crate) struct ShopArgs {
    /// `None`: pods on this machine.
    pub(crate) service: Option<ServiceArgs>,
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
    /// Of a real cluster's shop; the script of the others has its own length.
    pub(crate) length: Option<Duration>,
    pub(crate) every: Option<Duration>,
    pub(crate) fresh: bool,
    pub(crate) json: bool,
}

impl ShopArgs {
    pub(crate) fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if matches.contains_id("password") {
            let advice = "`--password` is not taken here: set the variable MYSQL_PASSWORD";
            return Err(cli().error(ErrorKind::UnknownArgument, advice));
        }
        let text = |id: &str| matches.get_one::<String>(id).cloned();
        Ok(Self {
            service: ServiceArgs::of(matches),
            user: text("user"),
            database: text("database"),
            length: seconds(matches, "for"),
            every: seconds(matches, "every"),
            fresh: matches.get_flag("fresh"),
            json: matches.get_flag("json"),
        })
    }
}

#[cfg(test)]
mod tests {
    use demo_support::read;

    use super::*;

    fn args(line: &str) -> Result<ShopArgs, String> {
        let matches = read(cli(), line).map_err(|error| error.to_string())?;
        ShopArgs::of(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn a_real_cluster_is_named_with_its_account() {
        let line = "--service db.shop.svc:3306 --namespace=shop --user app --database shop --for 20 --every=5 --json";
        let found = args(line).unwrap();
        let service = found.service.unwrap();
        assert_eq!(
            (&*service.service, service.namespace.as_deref()),
            ("db.shop.svc:3306", Some("shop"))
        );
        assert_eq!(
            (found.user.as_deref(), found.database.as_deref()),
            (Some("app"), Some("shop"))
        );
        let times = (found.length, found.every);
        assert_eq!(times, (Some(Duration::from_secs(20)), Some(Duration::from_secs(5))));
        assert!(args("").unwrap().service.is_none());
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("--sevice db:3306", "unexpected argument '--sevice'"),
            ("--user app", "--service <NAME:PORT>"),
            ("--service db:3306 --fresh", "cannot be used with '--fresh'"),
            ("--service db:3306 --password x", "`--password` is not taken here"),
            ("--service db:3306 --for 0", "invalid value '0' for '--for <SECONDS>'"),
        ];
        for (line, expected) in cases {
            let error = args(line).err().unwrap();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
