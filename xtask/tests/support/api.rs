//! What the players ask of the API server, over HTTP like everybody else.

use serde_json::{Value, json};

pub(crate) const STATE: &str = "pipelinesascode.tekton.dev/state";
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
        assert!(self.patch_if_there(path, change), "there is no {path}");
    }

    /// A merge patch; says whether there was such an object, which somebody may have deleted just now.
    pub(crate) fn patch_if_there(&self, path: &str, change: &Value) -> bool {
        let request = ureq::patch(format!("{}{path}", self.url)).content_type("application/merge-patch+json");
        match request.send(change.to_string()) {
            Err(ureq::Error::StatusCode(404)) => false,
            answer => answer.map(|_| true).unwrap(),
        }
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

    /// A webhook event; returns when PAC's controller has written all that it writes of the runs.
    pub(crate) fn push(&self, names: &[String]) {
        let runs: Vec<Value> = names.iter().map(|name| json!({"name": name, "exactly": true})).collect();
        self.tell_pac(&json!({"push": {"namespace": "ci", "repository": "repo", "runs": runs}}));
    }

    /// PAC's own watcher starts with an empty memory, or ends and forgets.
    pub(crate) fn run_pacs_watcher(&self, run: bool) {
        self.tell_pac(&json!(if run { "watcher_starts" } else { "watcher_stops" }));
    }

    fn tell_pac(&self, command: &Value) {
        self.create("/_dev/pac", command);
    }

    /// How many runs are in this state, by the annotation.
    pub(crate) fn count(&self, state: &str) -> usize {
        self.runs().iter().filter(|run| annotation(run, STATE) == Some(state)).count()
    }
}

pub(crate) fn annotation<'a>(run: &'a Value, name: &str) -> Option<&'a str> {
    run["metadata"]["annotations"][name].as_str()
}
