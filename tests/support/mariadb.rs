//! Real MariaDB pods for a scenario, or word that it is left out. What can be done to them is the
//! testkit's.

use headless_testkit::mariadb::{Error, MariaDb, MariaDbBuilder};

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
                is_left_out(),
                "{missing}; cargo xtask test does it too; HEADLESS_SKIP_MARIADB=1 skips these tests"
            );
            eprintln!("SKIPPED: MariaDB is not installed, and HEADLESS_SKIP_MARIADB=1");
            None
        }
        Err(error) => panic!("MariaDB does not start: {error}"),
    }
}

fn is_left_out() -> bool {
    std::env::var("HEADLESS_SKIP_MARIADB").is_ok_and(|skip| skip == "1")
}
