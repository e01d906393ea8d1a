//! Errors of the watcher as a whole.

use std::error::Error;

/// Why the watcher can't run at all.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The settings are wrong: exit code 2.
    #[error("the settings can't be used:\n{0}")]
    Settings(String),
    /// No way to reach a cluster was found.
    #[error("can't tell how to reach the API server: {0}")]
    Cluster(String),
    /// A port could not be had.
    #[error("can't listen on {address} ({what}): {source}")]
    Listen {
        /// Which of the ports.
        what: &'static str,
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// An error and all that it says is behind it, in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many libraries print their source themselves.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
