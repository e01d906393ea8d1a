//! A cluster (the development cluster, or a real one when `PAC_TEST_KUBECONFIG` names it) with a watcher on the memory
//! driver, and words for what happens in it.
//!
//! Everything goes through the API, seen by a watch of the test's own. Tests wait for what they are about, and for at most
//! [`PATIENCE`]; that something does *not* happen is shown by something later that does.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests; each file uses a part of it"
)]

pub mod browser;
mod cluster;
mod gate;
pub mod kueue;
pub mod readable;
mod recorder;
pub mod tenants;
mod treacherous;
mod watcher;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use pac_devcluster::{FaultId, Options};
use pac_devservers::proxy::Proxy;
use pac_watcher::{GateKind, Pace};
use serde_json::{Value, json};

use cluster::OF_TESTS;
pub use cluster::{Cluster, pending_only};
pub use gate::{GATE, with_pacs_queue};
pub use recorder::{Recorder, Run};
pub use treacherous::{BROKEN, RESYNCING, TREACHEROUS};
pub use watcher::{SILENT_PORT, Watcher};

/// How long anything awaited may take. Far longer than it does, so that a slow machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How many namespaces the tests of this process have had.
static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

const STATE: &str = "pipelinesascode.tekton.dev/state";
const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";

/// A cluster, a namespace of the test's own, and a watcher.
pub struct World {
    pub cluster: Cluster,
    pub client: Client,
    pub namespace: String,
    pub recorder: Recorder,
    watcher: Option<Watcher>,
}

impl World {
    /// A cluster with the watcher running.
    pub async fn new() -> Self {
        let mut world = Self::without_watcher().await;
        world.start_watcher();
        world
    }

    /// A cluster whose watcher is yet to be started.
    pub async fn without_watcher() -> Self {
        // Tests of one process come one after the other to the same real cluster.
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        Self::with_namespace(format!("test-{}-{number}", std::process::id())).await
    }

    pub async fn with_namespace(namespace: String) -> Self {
        Self::of(Cluster::start().await, namespace).await
    }

    /// A development cluster played like this, with a watcher beside PAC's, and the gate.
    pub async fn beside_pac(options: Options) -> Self {
        Self::beside_pac_with(options, json!({})).await
    }

    /// Likewise, with these in the ConfigMap, too.
    pub async fn beside_pac_with(options: Options, settings: Value) -> Self {
        let mut world = Self::beside_pac_without_gate(options, settings).await;
        world.put_gate(GateKind::Policy);
        world.start_watcher_beside_pac(GateKind::Policy);
        world
    }

    /// A development cluster played like this, without gate and watcher.
    pub async fn beside_pac_without_gate(options: Options, settings: Value) -> Self {
        let world = Self::of(Cluster::play(options).await, "test-beside-pac".to_owned()).await;
        world.settings(settings).await;
        world.switch(true).await;
        world
    }

    pub fn start_watcher_beside_pac(&mut self, gate: GateKind) {
        assert!(self.watcher.is_none());
        self.watcher = Some(Watcher::start_beside_pac(self.cluster.kubeconfig_file(), gate));
    }

    pub async fn of(cluster: Cluster, namespace: String) -> Self {
        let client = cluster.client().await;
        cluster.clear(&client).await;
        let recorder = Recorder::start(client.clone(), &namespace);
        let world = Self { cluster, client, namespace, recorder, watcher: None };
        world.create_namespace(&world.namespace).await;
        world.create_namespace("pipelines-as-code").await;
        world.settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory"})).await;
        world
    }

    pub async fn create_namespace(&self, name: &str) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": {OF_TESTS: ""}}})).unwrap();
        match api.create(&PostParams::default(), &namespace).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// PAC's ConfigMap holds this and nothing else.
    pub async fn settings(&self, data: Value) {
        self.config_map("pipelines-as-code", data).await;
    }

