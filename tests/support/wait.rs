//! Waiting for a condition, with a bound.

use std::time::Duration;

use tokio::time::{interval, timeout};

/// Bound of each wait, for a machine that does other things too.
pub const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// Returns once the condition holds.
///
/// # Panics
/// If it does not hold within [`WAIT_LIMIT`], with the text of `what`.
pub async fn until(mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let mut ticks = interval(Duration::from_millis(5));
    let holds = async {
        while !condition() {
            ticks.tick().await;
        }
    };
    assert!(timeout(WAIT_LIMIT, holds).await.is_ok(), "did not happen: {}", what());
}
