//! The cluster: in process, or the one `PAC_TEST_KUBECONFIG` names.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pac_devcluster::{DevCluster, Faults, Options, TektonPlayer};

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
