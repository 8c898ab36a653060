//! [`Pods`]: which pods the shop runs on, and what may be done to them.

use std::error::Error;
use std::path::PathBuf;

use demo_support::ServiceArgs;
use headless_mysql::Account;
use headless_testkit::mariadb::{self, MariaDb, Supervisor};

use crate::args::ShopArgs;

/// The namespace and the zone of pods on this machine are the testkit's own.
const ZONE: &str = "cluster.local";

/// The pods, by what keeps them.
pub(crate) enum Pods {
    /// This program: they end with it.
    Own(MariaDb),
    /// `cargo xtask mysql up`, in another terminal.
    Kept(Supervisor),
    /// Something else: nothing may be done to them.
    Real(ServiceArgs, Account),
}

impl Pods {
    pub(crate) async fn find(args: &ShopArgs) -> Result<Self, Box<dyn Error>> {
        if let Some(service) = &args.service {
            return Ok(Self::Real(service.clone(), account(args)?));
        }
        if !args.fresh
            && let Some(supervisor) = Supervisor::find(&kept_in()?).await?
        {
            return Ok(Self::Kept(supervisor));
        }
        match MariaDb::start().await {
            Ok(db) => Ok(Self::Own(db)),
            Err(missing @ mariadb::Error::NotInstalled { .. }) => Err(format!(
                "{missing}. As root on Debian or Ubuntu, `cargo xtask mysql up` installs it and keeps three pods, which this program \
                 then uses; `--service NAME:PORT` uses a cluster that exists"
            )
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// What keeps these pods.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Own(_) => "own",
            Self::Kept(_) => "kept",
            Self::Real(..) => "real",
        }
    }

    pub(crate) fn introduction(&self) -> String {
        let service = self.service().service;
        match self {
            Self::Own(_) => format!("Three MariaDB pods of its own behind {service}."),
            Self::Kept(_) => format!("The MariaDB pods that `cargo xtask mysql up` keeps behind {service}."),
            Self::Real(..) => format!("The pods behind {service}. Nothing is done to them."),
        }
    }

    /// The Service, and how it is resolved.
    pub(crate) fn service(&self) -> ServiceArgs {
        let (service, nameserver) = match self {
            Self::Own(db) => (db.service(), db.cluster().dns_addr()),
            Self::Kept(supervisor) => (supervisor.service().to_owned(), supervisor.dns_addr()),
            Self::Real(flags, _) => return flags.clone(),
        };
        ServiceArgs {
            service,
            nameservers: vec![nameserver],
            zone: Some(ZONE.to_owned()),
            ..ServiceArgs::default()
        }
    }

    pub(crate) fn account(&self) -> Account {
        match self {
            Self::Real(_, account) => account.clone(),
            Self::Own(_) | Self::Kept(_) => Account::new(mariadb::USER, mariadb::PASSWORD).database(mariadb::DATABASE),
        }
    }

    /// Whether there may be a script of accidents.
    pub(crate) const fn may_be_changed(&self) -> bool {
        !matches!(self, Self::Real(..))
    }

    /// Lets a replica apply everything so many seconds late.
    pub(crate) async fn delay(&self, ordinal: u32, seconds: u32) -> Result<(), mariadb::Error> {
        match self {
            Self::Own(db) => db.pod(ordinal)?.delay(seconds).await,
            Self::Kept(_) | Self::Real(..) => self.ask(&format!("lag {ordinal} {seconds}")).await,
        }
    }

    /// A planned change of the primary.
    pub(crate) async fn promote(&self, ordinal: u32) -> Result<(), mariadb::Error> {
        match self {
            Self::Own(db) => db.promote(ordinal).await,
            Self::Kept(_) | Self::Real(..) => self.ask(&format!("promote {ordinal}")).await,
        }
    }

    /// SIGKILL to the server. DNS goes on listing the pod.
    pub(crate) async fn kill(&self, ordinal: u32) -> Result<(), mariadb::Error> {
        match self {
            Self::Own(db) => {
                db.pod(ordinal)?.kill().await;
                Ok(())
            }
            Self::Kept(_) | Self::Real(..) => self.ask(&format!("kill {ordinal}")).await,
        }
    }

    /// The server runs again, on the data it had.
    pub(crate) async fn heal(&self, ordinal: u32) -> Result<(), mariadb::Error> {
        match self {
            Self::Own(db) => db.pod(ordinal)?.start().await,
            Self::Kept(_) | Self::Real(..) => self.ask(&format!("start {ordinal}")).await,
        }
    }

    async fn ask(&self, request: &str) -> Result<(), mariadb::Error> {
        match self {
            Self::Kept(supervisor) => supervisor.ask(request).await.map(drop),
            Self::Own(_) | Self::Real(..) => Ok(()),
        }
    }
}

/// By the command line and the environment. Not a word of it is the password.
fn account(args: &ShopArgs) -> Result<Account, Box<dyn Error>> {
    let account = match &args.user {
        None => Account::from_env()?,
        Some(user) => {
            let password = std::env::var("MYSQL_PASSWORD")
                .map_err(|problem| format!("`--user` needs a password in the variable MYSQL_PASSWORD: {problem}"))?;
            let account = Account::new(user, password);
            match std::env::var("MYSQL_DATABASE") {
                Ok(database) => account.database(database),
                Err(_) => account,
            }
        }
    };
    Ok(match &args.database {
        Some(database) => account.database(database),
        None => account,
    })
}

/// Where `cargo xtask mysql up` keeps its pods: `mysql`, beside the profile's directory that this
/// program was built into.
fn kept_in() -> Result<PathBuf, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2);
    Ok(target.unwrap_or(&program).join("mysql"))
}
