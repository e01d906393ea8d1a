//! What the players ask of the API server, over HTTP like everybody else.

use serde_json::{Value, json};

pub(crate) const STATE: &str = "pipelinesascode.tekton.dev/state";
pub(crate) const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
pub(crate) const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
const RUNS: &str = "/apis/tekton.dev/v1/namespaces/ci/pipelineruns";

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
}

// === impl Api ===

impl Api {
    /// `None` where there is no such object.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        ureq::get(format!("{}{path}", self.url)).call().ok()?.body_mut().read_json().ok()
    }

    pub(crate) fn create(&self, path: &str, object: &Value) {
        ureq::post(format!("{}{path}", self.url)).send_json(object).unwrap();
    }

    pub(crate) fn delete(&self, path: &str) {
        // Somebody else may have been faster.
        let _ = ureq::delete(format!("{}{path}", self.url)).call();
    }

    /// A merge patch.
    pub(crate) fn patch(&self, path: &str, change: &Value) {
        let request = ureq::patch(format!("{}{path}", self.url)).content_type("application/merge-patch+json");
        request.send(change.to_string()).unwrap();
    }

    /// The runs of the namespace `ci`, oldest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let mut list = self.get(RUNS).unwrap();
        let mut runs: Vec<Value> = serde_json::from_value(list["items"].take()).unwrap();
        runs.sort_by_key(|run| (run["metadata"]["creationTimestamp"].to_string(), run["metadata"]["name"].to_string()));
        runs
    }

    pub(crate) fn patch_run(&self, name: &str, change: &Value) {
        self.patch(&format!("{RUNS}/{name}"), change);
    }

    /// A Repository in the namespace `ci`.
    pub(crate) fn create_repository(&self, limit: u32) {
        self.create("/api/v1/namespaces", &json!({"metadata": {"name": "ci"}}));
        let spec = json!({"url": "https://git.example.com/o/r", "concurrency_limit": limit});
        let repository = json!({"metadata": {"name": "repo"}, "spec": spec});
        self.create("/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/ci/repositories", &repository);
    }

    /// A webhook event, as PAC's controller answers it: its runs are created, said to be queued, then given their order.
    pub(crate) fn push(&self, names: &[String]) {
        for name in names {
            let labels = json!({STATE: "started", REPOSITORY: "repo"});
            let metadata = json!({"name": name, "labels": labels, "annotations": {REPOSITORY: "repo"}});
            self.create(RUNS, &json!({"metadata": metadata, "spec": {"status": "PipelineRunPending"}}));
            let queued = json!({STATE: "queued"});
            self.patch_run(name, &json!({"metadata": {"labels": queued, "annotations": queued}}));
        }
        let order: Vec<String> = names.iter().map(|name| format!("ci/{name}")).collect();
        for name in names {
            self.patch_run(name, &json!({"metadata": {"annotations": {EXECUTION_ORDER: order.join(",")}}}));
        }
    }

    /// How many runs are in this state, by the annotation.
    pub(crate) fn count(&self, state: &str) -> usize {
        self.runs().iter().filter(|run| annotation(run, STATE) == Some(state)).count()
    }
}

pub(crate) fn annotation<'a>(run: &'a Value, name: &str) -> Option<&'a str> {
    run["metadata"]["annotations"][name].as_str()
}
