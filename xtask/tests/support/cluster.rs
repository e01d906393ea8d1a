//! The development cluster as a process, or a namespace of a real one, and the real kubectl.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use pac_devservers::process::Child;
use serde_json::Value;
use tempfile::TempDir;

use super::api::Api;
use super::{error_of, program};

const INSTALL: &str = "kubectl is missing; as root on Debian `cargo xtask test` installs it";

/// PAC's own watcher: its Deployment.
pub(crate) const PACS_NAME: &str = "pipelines-as-code-watcher";
/// The same, as far as a patch of it could matter.
pub(crate) const PACS_WATCHER: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: pipelines-as-code-watcher, namespace: pipelines-as-code}
spec:
  replicas: 1
  selector: {matchLabels: {app.kubernetes.io/name: watcher}}
  template:
    metadata: {labels: {app.kubernetes.io/name: watcher, app.kubernetes.io/version: v1}}
    spec:
      serviceAccountName: pipelines-as-code-watcher
      containers:
      - name: pac-watcher
        image: pac:v1
        env: [{name: SYSTEM_NAMESPACE, value: pipelines-as-code}]
        ports: [{name: probes, containerPort: 8080}, {name: metrics, containerPort: 9090}]
";
/// PAC's ConfigMap as a release has it: nine keys, none of them ours.
pub(crate) const PACS_SETTINGS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: pipelines-as-code
  namespace: pipelines-as-code
  labels: {app.kubernetes.io/part-of: pipelines-as-code}
data:
  application-name: My CI
  secret-auto-create: 'true'
  hub-url: https://hub.example.com
  hub-catalog-name: tekton
  remote-tasks: 'true'
  max-keep-run-upper-limit: '5'
  default-max-keep-runs: '3'
  error-log-snippet: 'true'
  tekton-dashboard-url: ''
";
/// Where everything is in the development cluster, and in the files that are committed.
const NAMESPACE: &str = "pipelines-as-code";

/// A cluster of one's own; it ends with this.
pub(crate) struct Cluster {
    /// None where it is a real one.
    process: Option<Child>,
    pub(crate) url: String,
    pub(crate) folder: TempDir,
    kubeconfig: PathBuf,
    namespace: String,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of_version(&[])
    }

    /// One that is another Kubernetes than the newest: `--kubernetes=1.28`, say.
    pub(crate) fn of_version(version: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(program("pac-devcluster"));
        command.args(["serve", "--address", "127.0.0.1:0", "--run-duration", "300ms"]);
        // Whether PAC's watcher runs is what tests are about, so that its Secrets can't be left to it.
        command.args(["--pac", "queue", "--pac-secrets", "controller", "--watcher-later", "--kubeconfig"]);
        command.arg(folder.path().join("kubeconfig")).args(version).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Child::spawn("the development cluster", command).unwrap();
        let mut url = String::new();
        BufReader::new(process.output().unwrap()).read_line(&mut url).unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let namespace = NAMESPACE.to_owned();
        Self { process: Some(process), url: url.trim().to_owned(), folder, kubeconfig, namespace }
    }

    /// A namespace of its own in the cluster that `PAC_TEST_KUBECONFIG` names, or a development cluster. For tests that do
    /// nothing outside of it.
    pub(crate) fn real_or_start() -> Self {
        let Some(kubeconfig) = std::env::var_os("PAC_TEST_KUBECONFIG") else { return Self::start() };
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("pac-test-{}-{number}", std::process::id());
        let folder = TempDir::new().unwrap();
        let cluster = Self { process: None, url: String::new(), folder, kubeconfig: kubeconfig.into(), namespace };
        cluster.run(&["create", "namespace", &cluster.namespace]);
        cluster
    }

    pub(crate) fn api(&self) -> Api {
        Api { url: self.url.clone() }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// A file in the cluster's own folder; its objects are in this cluster's namespace.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let here = format!("namespace: {}", self.namespace);
        fs::write(&path, text.replace("namespace: pipelines-as-code", &here)).unwrap();
        path
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut command = kubectl(self.folder.path());
        command.env("KUBECONFIG", self.kubeconfig()).args(["--namespace", &self.namespace]).args(arguments);
        command.output().expect(INSTALL)
    }

    /// What it prints; it must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        assert!(output.status.success(), "kubectl {arguments:?}: {}", error_of(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// An object as the server has it.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.run(&["get", kind, name, "--output=json"])).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.process.is_none() {
            drop(self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]));
        }
    }
}

/// kubectl with a home of its own, for what needs no cluster.
pub(crate) fn kubectl(home: &Path) -> Command {
    let mut command = Command::new("kubectl");
    command.env("HOME", home).env_remove("KUBECONFIG");
    command
}
