//! The cluster: in process, or the one `PAC_TEST_KUBECONFIG` names.

use std::path::{Path, PathBuf};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config, ResourceExt};
use pac_devcluster::{DevCluster, Faults, Options, TektonPlayer};

/// The label of namespaces that tests have made.
pub const OF_TESTS: &str = "concurrency.pipelinesascode.tekton.dev/tests";

pub struct Cluster {
    development: Option<DevCluster>,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

/// Tekton says of every run that waits that it is pending, as ever. The test says what becomes of those that were started.
pub fn pending_only() -> Options {
    let tekton = TektonPlayer { pending_only: true, ..TektonPlayer::default() };
    Options { tekton: Some(tekton), ..Options::default() }
}

impl Cluster {
    pub async fn start() -> Self {
        if let Ok(real) = std::env::var("PAC_TEST_KUBECONFIG") {
            return Self { development: None, kubeconfig: real.into(), folder: tempfile::tempdir().unwrap() };
        }
        Self::play(pending_only()).await
    }

    /// The development cluster, played like this.
    pub async fn play(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let development = DevCluster::start(options).await.unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, development.kubeconfig()).unwrap();
        Self { development: Some(development), kubeconfig, folder }
    }

    /// Takes away what tests before this one left in a real cluster, since the watcher looks at every namespace. The namespaces stay:
    /// an API server alone has nobody who would finish deleting them.
    pub async fn clear(&self, client: &Client) {
        if self.development.is_some() {
            return;
        }
        let (all, delete) = (ListParams::default(), DeleteParams::default());
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for namespace in namespaces.list(&ListParams::default().labels(OF_TESTS)).await.unwrap() {
            let namespace = namespace.name_any();
            for (group, version, kind, plural) in [
                ("tekton.dev", "v1", "PipelineRun", "pipelineruns"),
                ("pipelinesascode.tekton.dev", "v1alpha1", "Repository", "repositories"),
            ] {
                let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
                let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
                objects.delete_collection(&delete, &all).await.unwrap();
            }
            let settings: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
            settings.delete_collection(&delete, &all).await.unwrap();
            let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
            leases.delete_collection(&delete, &all).await.unwrap();
        }
    }

    pub fn kubeconfig_file(&self) -> &Path {
        &self.kubeconfig
    }

    /// The development cluster by way of another port, and asked with a name for rules of faults to go by.
    pub fn kubeconfig_of(&self, caller: &str, port: u16) -> PathBuf {
        let known = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let changed = known
            .replace(&format!(":{}", self.port()), &format!(":{port}"))
            .replace("user: {}", &format!("user: {{token: {caller}}}"));
        let file = self.folder.path().join(caller);
        std::fs::write(&file, changed).unwrap();
        file
    }

    /// Where the development cluster listens.
    pub fn port(&self) -> u16 {
        let url = self.development.as_ref().unwrap().url();
        url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
    }

    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// The development cluster itself, for tests that run in no other.
    pub fn development(&self) -> &DevCluster {
        self.development.as_ref().unwrap()
    }

    /// The switchboard for faults. A real cluster has none: there `build.rs` marks the tests that need it as ignored.
    pub fn faults(&self) -> &Faults {
        self.development.as_ref().expect("needs faults of the API server, which a real cluster has none of").faults()
    }
}
