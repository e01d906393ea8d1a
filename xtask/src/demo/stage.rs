//! The processes of the demo: development cluster, store, watcher. Each ends with it, by its id.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pac_config::{DriverKind, Key, keys};
use pac_devservers::etcd::Etcd;
use pac_devservers::free_port;
use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_devservers::process::{Child, wait_until};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::DemoOptions;
use super::summary::{RepositoryRow, Verdict};
use crate::http;
use crate::programs::Programs;
use crate::services::{self, ETCD, POSTGRES};

const NAMESPACE: &str = "pipelines-as-code";
/// Who the watcher is.
const IDENTITY: &str = "demo";

enum Store {
    Memory,
    Postgres(Postgres),
    Etcd(Etcd),
}

/// See the [module](self). What was started last ends first.
pub(super) struct Stage {
    watcher: Option<Child>,
    cluster: Child,
    store: Store,
    url: String,
    metrics_port: u16,
    admin_port: u16,
    programs: Programs,
    folder: Option<TempDir>,
    path: PathBuf,
}

// === impl Store ===

impl Store {
    fn start(driver: DriverKind) -> Result<Self> {
        Ok(match driver {
            DriverKind::Memory => Self::Memory,
            DriverKind::PostgreSql => {
                services::bring(&[POSTGRES])?;
                Self::Postgres(Postgres::start()?)
            }
            DriverKind::Etcd => {
                services::bring(&[ETCD])?;
                Self::Etcd(Etcd::start()?)
            }
        })
    }

    /// The settings a watcher needs for it.
    fn settings(&self) -> Map<String, Value> {
        let (driver, of_server): (DriverKind, Vec<(&Key, String)>) = match self {
            Self::Memory => (DriverKind::Memory, Vec::new()),
            Self::Postgres(server) => (
                DriverKind::PostgreSql,
                vec![
                    (&keys::POSTGRESQL_HOST, "127.0.0.1".to_owned()),
                    (&keys::POSTGRESQL_PORT, server.port().to_string()),
                    (&keys::POSTGRESQL_SSL_MODE, "disable".to_owned()),
                ],
            ),
            Self::Etcd(server) => {
                (DriverKind::Etcd, vec![(&keys::ETCD_ENDPOINTS, format!("http://127.0.0.1:{}", server.port()))])
            }
        };
        let general =
            [(&keys::CONCURRENCY_ENABLED, "true".to_owned()), (&keys::CONCURRENCY_DRIVER, driver.to_string())];
        general.into_iter().chain(of_server).map(|(key, value)| (key.into(), value.into())).collect()
    }

    /// The line to look into it with.
    fn look(&self) -> Option<String> {
        match self {
            Self::Memory => None,
            Self::Postgres(server) => Some(format!(
                "PGPASSWORD='{PASSWORD}' psql -h 127.0.0.1 -p {} -U pac_user pac_concurrency",
                server.port()
            )),
            Self::Etcd(server) => Some(format!(
                "ETCDCTL_API=3 etcdctl --endpoints 127.0.0.1:{} get --prefix /pac/concurrency/",
                server.port()
            )),
        }
    }
}

// === impl Stage ===

impl Stage {
    /// Builds the programs and starts all but the watcher.
    pub(super) fn set(options: &DemoOptions) -> Result<Self> {
        let programs = Programs::build(options.release)?;
        let folder = tempfile::Builder::new().prefix("pac-demo-").tempdir()?;
        let path = folder.path().to_owned();
        let store = Store::start(options.driver)?;
        let mut command = Command::new(programs.find("pac-devcluster")?);
        command.args(["serve", "--address", "127.0.0.1:0", "--run-duration"]);
        command.arg(format!("{}ms", options.duration().as_millis()));
        command.args(["--pac", "controller", "--pac-requests-per-second", &requests_per_second(options).to_string()]);
        command.arg("--kubeconfig").arg(path.join("kubeconfig")).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(path.join("devcluster.log"))?);
        let mut cluster = Child::spawn("the development cluster", command)?;
        let url = first_line(&mut cluster)?;
        let stage = Self {
            watcher: None,
            cluster,
            store,
            url,
            metrics_port: free_port()?,
            admin_port: free_port()?,
            programs,
            folder: Some(folder),
            path,
        };
        stage.write_settings()?;
        Ok(stage)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn write_settings(&self) -> Result<()> {
        let core = format!("{}/api/v1/namespaces/{NAMESPACE}", self.url);
        let map = json!({"metadata": {"name": NAMESPACE}, "data": self.store.settings()});
        http::create(&format!("{core}/configmaps"), &map)?;
        if let Store::Postgres(_) = &self.store {
            let data = json!({keys::POSTGRESQL_PASSWORD.name: PASSWORD});
            let secret = json!({"metadata": {"name": "pac-concurrency-secret"}, "stringData": data});
            http::create(&format!("{core}/secrets"), &secret)?;
        }
        Ok(())
    }

