//! What Tekton and users do, one step at a time.

use jiff::Timestamp;
use pac_kube::api::labels::{PAUSED, PAUSED_UNTIL, RELEASED, RELEASED_REASON, RESUMED};
use serde_json::{Value, json};

use super::{World, eventually};

// === impl World ===

impl World {
    /// The run is done.
    pub(crate) fn finish(&self, repository: usize, name: &str, succeeded: bool) {
        let status = if succeeded { "True" } else { "False" };
        let status = json!({"status": {"conditions": [{"type": "Succeeded", "status": status, "reason": "Test"}]}});
        self.cluster.store().patch_status("pipelineruns", &format!("team-{repository}"), name, &status).unwrap();
    }

    pub(crate) fn cancel(&self, repository: usize, name: &str) {
        self.change_run(repository, name, &json!({"spec": {"status": "Cancelled"}}));
    }

    /// Somebody else than the watcher starts the run.
    pub(crate) fn start_behind_its_back(&self, repository: usize, name: &str) {
        self.change_run(repository, name, &json!({"spec": {"status": null}}));
    }

    pub(crate) fn delete_run(&self, repository: usize, name: &str) {
        self.cluster.store().delete("pipelineruns", &format!("team-{repository}"), name).unwrap();
    }

    /// No number: no limit.
    pub(crate) fn set_limit(&self, repository: usize, limit: Option<i32>) {
        let (namespace, name) = (format!("team-{repository}"), format!("repo-{repository}"));
        let patch = json!({"spec": {"concurrency_limit": limit}});
        self.cluster.store().patch("repositories", &namespace, &name, &patch).unwrap();
    }

    /// An operator's reason to pause the Repository, or none any more.
    pub(crate) fn pause(&self, repository: usize, reason: Option<&str>) {
        self.annotate(repository, &json!({PAUSED: reason}));
    }

    /// The Repository is paused until then.
    pub(crate) fn pause_until(&self, repository: usize, reason: &str, until: Timestamp) {
        self.pause_until_text(repository, reason, &until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }

    /// The same, in whatever words the operator found for it.
    pub(crate) fn pause_until_text(&self, repository: usize, reason: &str, until: &str) {
        self.annotate(repository, &json!({PAUSED: reason, PAUSED_UNTIL: until}));
    }

    /// An operator ends the pause of the Repository, and says why.
    pub(crate) fn resume(&self, repository: usize, reason: &str) {
        self.annotate(repository, &json!({PAUSED: null, RESUMED: reason}));
    }

    /// An operator has a run count no more.
    pub(crate) fn release(&self, repository: usize, name: &str, reason: &str) {
        let run = self.cluster.store().get("pipelineruns", &format!("team-{repository}"), name).unwrap();
        let annotations = json!({RELEASED: run["metadata"]["uid"], RELEASED_REASON: reason});
        self.change_run(repository, name, &json!({"metadata": {"annotations": annotations}}));
    }

    fn annotate(&self, repository: usize, annotations: &Value) {
        let (namespace, name) = (format!("team-{repository}"), format!("repo-{repository}"));
        let patch = json!({"metadata": {"annotations": annotations}});
        self.cluster.store().patch("repositories", &namespace, &name, &patch).unwrap();
    }

    pub(crate) fn delete_repository(&self, repository: usize) {
        let (namespace, name) = (format!("team-{repository}"), format!("repo-{repository}"));
        self.cluster.store().delete("repositories", &namespace, &name).unwrap();
    }

    /// Waits until the run is no longer pending.
    pub(crate) fn is_started(&self, repository: usize, name: &str) {
        let started = || !self.pending_names(repository).iter().any(|pending| pending == name);
        eventually(&format!("{name} is started"), started);
    }

    /// Its order as the admission policy of companion mode leaves it: under our name.
    pub(crate) fn hide_order(&self, repository: usize, name: &str) {
        let order = format!("team-{repository}/{name}");
        let (kept, pacs) =
            ("concurrency.pipelinesascode.tekton.dev/execution-order", "pipelinesascode.tekton.dev/execution-order");
        self.change_run(repository, name, &json!({"metadata": {"annotations": {kept: order, pacs: null}}}));
    }

    fn change_run(&self, repository: usize, name: &str, merge: &Value) {
        self.cluster.store().patch("pipelineruns", &format!("team-{repository}"), name, merge).unwrap();
    }
}
