//! What the watcher's container has for the port for tenants, and how that is found and taken away again.

use serde_json::{Value, json};

use super::names::WATCHER;

/// The Service, the Secret with its certificate, and what the watcher may do for it.
pub(super) const TENANTS: &str = "pac-concurrency-tenants";
/// Where the port is.
pub(super) const PORT: u16 = 8443;
/// Where the certificate is mounted.
pub(super) const FOLDER: &str = "/etc/pac-concurrency/tenants";
const ADDRESS: &str = "PAC_WATCHER_TENANTS_ADDR";
const CERTIFICATE: &str = "PAC_WATCHER_TENANTS_TLS_CERT";
const KEY: &str = "PAC_WATCHER_TENANTS_TLS_KEY";
pub(super) const AUDIENCE: &str = "PAC_WATCHER_TENANTS_AUDIENCE";

/// The port as it is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tenants {
    /// For whom a token must be; none for what the watcher has by default.
    pub(super) audiences: Vec<String>,
}

// === impl Tenants ===

impl Tenants {
    /// The port that a container with these variables serves, if it is ours.
    pub(super) fn served_by(value: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let own = variables().into_iter().all(|(name, wanted)| value(name).as_deref() == Some(&wanted));
        let audiences = value(AUDIENCE).unwrap_or_default();
        let audiences = audiences.split(',').filter(|audience| !audience.is_empty()).map(str::to_owned);
        own.then(|| Self { audiences: audiences.collect() })
    }

    /// What the watcher is given.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let audiences = (!self.audiences.is_empty()).then(|| (AUDIENCE, self.audiences.join(",")));
        variables().into_iter().chain(audiences)
    }
}

/// A patch by which the Deployment has nothing of that, whoever gave it.
pub(super) fn unpatch() -> Value {
    let gone = |name: &str| json!({"name": name, "$patch": "delete"});
    let env: Vec<_> = [ADDRESS, CERTIFICATE, KEY, AUDIENCE].map(gone).into();
    let mount = json!({"mountPath": FOLDER, "$patch": "delete"});
    let container = json!({"name": WATCHER, "env": env, "volumeMounts": [mount]});
    json!({"spec": {"template": {"spec": {"containers": [container], "volumes": [gone(TENANTS)]}}}})
}

/// What the watcher is given, whoever is served.
pub(super) fn variables() -> [(&'static str, String); 3] {
    [(ADDRESS, format!("[::]:{PORT}")), (CERTIFICATE, format!("{FOLDER}/tls.crt")), (KEY, format!("{FOLDER}/tls.key"))]
}