    /// Starts the watcher and waits until it says it is ready.
    pub(super) fn start_watcher(&mut self) -> Result<()> {
        let (probes, admin) = (free_port()?, self.admin_port);
        let address = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(self.programs.find("pac-watcher")?);
        command.arg("run").arg("--kubeconfig").arg(self.path.join("kubeconfig")).args(["--namespace", NAMESPACE]);
        command.args(["--metrics-addr", &address(self.metrics_port), "--probe-addr", &address(probes)]);
        command.args(["--admin-addr", &address(admin), "--log-format", "json", "--identity", IDENTITY]);
        self.write_pod(&address(admin))?;
        let log = File::create(self.path.join("watcher.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.watcher = Some(Child::spawn("the watcher", command)?);
        let ready = format!("http://127.0.0.1:{probes}/ready");
        wait_until("the watcher is ready", Duration::from_secs(60), || {
            self.check_alive()?;
            Ok(http::get(&ready).is_ok())
        })
        .inspect_err(|_| self.keep_logs())
    }

    /// The pod that the watcher would run in, so that `pac-watcher queue` finds its admin port.
    fn write_pod(&self, admin_address: &str) -> Result<()> {
        let container =
            json!({"name": "watcher", "image": "pac-watcher", "args": [format!("--admin-addr={admin_address}")]});
        let pod = json!({"metadata": {"name": IDENTITY}, "spec": {"containers": [container]}});
        http::create(&format!("{}/api/v1/namespaces/{NAMESPACE}/pods", self.url), &pod)?;
        Ok(())
    }

    /// An error if a process ended by itself.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        let ended = match &mut self.watcher {
            Some(watcher) => watcher.ended()?,
            None => None,
        };
        if let Some(status) = ended {
            self.keep_logs();
            bail!("the watcher ended ({status}); see {}", self.watcher_log());
        }
        if let Some(status) = self.cluster.ended()? {
            self.keep_logs();
            bail!("the development cluster ended ({status}); see {}", self.path.join("devcluster.log").display());
        }
        Ok(())
    }

    pub(super) fn summary(&self) -> Result<Vec<RepositoryRow>> {
        http::get_json(&format!("{}/_dev/summary", self.url))
    }

    pub(super) fn verdict(&self) -> Result<Verdict> {
        http::get_json(&format!("{}/_dev/verdict", self.url))
    }

    /// How to look at what is there.
    pub(super) fn invitation(&self) -> String {
        let kubeconfig = self.path.join("kubeconfig");
        let mut text = format!(
            "\nNew runs keep coming until Ctrl-C. In another shell:\n\n  export KUBECONFIG={}\n",
            kubeconfig.display()
        );
        text += "  kubectl get pipelineruns --all-namespaces\n";
        if let Ok(watcher) = self.programs.find("pac-watcher") {
            text += &format!("  {} queue list -A\n", watcher.display());
        }
        text += &format!("  curl http://127.0.0.1:{}/metrics\n", self.metrics_port);
        if let Some(look) = self.store.look() {
            text += &format!("  {look}\n");
        }
        text += &format!("\nIn a browser: http://127.0.0.1:{}/\n\n", self.admin_port);
        text
    }

    /// Ends the watcher as a pod's end does, and insists that it ends well.
    pub(super) fn end(&mut self) -> Result<()> {
        let Some(mut watcher) = self.watcher.take() else { return Ok(()) };
        let status = watcher.stop()?;
        if !status.success() {
            self.keep_logs();
            bail!("the watcher was asked to end, and did so with {status}; see {}", self.watcher_log());
        }
        Ok(())
    }

    pub(super) fn watcher_log(&self) -> String {
        self.path.join("watcher.log").display().to_string()
    }

    /// Leaves the logs where they are when everything else goes.
    pub(super) fn keep_logs(&mut self) {
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
    }
}

/// How quick Pipelines-as-Code is: as quick as it is, or where that would take longer than a minute as quick as it must be.
fn requests_per_second(options: &DemoOptions) -> u64 {
    const PACS_OWN: u64 = 50;
    const REQUESTS_OF_A_RUN: u64 = 4;
    (u64::from(options.repositories) * u64::from(options.runs) * REQUESTS_OF_A_RUN / 60).max(PACS_OWN)
}

fn first_line(child: &mut Child) -> Result<String> {
    let output = child.output().context("the development cluster's output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let url = line.trim().to_owned();
    if url.starts_with("http://127.0.0.1:") {
        Ok(url)
    } else {
        bail!("the development cluster said {line:?}, not its URL")
    }
}
