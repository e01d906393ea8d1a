//! The API server, asked and told with the user's own rights.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Client, Config, Resource};
use pac_kube::cluster;
use pac_kube::error::with_causes;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::args::Reach;
use crate::patience::Patience;

/// See the [module](self).
pub(crate) struct Cluster {
    client: Client,
    /// Its URL, for messages.
    server: String,
    patience: Patience,
}

// === impl Cluster ===

impl Cluster {
    /// The one the kubeconfig names. Nobody is asked yet.
    pub(crate) async fn of(reach: &Reach) -> Result<Self, Failure> {
        let config = config(reach).await?;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = cluster::client_of(config).map_err(|error| unusable(&error))?;
        Ok(Self { client, server, patience: reach.patience })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The object of this name, if it is there.
    pub(crate) async fn find<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let what = format!("{} {namespace}/{name}", K::kind(&()));
        self.ask(&what, self.api::<K>(namespace).get_opt(name)).await?.map_err(|error| self.explain(&error))
    }

    /// A pod that has this label and runs, if there is one.
    pub(crate) async fn find_running_pod(&self, namespace: &str, label: &str) -> Result<Option<Pod>, Failure> {
        let what = format!("pods of namespace {namespace}");
        let labelled = ListParams::default().labels(label);
        let pods = self.ask(&what, self.api::<Pod>(namespace).list(&labelled)).await?;
        let pods = pods.map_err(|error| self.explain(&error))?;
        let runs = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            phase.is_none_or(|phase| phase == "Running") && pod.metadata.deletion_timestamp.is_none()
        };
        Ok(pods.items.into_iter().find(runs))
    }

    /// What a request came to, for people.
    pub(crate) fn explain(&self, error: &kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) => {
                Failure::Unreachable(format!("the API server at {} refused: {}", self.server, status.message))
            }
            error => {
                let why = with_causes(error);
                Failure::Unreachable(format!("the API server at {} can't be reached: {why}", self.server))
            }
        }
    }

    /// Waits for what is asked of the API server, and says what was asked if no answer comes.
    pub(crate) async fn ask<T>(&self, what: &str, request: impl Future<Output = T>) -> Result<T, Failure> {
        let whom = format!("the API server at {}, asked for {what},", self.server);
        self.patience.wait(whom, request).await.map_err(Failure::Unreachable)
    }
}

/// What the kubeconfig, or the pod's service account, says.
pub(crate) async fn config(reach: &Reach) -> Result<Config, Failure> {
    let chosen = KubeConfigOptions { context: reach.context.clone(), ..KubeConfigOptions::default() };
    match &reach.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
            Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(|error| unusable(&error))
        }
        None if reach.context.is_some() => Config::from_kubeconfig(&chosen).await.map_err(|error| unusable(&error)),
        None => Config::infer().await.map_err(|error| unusable(&error)),
    }
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> Failure {
    let why = with_causes(error);
    Failure::Local(format!("which cluster to ask can't be told: {why}; see --kubeconfig, --context, --admin-url"))
}
