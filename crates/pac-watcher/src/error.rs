//! Errors of the watcher as a whole.

use pac_kube::cluster::NoCluster;
use pac_view::http::NoPort;

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
    #[error(transparent)]
    Listen(#[from] NoPort),
    /// The webhook can't be served.
    #[error(transparent)]
    Webhook(#[from] pac_webhook::NoPort),
    /// Tenants can't be served.
    #[error(transparent)]
    Tenants(#[from] pac_tenants::NoPort),
}
