//! How the watcher is run: everything that isn't a setting of the concurrency system itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pac_concurrency::RepositoryKey;
use pac_kube::gate::GateKind;
use pac_tenants::TenantsOptions;
use pac_view::notices::Pace;

use crate::error::WatcherError;

/// Who owns a run's state label to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The watcher does: started, completed, failed.
    Standalone,
    /// PAC's own watcher does, beside this one; ours only admits.
    Companion,
    /// PAC's own watcher does, and starts runs from its own queue; ours only watches, writes nothing, and measures.
    Shadow,
}

/// Where the settings and the cluster are.
#[derive(Debug, Clone)]
pub struct SettingsPlace {
    /// The namespace of PAC: of the ConfigMap, the Secret, the Lease and the global Repository.
    pub namespace: String,
    /// The name of PAC's ConfigMap; ours beside it has a fixed one.
    pub config_map: String,
    /// The Secret's name.
    pub secret: String,
    /// A YAML file in place of ConfigMap and Secret.
    pub config_file: Option<PathBuf>,
    /// A kubeconfig in place of the pod's service account or the usual places.
    pub kubeconfig: Option<PathBuf>,
    /// How long one request for the settings may take.
    pub request_timeout: Duration,
}

/// What the binary makes of its flags.
#[derive(Debug, Clone)]
pub struct WatcherOptions {
    /// Where Prometheus scrapes.
    pub metrics_addr: SocketAddr,
    /// Where the kubelet probes `/live` and `/ready`.
    pub probe_addr: SocketAddr,
    /// Where `/debug/queue` is; loopback, so that Kubernetes' RBAC on port-forward guards it.
    pub admin_addr: SocketAddr,
    /// Where the settings and the cluster are.
    pub place: SettingsPlace,
    /// The name of the Repository whose limit applies to those without one.
    pub global_repository: String,
    /// Who owns the state label.
    pub mode: Mode,
    /// What keeps PAC's own queue out; it counts in companion mode alone.
    pub gate: GateKind,
    /// Where the API server calls the webhook, where that is the gate.
    pub webhook_addr: SocketAddr,
    /// The port for tenants, where it is served.
    pub tenants: Option<TenantsOptions>,
    /// Who this watcher is: the pod's name.
    pub identity: String,
    /// Whether one of several watchers leads, by a Kubernetes Lease.
    pub leader_elect: bool,
    /// How long a leader that is gone is waited for.
    pub leader_lease: Duration,
    /// How closely what runs say of their wait follows what is so.
    pub pace: Pace,
}

// === impl WatcherOptions ===

impl WatcherOptions {
    /// The Repository whose limit applies to those without one.
    pub(crate) fn global(&self) -> Result<RepositoryKey, WatcherError> {
        RepositoryKey::new(&self.place.namespace, &self.global_repository)
            .map_err(|error| WatcherError::Settings(format!("--namespace and --global-repository: {error}")))
    }
}
