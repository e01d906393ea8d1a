//! A cluster whose Repositories have work to do.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pac_devcluster::verdict::{Verdict, VerdictOptions};
use pac_devcluster::{DevCluster, Options, PacEvent, PacPlayer, PacRun, RunDuration, TektonPlayer, Version};
use pac_devservers::proxy::Proxy;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Watcher, eventually};

const STATE: &str = "pipelinesascode.tekton.dev/state";
/// Keeps PAC's own queue away from what it makes.
const POLICY: &str = include_str!("../../../../config/companion-memory/execution-order-policy.yaml");
/// The same, by a webhook.
const WEBHOOK: &str = include_str!("../../../pac-webhook/tests/gate.yaml");
const SETTINGS: &str = "pipelines-as-code";
/// Runs of one webhook event.
const EVENT: usize = 4;

/// See the [module](self).
pub(crate) struct World {
    pub(crate) cluster: DevCluster,
    pub(crate) folder: TempDir,
    kubeconfig: PathBuf,
    /// What the cluster runs on.
    _runtime: Runtime,
}

// === impl World ===

impl World {
    /// A cluster whose runs take between a tenth and half a second, with these settings in its ConfigMap.
    pub(crate) fn new(settings: &Value) -> Self {
        Self::played_by(short_runs(), settings)
    }

    /// The same, in which PAC makes the runs, with its watcher and its queue beside watchers in companion mode.
    pub(crate) fn with_pac(settings: &Value) -> Self {
        Self::with_pac_and(POLICY, settings)
    }

    /// The same, with the webhook as the gate, which watchers serve at `--webhook-addr`.
    pub(crate) fn with_pac_and_webhook(settings: &Value) -> Self {
        Self::with_pac_and(WEBHOOK, settings)
    }

    fn with_pac_and(gate: &str, settings: &Value) -> Self {
        let pac = PacPlayer { queue: true, ..PacPlayer::default() };
        let world = Self::of(Options { tekton: Some(short_runs()), pac: Some(pac), ..Options::default() }, settings);
        world.put(gate);
        world
    }

    /// The same with nothing of ours: PAC's own queue starts runs.
    pub(crate) fn with_pacs_queue() -> Self {
        let pac = PacPlayer { queue: true, ..PacPlayer::default() };
        let off = json!({"concurrency-enabled": "false"});
        Self::of(Options { tekton: Some(short_runs()), pac: Some(pac), ..Options::default() }, &off)
    }

    /// Puts the gate there that keeps PAC's own queue out, as the manifests have it where the system is on: closed.
    pub(crate) fn put_gate(&self) {
        self.put(POLICY);
    }

    /// Has the API server refuse what it can't ask that gate about.
    pub(crate) fn break_gate(&self) {
        let broken = json!({"expression": "object.spec.nothing.of.the.kind"});
        self.change_gate(&json!({"mutations": [{"patchType": "JSONPatch", "jsonPatch": broken}]}));
    }

    /// The gate is as the manifests have it again.
    pub(crate) fn mend_gate(&self) {
        let policy = serde_yaml::Deserializer::from_str(POLICY).next().unwrap();
        self.change_gate(&Value::deserialize(policy).unwrap()["spec"]);
    }

    fn change_gate(&self, spec: &Value) {
        let name = "pac-concurrency-execution-order";
        self.cluster.store().patch("mutatingadmissionpolicies", "", name, &json!({ "spec": spec })).unwrap();
    }

    fn put(&self, documents: &str) {
        for document in serde_yaml::Deserializer::from_str(documents) {
            let mut object = Value::deserialize(document).unwrap();
            if let Some(selector) = object.pointer_mut("/spec/matchResources/namespaceSelector") {
                *selector = json!({});
            }
            let plural = object["kind"].as_str().unwrap().to_lowercase();
            let plural = plural.strip_suffix('y').map_or_else(|| format!("{plural}s"), |stem| format!("{stem}ies"));
            let namespace = if matches!(plural.as_str(), "secrets" | "services") { SETTINGS } else { "" };
            self.cluster.store().create(&plural, namespace, object).unwrap();
        }
    }

