//! Errors of the watcher as a whole.

use pac_kube::cluster::NoCluster;

/// Why the watcher can't run at all.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The settings are wrong: exit code 2.
    #[error("the settings can't be used:\n{0}")]
    Settings(String),
    /// No way to reach a cluster was found.
    #[error(transparent)]
    Cluster(#[from] NoCluster),
    /// A port could not be had.
    #[error("can't listen on {address} ({what})")]
    Listen {
        /// Which of the ports.
        what: &'static str,
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}
