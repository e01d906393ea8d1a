//! What is outside of the watchers' processes, and theirs together.

use std::collections::BTreeSet;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use pac_devcluster::DevCluster;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

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
    /// The runs of which a start was denied, as `namespace/name`.
    pub(crate) denied: Arc<Mutex<BTreeSet<String>>>,
    /// Nobody counts, but watchers ask for it.
    pub(crate) counted: PrometheusHandle,
}

// === impl Outside ===

impl Outside {
    /// A request started a run that was like this before, and was `asked` for then.
    pub(crate) fn started(&self, before: Option<&Value>, asked: Instant, what: &str) {
        let has_slot = |uid: &str| [&self.postgresql, &self.etcd].into_iter().any(|server| server.holds(uid));
        self.witness.started(before, has_slot, asked, what);
    }
}
