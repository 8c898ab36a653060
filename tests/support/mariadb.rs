//! Real MariaDB pods for a scenario, or a message that it is skipped; and what all tests of the
//! splitter need. What can be done to the pods is the testkit's.

use std::sync::Arc;

use headless_mysql::{Account, Overview, Splitter};
use headless_testkit::mariadb::{self, Error, MariaDb, MariaDbBuilder};

/// The application's account on the pods.
pub fn account() -> Account {
    Account::new(mariadb::USER, mariadb::PASSWORD).database(mariadb::DATABASE)
}

/// Waits until the splitter's overview is like this, and returns it.
pub async fn overview_when(db: &Splitter, like: impl Fn(&Overview) -> bool) -> Arc<Overview> {
    let mut overview = db.overview();
    while !like(&overview) {
        overview = db.changed(&overview).await;
    }
    overview
}

/// Starts pods with these settings.
///
/// `None` if MariaDB is not installed and `HEADLESS_SKIP_MARIADB=1` says that it need not be.
///
/// # Panics
/// If it is not installed, or does not start.
pub async fn start(settings: MariaDbBuilder) -> Option<MariaDb> {
    match settings.start().await {
        Ok(db) => Some(db),
        Err(missing @ Error::NotInstalled { .. }) => {
            assert!(
                is_skipped(),
                "{missing}; cargo xtask test does it too; HEADLESS_SKIP_MARIADB=1 skips these tests"
            );
            eprintln!("SKIPPED: MariaDB is not installed, and HEADLESS_SKIP_MARIADB=1");
            None
        }
        Err(error) => panic!("MariaDB does not start: {error}"),
    }
}

fn is_skipped() -> bool {
    std::env::var("HEADLESS_SKIP_MARIADB").is_ok_and(|skip| skip == "1")
}
