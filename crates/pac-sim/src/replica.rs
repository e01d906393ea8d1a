//! The watchers: the whole product, one process each, as `pac-watcher run` has it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusHandle;
use pac_concurrency::{Capabilities, ConnectedStore, DriverError, Fault};
use pac_config::DriverSettings;
use pac_devcluster::DevCluster;
use pac_driver_mem::MemDriver;
use pac_kube::cluster::client_through;
use pac_kube::error::with_causes;
use pac_watcher::{Connect, GateKind, Mode, Pace, SettingsPlace, WatcherOptions, run_with};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::network::Network;
use crate::store::{StoreDriver, StoreServer};
use crate::trace::Trace;
use crate::way::Way;
use crate::weather::Weather;

/// PAC's namespace, and the name of its ConfigMap.
pub(crate) const SETTINGS: &str = "pipelines-as-code";
/// How long the others wait for a leader.
const LEADER_LEASE: Duration = Duration::from_secs(5);

/// What all watchers share: the world outside of their processes.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) cluster: Arc<DevCluster>,
    pub(crate) postgresql: Arc<StoreServer>,
    pub(crate) etcd: Arc<StoreServer>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) trace: Trace,
    /// Nobody counts, but watchers ask for it.
    pub(crate) counted: PrometheusHandle,
}

/// A process.
pub(crate) struct Replica {
    pub(crate) way: Arc<Way>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// The stores as one watcher reaches them.
struct Stores {
    outside: Outside,
    way: Arc<Way>,
}

// === impl Replica ===

impl Replica {
    /// A process begins.
    pub(crate) fn start(number: usize, identity: String, companion: bool, elected: bool, outside: &Outside) -> Self {
        outside.trace.tell(&format!("{identity} starts"));
        let way = Arc::new(Way::new(number, identity.clone()));
        let stop = CancellationToken::new();
        let network = Network {
            cluster: Arc::clone(&outside.cluster),
            way: Arc::clone(&way),
            weather: Arc::clone(&outside.weather),
            trace: outside.trace.clone(),
        };
        let connect = Arc::new(Stores { outside: outside.clone(), way: Arc::clone(&way) });
        let (trace, token, counted) = (outside.trace.clone(), stop.clone(), outside.counted.clone());
        let running = tokio::spawn(async move {
            let outcome = match client_through(network) {
                Ok(client) => {
                    let options = options(&identity, companion, elected);
                    Box::pin(run_with(client, options, connect, counted, token))
                        .await
                        .map_err(|error| with_causes(&error))
                }
                Err(error) => Err(with_causes(&error)),
            };
            trace.tell(&format!("{identity} ended: {outcome:?}"));
        });
        Self { way, stop, running }
    }

    /// It ends at once, at whatever it is doing.
    pub(crate) fn crash(self) {
        self.way.close();
        // What is left of it reaches nobody, and takes its time.
        self.stop.cancel();
    }

    /// It is asked to end, and does.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        // Its outcome is in the trace.
        let _ = self.running.await;
    }

    /// It is asked to end; whoever comes after it doesn't wait.
    pub(crate) fn ask_to_end(self) {
        self.stop.cancel();
    }

    /// Whether it ended without being asked.
    pub(crate) fn has_ended(&self) -> bool {
        self.running.is_finished() && !self.stop.is_cancelled()
    }
}

fn options(identity: &str, companion: bool, elected: bool) -> WatcherOptions {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    WatcherOptions {
        metrics_addr: any_port,
        probe_addr: any_port,
        admin_addr: any_port,
        place: SettingsPlace {
            namespace: SETTINGS.to_owned(),
            config_map: SETTINGS.to_owned(),
            secret: "pac-concurrency-secret".to_owned(),
            config_file: None,
            kubeconfig: None,
            request_timeout: Duration::from_secs(10),
        },
        global_repository: SETTINGS.to_owned(),
        mode: if companion { Mode::Companion } else { Mode::Standalone },
        gate: GateKind::Policy,
        webhook_addr: any_port,
        tenants: None,
        identity: identity.to_owned(),
        leader_elect: elected,
        leader_lease: LEADER_LEASE,
        pace: Pace::default(),
    }
}

#[async_trait]
impl Connect for Stores {
    fn capabilities(&self, settings: &DriverSettings) -> Capabilities {
        match settings {
            DriverSettings::Memory(_) => MemDriver::CAPABILITIES,
            DriverSettings::PostgreSql(_) | DriverSettings::Etcd(_) => StoreDriver::CAPABILITIES,
        }
    }

    async fn connect(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError> {
        let server = match settings {
            DriverSettings::Memory(memory) => return Ok(Arc::new(MemDriver::new(memory.lease_ttl)).into()),
            DriverSettings::PostgreSql(_) => &self.outside.postgresql,
            DriverSettings::Etcd(_) => &self.outside.etcd,
        };
        let (way, weather) = (Arc::clone(&self.way), Arc::clone(&self.outside.weather));
        let driver = StoreDriver::new(server, way, weather, self.outside.trace.clone());
        // As the real ones do before they are fit for use.
        driver.reached().await.map_err(|error| DriverError::Unavailable(Fault::new(error.to_string())))?;
        Ok(Arc::new(driver).into())
    }

    async fn look(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError> {
        self.connect(settings).await
    }
}
