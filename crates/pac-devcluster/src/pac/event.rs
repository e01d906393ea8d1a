//! A webhook event, and its runs as PAC creates them.

use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{EXECUTION_ORDER, GIT_AUTH_SECRET, REPOSITORY, SECRET_CREATED, STATE, Secrets};
use crate::natural;

const GROUP: &str = "pipelinesascode.tekton.dev";
/// The annotation by which PAC tells Tekton which of its spans a run belongs to.
const SPAN_CONTEXT: &str = "tekton.dev/pipelinerunSpanContext";
/// The letters of what PAC makes up for a Secret's name.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// Something happened in a Git repository for which a Repository has runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacEvent {
    /// The Repository's namespace, which is that of its runs.
    pub namespace: String,
    /// The Repository's name.
    pub repository: String,
    /// The commit; one of its own if absent.
    #[serde(default = "some_commit")]
    pub sha: String,
    /// `push`, `pull_request`, `retest-all-comment` and so on.
    #[serde(default = "push")]
    pub event_type: String,
    /// The pull request's number, if it is one's.
    #[serde(default)]
    pub pull_request: Option<u64>,
    /// The `traceparent` of PAC's span on it, where PAC traces.
    #[serde(default)]
    pub traceparent: Option<String>,
    /// What runs for it, in no particular order.
    pub runs: Vec<PacRun>,
}

/// A PipelineRun in a Git repository's `.tekton` folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacRun {
    /// Its name there. PAC has the API server put five letters behind it.
    pub name: String,
    /// The name as it stands is the run's: for tests that ask for it.
    #[serde(default)]
    pub exactly: bool,
    /// Annotations of its own.
    #[serde(default)]
    pub annotations: Map<String, Value>,
    /// Its spec, but for `status`; one task where it is empty.
    #[serde(default)]
    pub spec: Map<String, Value>,
}

// === impl PacEvent ===

