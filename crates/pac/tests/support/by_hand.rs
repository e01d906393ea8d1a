//! What Tekton and users do, one step at a time.

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
        let (namespace, name) = (format!("team-{repository}"), format!("repo-{repository}"));
        let patch = json!({"metadata": {"annotations": {"concurrency.pipelinesascode.tekton.dev/paused": reason}}});
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
