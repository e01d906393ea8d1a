//! The watchers: the whole product, one process each, as `pac-watcher run` has it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http::Request;
use http_body_util::BodyExt;
use pac_concurrency::{Capabilities, ConnectedStore, DriverError, Fault};
use pac_config::DriverSettings;
use pac_driver_mem::MemDriver;
use pac_kube::cluster::client_through;
use pac_kube::error::with_causes;
use pac_watcher::{Connect, GateKind, Mode, Pace, Router, SettingsPlace, WatcherOptions, run_with};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::network::Network;
use crate::outside::Outside;
use crate::scenario::Scenario;
use crate::store::StoreDriver;
use crate::way::Way;

/// PAC's namespace, and the name of its ConfigMap.
pub(crate) const SETTINGS: &str = "pipelines-as-code";
/// How long the others wait for a leader. Where slots are in its memory alone, it is longer than a start may take here, as it is there unless
/// somebody says otherwise.
const LEADER_LEASE: Duration = Duration::from_secs(5);
pub(crate) const LEADER_LEASE_OF_MEMORY: Duration = Duration::from_secs(11);

/// A process.
pub(crate) struct Replica {
    pub(crate) way: Arc<Way>,
    /// What its admin port answers, once it does.
    answers: Arc<OnceLock<Router>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// The admin port of a watcher.
pub(crate) struct Asked(Arc<OnceLock<Router>>);

/// The stores as one watcher reaches them.
struct Stores {
    outside: Outside,
    way: Arc<Way>,
}

// === impl Replica ===

impl Replica {
    /// A process begins in a container of `pod`, by whose name it is known to others.
    pub(crate) fn start(number: usize, identity: String, pod: &str, scenario: &Scenario, outside: &Outside) -> Self {
        outside.trace.tell(&format!("{identity} starts"));
        let way = Arc::new(Way::new(number, identity.clone()));
        let stop = CancellationToken::new();
        let network = Network { outside: outside.clone(), way: Arc::clone(&way) };
        let connect = Arc::new(Stores { outside: outside.clone(), way: Arc::clone(&way) });
        let (trace, token, counted) = (outside.trace.clone(), stop.clone(), outside.counted.clone());
        let answers = Arc::new(OnceLock::new());
        let (told, own) = (Arc::clone(&answers), Arc::clone(&way));
        let options = options(pod, scenario);
        let running = tokio::spawn(async move {
            let outcome = match client_through(network) {
                Ok(client) => {
                    // Set once: there is one process.
                    let answers = move |answers| _ = told.set(answers);
                    Box::pin(run_with(client, options, connect, counted, answers, token))
                        .await
                        .map_err(|error| with_causes(&error))
                }
                Err(error) => Err(with_causes(&error)),
            };
            trace.tell(&format!("{identity} ended: {outcome:?}"));
            // What of it still runs would have ended with its process.
            own.close();
        });
        Self { way, answers, stop, running }
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

    /// Its admin port.
    pub(crate) fn asked(&self) -> Asked {
        Asked(Arc::clone(&self.answers))
    }

    /// Whether it ended without being asked.
    pub(crate) fn has_ended(&self) -> bool {
        self.running.is_finished() && !self.stop.is_cancelled()
    }
}

// === impl Asked ===

impl Asked {
    /// What it answers at `path`, in JSON; none if nobody is there yet, or if it says that it doesn't know.
    pub(crate) async fn answer<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let request = Request::get(path).body(String::new()).ok()?;
        let answer = self.0.get()?.clone().oneshot(request).await.ok()?;
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        serde_json::from_slice(&body).ok()
    }
}

fn options(pod: &str, scenario: &Scenario) -> WatcherOptions {
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
        mode: if scenario.companion { Mode::Companion } else { Mode::Standalone },
        gate: GateKind::Policy,
        webhook_addr: any_port,
        tenants: None,
        identity: pod.to_owned(),
        leader_elect: scenario.elected,
        leader_lease: if scenario.has_server() { LEADER_LEASE } else { LEADER_LEASE_OF_MEMORY },
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
