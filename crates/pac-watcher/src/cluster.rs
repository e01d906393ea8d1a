//! How to reach the cluster.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::{WatcherError, with_causes};
use crate::options::SettingsPlace;

/// How to reach the cluster: a kubeconfig by name, or the pod's service account, or the usual places.
pub async fn client(place: &SettingsPlace) -> Result<Client, WatcherError> {
    let cluster = |error: &dyn std::error::Error| WatcherError::Cluster(with_causes(error));
    let config = match &place.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| cluster(&error))?;
            let chosen = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(|error| cluster(&error))?
        }
        None => Config::infer().await.map_err(|error| cluster(&error))?,
    };
    Client::try_from(config).map_err(|error| cluster(&error))
}