impl PacEvent {
    /// A push of a commit of its own.
    pub fn new(namespace: &str, repository: &str, runs: impl IntoIterator<Item = PacRun>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            repository: repository.to_owned(),
            sha: some_commit(),
            event_type: push(),
            pull_request: None,
            traceparent: None,
            runs: runs.into_iter().collect(),
        }
    }

    /// The same for a pull request.
    #[must_use]
    pub fn of_pull_request(self, number: u64) -> Self {
        Self { pull_request: Some(number), event_type: "pull_request".to_owned(), ..self }
    }

    /// The same where PAC traces, and this is its span.
    #[must_use]
    pub fn traced(self, traceparent: &str) -> Self {
        Self { traceparent: Some(traceparent.to_owned()), ..self }
    }

    /// The runs as PAC leaves them when all is written, in their order: queued, and their Secret, if they have one, is there.
    /// For tests in which it doesn't matter how that came about; their names are taken as they stand.
    pub fn settled(&self) -> Vec<Value> {
        let mut runs = self.runs.clone();
        runs.sort_by(|one, other| natural::compare(&one.name, &other.name));
        let order: Vec<String> = runs.iter().map(|run| format!("{}/{}", self.namespace, run.name)).collect();
        let settle = |run: PacRun| {
            let mut object = self.created(&PacRun { exactly: true, ..run }, Secrets::Off, true);
            object["metadata"]["labels"][STATE] = "queued".into();
            object["metadata"]["annotations"][STATE] = "queued".into();
            object["metadata"]["annotations"][EXECUTION_ORDER] = order.join(",").into();
            object
        };
        runs.into_iter().map(settle).collect()
    }

    /// A run as it is created; pending where there is a limit.
    pub(super) fn created(&self, run: &PacRun, secrets: Secrets, pending: bool) -> Value {
        let named = if run.exactly { ("name", run.name.clone()) } else { ("generateName", format!("{}-", run.name)) };
        let mut object = json!({ "metadata": { "labels": self.labels(run) }, "spec": run.spec });
        object["metadata"][named.0] = named.1.into();
        let mut annotations = self.annotations(run);
        if !run.spec.contains_key("pipelineSpec") && !run.spec.contains_key("pipelineRef") {
            let step = json!({ "name": "build", "image": "busybox", "script": "true" });
            object["spec"]["pipelineSpec"] = json!({ "tasks": [{ "name": "build", "taskSpec": { "steps": [step] } }] });
        }
        if secrets != Secrets::Off {
            let secret = some_secret();
            let workspace = json!({ "name": "basic-auth", "secret": { "secretName": secret } });
            match &mut object["spec"]["workspaces"] {
                Value::Array(workspaces) => workspaces.push(workspace),
                workspaces => *workspaces = json!([workspace]),
            }
            annotations.insert(GIT_AUTH_SECRET.to_owned(), secret.into());
        }
        if secrets == Secrets::ByWatcher {
            annotations.insert(SECRET_CREATED.to_owned(), "false".into());
        }
        object["metadata"]["annotations"] = annotations.into();
        if pending {
            object["spec"]["status"] = "PipelineRunPending".into();
        }
        object
    }

    /// PAC's labels; the state is said to be started although the run is pending.
    fn labels(&self, run: &PacRun) -> Value {
        let mut labels = json!({
            "app.kubernetes.io/managed-by": GROUP,
            "app.kubernetes.io/version": "nightly",
            REPOSITORY: shortened(&self.repository),
            STATE: "started",
        });
        for (key, value) in self.known(run) {
            labels[format!("{GROUP}/{key}")] = shortened(&value).into();
        }
        labels
    }

    /// What PAC writes as a label and as an annotation.
    fn known(&self, run: &PacRun) -> Vec<(&'static str, String)> {
        let mut known = vec![
            ("event-type", self.event_type.clone()),
            ("original-prname", run.name.clone()),
            ("sha", self.sha.clone()),
            ("url-org", self.namespace.clone()),
            ("url-repository", self.repository.clone()),
        ];
        known.extend(self.pull_request.map(|number| ("pull-request", number.to_string())));
        known
    }

    fn annotations(&self, run: &PacRun) -> Map<String, Value> {
        let url = format!("https://git.example.com/{}/{}", self.namespace, self.repository);
        let branch = self.pull_request.map_or_else(|| "refs/heads/main".to_owned(), |number| format!("topic-{number}"));
        let own = [
            ("repository", self.repository.clone()),
            ("branch", "refs/heads/main".to_owned()),
            ("source-branch", branch),
            ("sender", "dev".to_owned()),
            ("git-provider", "gitea".to_owned()),
            ("sha-title", format!("commit {}", &self.sha[..self.sha.len().min(7)])),
            ("sha-url", format!("{url}/commit/{}", self.sha)),
            ("repo-url", url.clone()),
            ("source-repo-url", url),
            ("on-event", format!("[{}]", self.event_type)),
            ("on-target-branch", "[main]".to_owned()),
        ];
        let all = self.known(run).into_iter().chain(own);
        let mut annotations = run.annotations.clone();
        annotations.extend(all.map(|(key, value)| (format!("{GROUP}/{key}"), value.into())));
        if let Some(traceparent) = &self.traceparent {
            annotations.insert(SPAN_CONTEXT.to_owned(), json!({ "traceparent": traceparent }).to_string().into());
        }
        annotations
    }
}

// === impl PacRun ===

impl PacRun {
    /// One of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// One whose name is this, as it stands.
    pub fn exactly(name: &str) -> Self {
        Self { exactly: true, ..Self::new(name) }
    }

    /// With an annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }
}

fn push() -> String {
    "push".to_owned()
}

fn some_commit() -> String {
    let [one, other] = [Uuid::new_v4(), Uuid::new_v4()].map(|uuid| uuid.simple().to_string());
    format!("{one}{}", &other[..8])
}

fn some_secret() -> String {
    let mut random = rand::rng();
    let letters = (0..6).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]));
    format!("pac-gitauth-{}", letters.collect::<String>())
}

/// A label's value has 63 characters at most.
fn shortened(value: &str) -> String {
    value.chars().take(63).collect()
}
