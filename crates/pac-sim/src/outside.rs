//! What is outside of the watchers' processes, and theirs together.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use pac_devcluster::DevCluster;

use crate::store::{StoreServer, Witness};
use crate::trace::Trace;
use crate::weather::Weather;

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) cluster: Arc<DevCluster>,
    pub(crate) postgresql: Arc<StoreServer>,
    pub(crate) etcd: Arc<StoreServer>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) trace: Trace,
    /// Nobody counts, but watchers ask for it.
    pub(crate) counted: PrometheusHandle,
}

// === impl Outside ===

impl Outside {
    /// Whether a run that is there has a slot in neither server.
    pub(crate) fn lacks_slot(&self, namespace: &str, name: &str) -> bool {
        let Some(run) = self.cluster.store().get("pipelineruns", namespace, name) else { return false };
        let uid = run["metadata"]["uid"].as_str().unwrap_or_default();
        ![&self.postgresql, &self.etcd].into_iter().any(|server| server.holds(uid))
    }
}
