//! What the examples run against: the Service on the command line, or MariaDB pods of their own.

use std::error::Error;

use headless::Discovery;
use headless::dns::DnsResolver;
use headless_mysql::{Account, Splitter};
use headless_testkit::mariadb::{DATABASE, MariaDb, PASSWORD, USER};

/// Connects to the Service that is the first argument, with the account in `MYSQL_USER`,
/// `MYSQL_PASSWORD` and `MYSQL_DATABASE`. Without an argument, to three pods that run as long as
/// the second value lives.
pub async fn connect() -> Result<(Splitter, Option<MariaDb>), Box<dyn Error>> {
    if let Some(service) = std::env::args().nth(1) {
        return Ok((Splitter::connect(&service, Account::from_env()?).await?, None));
    }
    let pods = MariaDb::start().await?;
    let resolver = DnsResolver::builder(pods.service().parse()?);
    let resolver = resolver
        .nameserver(pods.cluster().dns_addr())
        .zone(pods.cluster().zone());
    let discovery = Discovery::builder(resolver.build()?).start().await?;
    let account = Account::new(USER, PASSWORD).database(DATABASE);
    Ok((Splitter::builder(account).start(discovery).await?, Some(pods)))
}
