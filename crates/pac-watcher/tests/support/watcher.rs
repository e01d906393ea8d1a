//! A watcher in this process, on a runtime of its own, so that it can be killed like a process.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryFutureExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use pac_concurrency::{Capabilities, ConnectedStore, DriverError, Fault};
use pac_config::{DriverSettings, EtcdMode};
use pac_driver_mem::MemDriver;
use pac_kube::error::with_causes;
use pac_watcher::{
    AUDIENCE, Connect, GateKind, Mode, Pace, SettingsPlace, TenantsOptions, WatcherError, WatcherOptions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use super::treacherous::{Switches, Treacherous};

pub struct Watcher {
    runtime: Option<Runtime>,
    running: Option<JoinHandle<Result<(), WatcherError>>>,
    stop: CancellationToken,
    pub probe_addr: SocketAddr,
    pub admin_addr: SocketAddr,
    pub metrics_addr: SocketAddr,
    pub tenants_addr: SocketAddr,
    pub webhook_addr: SocketAddr,
    /// What its store does.
    pub store: Arc<Switches>,
    log: Log,
}

struct Memory(Arc<Switches>);

/// What the watcher logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A PostgreSQL at this port never answers.
pub const SILENT_PORT: u16 = 5433;

#[async_trait]
impl Connect for Memory {
    fn capabilities(&self, settings: &DriverSettings) -> Capabilities {
        match settings {
            DriverSettings::Memory(_) => MemDriver::CAPABILITIES,
            DriverSettings::Etcd(etcd) if etcd.mode != EtcdMode::Etcd => MemDriver::CAPABILITIES,
            // As the servers, which are played here.
            DriverSettings::PostgreSql(_) | DriverSettings::Etcd(_) => Capabilities { durable: true, shared: true },
        }
    }

    async fn connect(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError> {
        match settings {
            // As where packets are swallowed.
            DriverSettings::PostgreSql(settings) if settings.servers[0].port == SILENT_PORT => {
                std::future::pending().await
            }
            DriverSettings::PostgreSql(_) => Err(DriverError::Unavailable(Fault::new("db.example.com:5432 is away"))),
            settings => Ok(Arc::new(Treacherous::new(settings.lease_ttl(), Arc::clone(&self.0))).into()),
        }
    }

    async fn look(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError> {
        self.connect(settings).await
    }
}

impl Watcher {
    pub fn start(kubeconfig: &Path) -> Self {
        // A watcher that takes over from a killed one of the same name needn't wait for its Lease to run out.
        Self::start_as(kubeconfig, "watcher-0")
    }

    pub fn start_as(kubeconfig: &Path, identity: &str) -> Self {
        Self::start_at_pace(kubeconfig, identity, Pace::default())
    }

    /// One that keeps what runs say of their wait at this pace.
    pub fn start_at_pace(kubeconfig: &Path, identity: &str, pace: Pace) -> Self {
        Self::start_with(kubeconfig, identity, Mode::Standalone, GateKind::default(), true, pace)
    }

    /// One beside PAC's own, whose queue this gate keeps out.
    pub fn start_beside_pac(kubeconfig: &Path, gate: GateKind) -> Self {
        Self::start_beside_pac_as(kubeconfig, gate, "watcher-0")
    }

    pub fn start_beside_pac_as(kubeconfig: &Path, gate: GateKind, identity: &str) -> Self {
        Self::start_with(kubeconfig, identity, Mode::Companion, gate, true, Pace::default())
    }

    /// One of several that all lead.
    pub fn start_without_election(kubeconfig: &Path, identity: &str) -> Self {
        Self::start_with(kubeconfig, identity, Mode::Standalone, GateKind::default(), false, Pace::default())
    }

    fn start_with(
        kubeconfig: &Path,
        identity: &str,
        mode: Mode,
        gate: GateKind,
        leader_elect: bool,
        pace: Pace,
    ) -> Self {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let dispatch = tracing::Dispatch::new(subscriber);
        // On every thread of the watcher's runtime, and on no other: tests of one process have a log each.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let tenants_addr = free_port();
        let options = WatcherOptions {
            metrics_addr: free_port(),
            probe_addr: free_port(),
            admin_addr: free_port(),
            place: SettingsPlace {
                namespace: "pipelines-as-code".to_owned(),
                config_map: "pipelines-as-code".to_owned(),
                secret: "pac-concurrency-secret".to_owned(),
                config_file: None,
                kubeconfig: Some(kubeconfig.to_owned()),
                request_timeout: Duration::from_secs(10),
            },
            global_repository: "pipelines-as-code".to_owned(),
            mode,
            gate,
            webhook_addr: free_port(),
            tenants: Some(TenantsOptions {
                address: tenants_addr,
                tls: None,
                audiences: vec![AUDIENCE.to_owned()],
                holds: Duration::from_millis(500),
            }),
            identity: identity.to_owned(),
            leader_elect,
            leader_lease: Duration::from_secs(15),
            pace,
        };
        let (probe_addr, admin_addr) = (options.probe_addr, options.admin_addr);
        let (metrics_addr, webhook_addr) = (options.metrics_addr, options.webhook_addr);
        let store = Arc::new(Switches::default());
        let counted = PrometheusBuilder::new().build_recorder().handle();
        let watching = pac_watcher::run(options, Arc::new(Memory(Arc::clone(&store))), counted, stop.clone());
        // A watcher that can't run would otherwise only show as something waited for in vain.
        let running =
            runtime.spawn(watching.inspect_err(|error| eprintln!("the watcher ended: {}", with_causes(error))));
        let (runtime, running) = (Some(runtime), Some(running));
        Self { runtime, running, stop, probe_addr, admin_addr, metrics_addr, tenants_addr, webhook_addr, store, log }
    }

    /// Waits until the log has this text.
    pub async fn log_says(&self, text: &str) {
        self.log_says_times(text, 1).await;
    }

    /// Waits until the log has this text so many times.
    pub async fn log_says_times(&self, text: &str, times: usize) {
        let said = tokio::time::timeout(PATIENCE, async {
            while self.log_count(text) < times {
                tokio::time::sleep(Duration::from_millis(10)).await; // nothing tells of a log line
            }
        });
        assert!(said.await.is_ok(), "the log never said {text:?}:\n{}", self.log_text());
    }

    /// How often the log has this text.
    pub fn log_count(&self, text: &str) -> usize {
        self.log_text().matches(text).count()
    }

    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().unwrap()).into_owned()
    }

    /// Waits until `/ready` says so, or not.
    pub async fn ready(&self, ready: bool) {
        let told = tokio::time::timeout(PATIENCE, async {
            while (self.get(self.probe_addr, "/ready").await.0 == 200) != ready {
                tokio::time::sleep(Duration::from_millis(20)).await; // a probe asks again and again, too
            }
        });
        assert!(told.await.is_ok(), "never said ready: {ready}; {:?}", self.get(self.probe_addr, "/ready").await);
    }

    /// Waits until `/metrics` has this text, or not.
    pub async fn metrics_have(&self, text: &str, there: bool) {
        self.shows(self.metrics_addr, "/metrics", text, there).await;
    }

    /// Waits until `path` at one of the ports has this text, or not.
    pub async fn shows(&self, address: SocketAddr, path: &str, text: &str, there: bool) {
        let told = tokio::time::timeout(PATIENCE, async {
            while self.get(address, path).await.1.contains(text) != there {
                tokio::time::sleep(Duration::from_millis(20)).await; // Prometheus asks again and again, too
            }
        });
        assert!(told.await.is_ok(), "never so: {text:?} in {path} is {there}: {}", self.get(address, path).await.1);
    }

    /// Status and body of a GET; status 0 while nobody listens.
    pub async fn get(&self, address: SocketAddr, path: &str) -> (u16, String) {
        let Ok(mut stream) = TcpStream::connect(address).await else { return (0, String::new()) };
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    pub fn stop(mut self) {
        self.stop.cancel();
        let (runtime, running) = (self.runtime.take().unwrap(), self.running.take().unwrap());
        let stopped = std::thread::spawn(move || runtime.block_on(running)).join().unwrap();
        stopped.unwrap().unwrap();
    }

    pub fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log_text());
        }
    }
}

fn free_port() -> SocketAddr {
    ([127, 0, 0, 1], pac_devservers::free_port().unwrap()).into()
}
