//! How a program ends: asked to, or by an error that says why.

use std::error::Error;

/// SIGTERM is what Kubernetes sends. A container's first process must ask for it, or the signal
/// does nothing.
#[cfg(unix)]
pub async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
pub async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// An error with its causes, in one line: the cause is often what tells the most.
pub fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let says = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&says) {
            text = format!("{text}: {says}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let parse = "x".parse::<u8>().unwrap_err();
        let outer = std::io::Error::other(parse.clone());
        assert_eq!(explain(&outer), parse.to_string());
    }
}