    /// A cluster whose runs wait as Tekton's do, and where the test says what becomes of those that were started.
    pub(crate) fn by_hand(settings: &Value) -> Self {
        Self::played_by(TektonPlayer { pending_only: true, ..TektonPlayer::default() }, settings)
    }

    /// A cluster with this Tekton.
    pub(crate) fn played_by(tekton: TektonPlayer, settings: &Value) -> Self {
        Self::of(Options { tekton: Some(tekton), ..Options::default() }, settings)
    }

    fn of(options: Options, settings: &Value) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cluster = runtime.block_on(DevCluster::start(options)).unwrap();
        let folder = TempDir::new().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
        let world = Self { cluster, folder, kubeconfig, _runtime: runtime };
        world.cluster.store().create("configmaps", SETTINGS, json!({"metadata": {"name": SETTINGS}})).unwrap();
        world.settings(settings);
        world
    }

    /// Leaves the watchers' logs where they are, and says where, if the environment asks for it.
    pub(crate) fn keep_logs_if_asked(&mut self) {
        if std::env::var_os("CHAOS_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("the watchers' logs stay in {}", self.folder.path().display());
        }
    }

    /// The file that says where the cluster is.
    pub(crate) fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }

    /// Changes these settings in the ConfigMap; null takes one away.
    pub(crate) fn settings(&self, data: &Value) {
        self.cluster.store().patch("configmaps", SETTINGS, SETTINGS, &json!({ "data": switched_on(data) })).unwrap();
    }

    /// Another ConfigMap, with these settings.
    pub(crate) fn other_settings(&self, name: &str, data: &Value) {
        let map = json!({"metadata": {"name": name}, "data": switched_on(data)});
        self.cluster.store().create("configmaps", SETTINGS, map).unwrap();
    }

    /// The Secret has this password for PostgreSQL.
    pub(crate) fn secret(&self, password: &str) {
        self.secret_with(&json!({"postgresql-password": password}));
    }

    /// The Secret has these entries.
    pub(crate) fn secret_with(&self, entries: &Value) {
        let (name, data) = ("pac-concurrency-secret", json!({"stringData": entries}));
        if self.cluster.store().patch("secrets", SETTINGS, name, &data).is_err() {
            let mut secret = data;
            secret["metadata"] = json!({ "name": name });
            self.cluster.store().create("secrets", SETTINGS, secret).unwrap();
        }
    }

    /// A watcher of this cluster.
    pub(crate) fn watcher(&self, identity: &str) -> Watcher {
        self.watcher_with(identity, &[])
    }

    pub(crate) fn watcher_with(&self, identity: &str, arguments: &[&str]) -> Watcher {
        Watcher::start(identity, &self.kubeconfig, self.folder.path(), arguments)
    }

    /// A watcher of another version, whose program this is.
    pub(crate) fn watcher_of(&self, program: &Path, identity: &str, arguments: &[&str]) -> Watcher {
        Watcher::of(program, identity, &self.kubeconfig, self.folder.path(), arguments)
    }

    /// A pod for the watcher of this name, by which `pac-watcher queue` finds its admin port.
    pub(crate) fn pod(&self, identity: &str, watcher: &Watcher) {
        let argument = format!("--admin-addr=127.0.0.1:{}", watcher.admin_port);
        let container = json!({"name": "watcher", "image": "x", "args": [argument]});
        let pod = json!({"metadata": {"name": identity}, "spec": {"containers": [container]}});
        self.cluster.store().create("pods", SETTINGS, pod).unwrap();
    }

    /// A watcher whose way to the API server is the proxy, and which rules of faults know by its identity.
    pub(crate) fn remote_watcher(&self, identity: &str, arguments: &[&str]) -> (Watcher, Proxy) {
        let port = self.cluster.url().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
        let way = Proxy::start(port).unwrap();
        let kubeconfig = self.cluster.kubeconfig().replace(&format!(":{port}"), &format!(":{}", way.port()));
        let kubeconfig = kubeconfig.replace("user: {}", &format!("user: {{token: {identity}}}"));
        let file = self.folder.path().join(format!("kubeconfig-{identity}"));
        std::fs::write(&file, kubeconfig).unwrap();
        (Watcher::start(identity, &file, self.folder.path(), arguments), way)
    }

    /// Repositories with a limit, and runs that wait in each of them.
    pub(crate) fn work(&self, repositories: usize, runs: usize, limit: u32) {
        for number in 0..repositories {
            self.repository(number, limit);
            self.more_work(number, 0..runs);
        }
    }

    /// A Repository with a limit.
    pub(crate) fn repository(&self, number: usize, limit: u32) {
        let (namespace, repository) = (format!("team-{number}"), format!("repo-{number}"));
        self.cluster.store().ensure_namespace(&namespace);
        let spec = json!({"url": format!("https://git.example.com/{repository}"), "concurrency_limit": limit});
        let object = json!({"metadata": {"name": repository}, "spec": spec});
        self.cluster.store().create("repositories", &namespace, object).unwrap();
    }

    /// More runs in one of the Repositories, with these numbers.
    pub(crate) fn more_work(&self, repository: usize, runs: std::ops::Range<usize>) {
        let names: Vec<String> = runs.map(|run| format!("run-{run:03}")).collect();
        names.chunks(EVENT).for_each(|event| self.queue_event(repository, event));
    }

    /// One run that waits, as an event of its own.
    pub(crate) fn queue_run(&self, repository: usize, name: &str) {
        self.queue_event(repository, &[name]);
    }

    /// The runs of an event that wait.
    pub(crate) fn queue_event(&self, repository: usize, names: &[impl AsRef<str>]) {
        for run in event(repository, names).settled() {
            self.cluster.store().create("pipelineruns", &format!("team-{repository}"), run).unwrap();
        }
    }

    /// The names of one Repository's runs that are not done.
    pub(crate) fn unfinished_names(&self, repository: usize) -> Vec<String> {
        self.names(repository, |run| !is_done(run))
    }

    /// The names of one Repository's runs that wait.
    pub(crate) fn pending_names(&self, repository: usize) -> Vec<String> {
        self.names(repository, |run| run.pointer("/spec/status") == Some(&"PipelineRunPending".into()))
    }

    fn names(&self, repository: usize, is_such: impl Fn(&Value) -> bool) -> Vec<String> {
        let runs = self.cluster.store().list("pipelineruns", Some(&format!("team-{repository}")), "").unwrap();
        let name = |run: &Value| run.pointer("/metadata/name").and_then(Value::as_str).unwrap().to_owned();
        runs.iter().filter(|run| is_such(run)).map(|run| name(run)).collect()
    }

    /// How many of one Repository's runs are not done.
    pub(crate) fn unfinished_of(&self, repository: usize) -> usize {
        self.unfinished_names(repository).len()
    }

    /// How many runs are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.count(|run| !is_done(run))
    }

    /// A run that already runs, and goes on for so long.
    pub(crate) fn running(&self, repository: usize, name: &str, duration: Duration) {
        let mut run = event(repository, &[name]).settled().remove(0);
        run["metadata"]["labels"][STATE] = "started".into();
        run["metadata"]["annotations"][STATE] = "started".into();
        run["metadata"]["annotations"]["devcluster/duration"] = format!("{}ms", duration.as_millis()).into();
        run["spec"].as_object_mut().unwrap().remove("status");
        self.cluster.store().create("pipelineruns", &format!("team-{repository}"), run).unwrap();
    }

    /// The names of the runs that were started from the queue, in the order the API server saw it.
    pub(crate) fn starts(&self) -> Vec<String> {
        let mut pending = std::collections::BTreeSet::new();
        let mut starts = Vec::new();
        for version in self.cluster.history() {
            let is_pending = version.object.pointer("/spec/status") == Some(&"PipelineRunPending".into());
            if is_pending {
                pending.insert(version.uid.clone());
            } else if pending.remove(&version.uid) {
                starts.push(version.object.pointer("/metadata/name").unwrap().as_str().unwrap().to_owned());
            }
        }
        starts
    }

    /// How long it takes until the next run is started.
    pub(crate) fn next_start(&self) -> Duration {
        let (before, began) = (self.starts().len(), Instant::now());
        eventually("another run is started", || self.starts().len() > before);
        began.elapsed()
    }

    /// Waits until so many runs are done.
    pub(crate) fn until_done(&self, count: usize) {
        eventually(&format!("{count} runs are done, {} are", self.done()), || self.done() >= count);
    }

    pub(crate) fn done(&self) -> usize {
        self.count(is_done)
    }

    /// How many runs are such.
    pub(crate) fn count(&self, is_such: impl Fn(&Value) -> bool) -> usize {
        let runs = self.cluster.store().list("pipelineruns", None, "").unwrap();
        runs.iter().filter(|run| is_such(run)).count()
    }

    /// What the API server's history says of the promises, slots having been free for at most `outage` because of one.
    pub(crate) fn verdict(&self, outage: Duration) -> Verdict {
        self.cluster.verdict(&self.verdict_options(outage))
    }

    pub(crate) fn verdict_options(&self, outage: Duration) -> VerdictOptions {
        let longest_gap = outage + Duration::from_secs(30);
        let usual = VerdictOptions { longest_gap, ended: true, ..VerdictOptions::default() };
        // After an outage everybody's starts are sent at once: those of runs that were admitted together arrive as they can.
        let side_by_side = if outage.is_zero() { usual.side_by_side } else { Duration::from_secs(5) };
        VerdictOptions { side_by_side, ..usual }
    }

    /// The same where several watchers admit at once: which of them is first to send what it admitted is the machine's affair.
    pub(crate) fn verdict_options_of_several(&self) -> VerdictOptions {
        let as_long = Duration::from_secs(5);
        VerdictOptions { in_flight: as_long, side_by_side: as_long, ..self.verdict_options(Duration::ZERO) }
    }

    /// What the API server saw of a namespace's Repositories and runs, a line for each version.
    pub(crate) fn story(&self, namespace: &str) -> String {
        let is_told = |version: &Version| {
            version.namespace == namespace && matches!(version.resource, "pipelineruns" | "repositories")
        };
        let tell = |version: Version| {
            let text = |path: &str| match version.object.pointer(path) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => "-".to_owned(),
            };
            let group = "/metadata/annotations/pipelinesascode.tekton.dev~1";
            let spec = [text("/spec/status"), text("/spec/concurrency_limit")].join("");
            let said = ["state", "secret-created"].map(|key| text(&format!("{group}{key}"))).join(" ");
            let status = text("/status/conditions/0/reason");
            let (at, change, name, uid) = (version.at.as_secs_f64(), version.change, &version.name, &version.uid);
            let created = text("/metadata/creationTimestamp");
            format!("{at:8.3} {change:?} {name} {} {spec} {said} {status} {created}", &uid[..4])
        };
        let told = self.cluster.history().into_iter().filter(is_told).map(tell);
        told.collect::<Vec<_>>().join("\n")
    }

    /// All promises were kept, and all runs ran.
    pub(crate) fn all_is_well(&self, runs: usize, outage: Duration) {
        self.all_is_judged_well(runs, self.verdict_options(outage));
    }

    /// The same, for which `options` allow.
    pub(crate) fn all_is_judged_well(&self, runs: usize, options: VerdictOptions) {
        self.until_done(runs);
        let verdict = self.cluster.verdict(&options);
        assert!(verdict.held(), "{verdict}{verdict:#?}");
        assert_eq!((verdict.started, verdict.done), (runs, runs), "{verdict:#?}");
    }
}

fn switched_on(settings: &Value) -> Value {
    let mut all = json!({"concurrency-enabled": "true"});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    all
}

fn is_done(run: &Value) -> bool {
    matches!(run.pointer("/status/conditions/0/status").and_then(Value::as_str), Some("True" | "False"))
}

/// A webhook event with these runs.
pub(crate) fn event(repository: usize, names: &[impl AsRef<str>]) -> PacEvent {
    let runs = names.iter().map(|name| PacRun::exactly(name.as_ref()));
    PacEvent::new(&format!("team-{repository}"), &format!("repo-{repository}"), runs)
}

/// Runs that take between a tenth and half a second.
pub(crate) fn short_runs() -> TektonPlayer {
    let duration = RunDuration::Between(Duration::from_millis(100), Duration::from_millis(500));
    TektonPlayer { duration, ..TektonPlayer::default() }
}
