//! Who may see the PipelineRuns of one namespace, and what a port for them shows.

use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::World;

/// What a port shows, as PEM.
pub(crate) struct Shown {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

// === impl Shown ===

impl Shown {
    /// For these names and addresses, vouched for by itself.
    pub(crate) fn of(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn write(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, &self.certificate).unwrap();
        std::fs::write(key, &self.key).unwrap();
    }
}

// === impl World ===

impl World {
    /// A token, for this audience or the API server, of a service account that may get the PipelineRuns of team-0.
    pub(crate) fn tenant(&self, audience: Option<&str>) -> String {
        let store = self.cluster.store();
        store.create("serviceaccounts", "team-0", json!({"metadata": {"name": "ci"}})).unwrap();
        let rules = json!([{"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": ["get"]}]);
        store.create("roles", "team-0", json!({"metadata": {"name": "ci"}, "rules": rules})).unwrap();
        let binding = json!({
            "metadata": {"name": "ci"},
            "roleRef": {"kind": "Role", "name": "ci"},
            "subjects": [{"kind": "ServiceAccount", "name": "ci"}],
        });
        store.create("rolebindings", "team-0", binding).unwrap();
        let audiences: Vec<String> = audience.into_iter().map(str::to_owned).collect();
        let lasts = Duration::from_secs(600);
        self.cluster.access().token_of_account("team-0", "ci", &audiences, lasts).unwrap()
    }
}
