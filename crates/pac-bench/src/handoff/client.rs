//! A client of the API server.

use std::path::Path;

use anyhow::Result;
use pac_kube::cluster;

/// The watcher's own client.
pub(super) async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    Ok(cluster::client(Some(kubeconfig)).await?)
}