    /// The ConfigMap of this name holds this and nothing else.
    pub async fn config_map(&self, name: &str, data: Value) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), "pipelines-as-code");
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap();
        match api.replace(name, &PostParams::default(), &map).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                drop(api.create(&PostParams::default(), &map).await.unwrap())
            }
            replaced => drop(replaced.unwrap()),
        }
    }

    /// There is no ConfigMap of this name any more.
    pub async fn no_config_map(&self, name: &str) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), "pipelines-as-code");
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub fn start_watcher(&mut self) {
        assert!(self.watcher.is_none());
        self.watcher = Some(Watcher::start(self.cluster.kubeconfig_file()));
    }

    /// Starts the watcher, which keeps what runs say of their wait at this pace.
    pub fn start_watcher_at(&mut self, pace: Pace) {
        assert!(self.watcher.is_none());
        self.watcher = Some(Watcher::start_at_pace(self.cluster.kubeconfig_file(), "watcher-0", pace));
    }

    pub fn start_watcher_as(&mut self, identity: &str) {
        assert!(self.watcher.is_none());
        self.watcher = Some(Watcher::start_as(self.cluster.kubeconfig_file(), identity));
    }

    /// Starts the watcher, whose way to the cluster is the proxy.
    pub fn start_remote_watcher(&mut self) -> Proxy {
        assert!(self.watcher.is_none());
        let way = Proxy::start(self.cluster.port()).unwrap();
        self.watcher = Some(Watcher::start(&self.cluster.kubeconfig_of("remote", way.port())));
        way
    }

    pub fn watcher(&self) -> &Watcher {
        self.watcher.as_ref().unwrap()
    }

    /// Stops the watcher as SIGTERM does.
    pub fn stop_watcher(&mut self) {
        self.watcher.take().unwrap().stop();
    }

    /// Ends the watcher as SIGKILL does: nothing it was about to do happens any more.
    pub fn kill_watcher(&mut self) {
        self.watcher.take().unwrap().kill();
    }

    // === Repositories

    pub async fn repository(&self, name: &str, limit: Option<i64>) {
        self.repository_in(&self.namespace, name, limit).await;
    }

    pub async fn repository_in(&self, namespace: &str, name: &str, limit: Option<i64>) {
        let mut spec = json!({"url": format!("https://git.example.com/{namespace}/{name}")});
        if let Some(limit) = limit {
            spec["concurrency_limit"] = limit.into();
        }
        let object = json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        self.repositories_in(namespace).create(&PostParams::default(), &object_of(object)).await.unwrap();
    }

    pub async fn set_limit(&self, name: &str, limit: Option<i64>) {
        self.set_limit_in(&self.namespace, name, limit).await;
    }

    pub async fn set_limit_in(&self, namespace: &str, name: &str, limit: Option<i64>) {
        let patch = Patch::Merge(json!({"spec": {"concurrency_limit": limit}}));
        self.repositories_in(namespace).patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn patch_repository(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        self.repositories_in(&self.namespace).patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn delete_repository(&self, name: &str) {
        self.repositories_in(&self.namespace).delete(name, &DeleteParams::default()).await.unwrap();
    }

    fn repositories_in(&self, namespace: &str) -> Api<DynamicObject> {
        self.api(namespace, "pipelinesascode.tekton.dev", "v1alpha1", "Repository", "repositories")
    }

    // === PipelineRuns

    /// A queued run, as PAC leaves it.
    pub async fn run(&self, repository: &str, name: &str) {
        self.run_with(repository, name, json!({})).await;
    }

    /// Queued runs of one event, created in this order and to be started in it.
    pub async fn event(&self, repository: &str, names: &[&str]) {
        for name in names {
            self.run_with(repository, name, json!({"metadata": {"annotations": {EXECUTION_ORDER: self.order(names)}}}))
                .await;
        }
    }

    /// The execution-order of these runs.
    pub fn order(&self, names: &[&str]) -> String {
        names.iter().map(|name| format!("{}/{name}", self.namespace)).collect::<Vec<_>>().join(",")
    }

    /// A queued run, with a merge patch applied to it first.
    pub async fn run_with(&self, repository: &str, name: &str, patch: Value) {
        let mut object = self.queued(&self.namespace, repository, name);
        json_patch::merge(&mut object, &patch);
        self.runs().create(&PostParams::default(), &object_of(object)).await.unwrap();
    }

    fn queued(&self, namespace: &str, repository: &str, name: &str) -> Value {
        json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "name": name, "namespace": namespace,
                "labels": {STATE: "queued", REPOSITORY: repository.chars().take(63).collect::<String>()},
                "annotations": {STATE: "queued", REPOSITORY: repository},
            },
            "spec": {
                "status": "PipelineRunPending",
                "pipelineSpec": {"tasks": [{"name": "t", "taskSpec": {"steps": [
                    {"name": "s", "image": "busybox", "script": "true"},
                ]}}]},
            },
        })
    }

    /// A queued run of another namespace.
    pub async fn run_in(&self, namespace: &str, repository: &str, name: &str) {
        let run = self.queued(namespace, repository, name);
        self.runs_in(namespace).create(&PostParams::default(), &object_of(run)).await.unwrap();
    }

    pub async fn patch_run(&self, name: &str, patch: Value) {
        self.runs().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub async fn annotate(&self, name: &str, annotation: &str, value: &str) {
        self.patch_run(name, json!({"metadata": {"annotations": {annotation: value}}})).await;
    }

    pub async fn cancel(&self, name: &str) {
        self.patch_run(name, json!({"spec": {"status": "Cancelled"}})).await;
    }

    pub async fn delete_run(&self, name: &str) {
        self.runs().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Tekton's word that the run is done.
    pub async fn finish(&self, name: &str) {
        self.report(name, "True").await;
    }

    /// Tekton's word on `Succeeded`.
    pub async fn report(&self, name: &str, succeeded: &str) {
        let condition = json!({"type": "Succeeded", "status": succeeded, "reason": "Test", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"status": {"startTime": "2026-01-01T00:00:00Z", "conditions": [condition]}});
        self.runs().patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// Changes the status of `name`.
    pub async fn patch_run_status(&self, name: &str, patch: Value) {
        self.runs().patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub fn runs(&self) -> Api<DynamicObject> {
        self.runs_in(&self.namespace)
    }

    fn runs_in(&self, namespace: &str) -> Api<DynamicObject> {
        self.api(namespace, "tekton.dev", "v1", "PipelineRun", "pipelineruns")
    }

    fn api(&self, namespace: &str, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    // === Waiting for things

    /// Waits until these runs, and no others of the namespace, run.
    pub async fn running(&self, names: &[&str]) {
        let mut wanted: Vec<&str> = names.to_vec();
        wanted.sort_unstable();
        self.recorder.until(&format!("running are {wanted:?}"), |runs| running_names(runs) == wanted).await;
    }

    /// Waits until `name` was started.
    pub async fn started(&self, name: &str) {
        self.recorder.until(&format!("{name} runs"), |runs| runs.get(name).is_some_and(Run::is_running)).await;
    }

    /// Waits until the object of `name` says `state`, in label and annotation.
    pub async fn state_is(&self, name: &str, state: &str) {
        self.recorder
            .until(&format!("{name} is {state}"), |runs| runs.get(name).is_some_and(|run| run.state == state))
            .await;
    }

    /// Waits until `rule` has struck.
    pub async fn struck(&self, rule: FaultId) {
        let struck = tokio::time::timeout(PATIENCE, self.cluster.faults().struck(rule, 1)).await;
        assert!(struck.is_ok(), "{rule:?} never struck");
    }

    /// Waits until the watcher has dealt with everything it had seen by now: with a run of another repository, created
    /// after it, which is started.
    pub async fn settled(&self) {
        let name = format!("sentinel-{}", self.recorder.count());
        self.repository(&name, Some(1)).await;
        self.event(&name, &[&name]).await;
        self.started(&name).await;
        self.finish(&name).await;
        self.state_is(&name, "completed").await;
        self.delete_run(&name).await;
        self.delete_repository(&name).await;
        self.recorder.until(&format!("{name} is gone"), |runs| !runs.contains_key(&name)).await;
    }

    /// Finishes whatever runs of `repository`, again and again, until `names` have been started; says in what order.
    pub async fn drain(&self, names: &[&str]) -> Vec<String> {
        let all_started = |order: &[String]| names.iter().all(|name| order.iter().any(|started| started == name));
        loop {
            let order = self.recorder.start_order();
            if all_started(&order) {
                return order;
            }
            let next = self.recorder.until("something to finish", |runs| !running_names(runs).is_empty()).await;
            self.finish(running_names(&next)[0]).await;
            let finished = running_names(&next)[0].to_owned();
            self.recorder
                .until(&format!("{finished} is done"), |runs| !running_names(runs).contains(&&*finished))
                .await;
        }
    }
}

fn running_names(runs: &BTreeMap<String, Run>) -> Vec<&str> {
    runs.iter().filter(|(_, run)| run.is_running()).map(|(name, _)| name.as_str()).collect()
}

fn object_of(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

/// The run's name, for a message.
pub fn name_of(object: &DynamicObject) -> String {
    object.name_any()
}
