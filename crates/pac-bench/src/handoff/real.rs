//! A real API server. Nobody runs pipelines there: what Tekton would say of a run, this says. What happens is what a watch of
//! its own shows, in the order and at the time it does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use pac_concurrency::RunKey;
use pac_config::keys;
use pac_devcluster::verdict::{Verdict, VerdictOptions, judge};
use pac_devcluster::{Change, Version};
use pac_devservers::postgres::PASSWORD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::client::client;
use crate::store::Server;
use crate::watcher::Watcher;
use crate::world::{is_done, queued_run, repository_object, told};

/// See the [module](self). What it made goes when it ends.
pub(super) struct RealCluster {
    client: Client,
    kubeconfig: PathBuf,
    folder: TempDir,
    /// What the names of its namespaces begin with; that of the settings and the Lease has no more than that.
    prefix: String,
    record: Arc<Record>,
    namespaces: Mutex<Vec<String>>,
    /// The watches, and Tekton's part.
    _background: JoinSet<()>,
}

/// What was seen.
#[derive(Debug)]
struct Record {
    began: Instant,
    versions: Mutex<Vec<Version>>,
    /// Why what was seen is not all there was.
    gap: Mutex<Option<String>>,
}

// === impl RealCluster ===

impl RealCluster {
    pub(super) async fn new(kubeconfig: PathBuf, server: &Server) -> Result<Self> {
        let client = client(&kubeconfig).await?;
        let folder = tempfile::Builder::new().prefix("pac-bench-").tempdir()?;
        let settings = server.settings().into_iter().chain([(&keys::CONCURRENCY_ENABLED, "true".to_owned())]);
        let settings: serde_json::Map<String, Value> = settings
            .chain([(&keys::POSTGRESQL_PASSWORD, PASSWORD.to_owned())])
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        // JSON is YAML.
        std::fs::write(folder.path().join("settings.yaml"), Value::Object(settings).to_string())?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let record = Arc::new(Record { began: Instant::now(), versions: Mutex::default(), gap: Mutex::default() });
        let mut background = JoinSet::new();
        let prefix = format!("pac-bench-{seconds:x}");
        for resource in ["repositories", "pipelineruns"] {
            background.spawn(follow(client.clone(), resource, prefix.clone(), Arc::clone(&record)));
        }
        let cluster =
            Self { client, kubeconfig, folder, prefix, record, namespaces: Mutex::default(), _background: background };
        cluster.create_namespace(&cluster.prefix).await?;
        Ok(cluster)
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(super) fn watcher(&self) -> Result<Watcher> {
        let settings = self.folder.path().join("settings.yaml").display().to_string();
        Watcher::start(&self.kubeconfig, self.folder.path(), &["--namespace", &self.prefix, "--config", &settings])
    }

    pub(super) async fn repository(&self, number: usize, limit: u32) -> Result<()> {
        let namespace = self.namespace(number);
        self.create_namespace(&namespace).await?;
        self.create("repositories", &namespace, repository_object(number, limit)).await?;
        Ok(())
    }

    pub(super) async fn queue(&self, of: usize, number: usize, duration: Duration) -> Result<RunKey> {
        let namespace = self.namespace(of);
        let run = self.create("pipelineruns", &namespace, queued_run(&namespace, of, number, duration)).await?;
        Ok(RunKey::new(&namespace, &run.name_any(), &run.uid().context("a run without a uid")?)?)
    }

    pub(super) fn done(&self) -> Result<usize> {
        if let Some(gap) = &*self.record.gap.lock().unwrap_or_else(PoisonError::into_inner) {
            bail!("the benchmark's own watch missed something: {gap}");
        }
        let versions = self.record.versions();
        let done: BTreeSet<&str> =
            versions.iter().filter(|one| is_done(&one.object)).map(|one| one.uid.as_str()).collect();
        Ok(done.len())
    }

    pub(super) fn verdict(&self) -> Result<Verdict> {
        told(judge(&self.record.versions(), &VerdictOptions::default()))
    }

    /// Deletes what it made, and leaves its namespaces to the API server, which takes its time for them.
    pub(super) async fn end(self) -> Result<()> {
        let namespaces = self.namespaces.into_inner().unwrap_or_else(PoisonError::into_inner);
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource("namespaces"));
        for namespace in namespaces {
            for plural in ["pipelineruns", "repositories"] {
                let made: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &resource(plural));
                made.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
            }
            all.delete(&namespace, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    fn namespace(&self, number: usize) -> String {
        format!("{}-{number:04}", self.prefix)
    }

    async fn create_namespace(&self, name: &str) -> Result<()> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource("namespaces"));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        Ok(())
    }

    async fn create(&self, plural: &str, namespace: &str, mut object: Value) -> Result<DynamicObject> {
        let kind = resource(plural);
        object["apiVersion"] = kind.api_version.clone().into();
        object["kind"] = kind.kind.clone().into();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
    }
}

fn resource(plural: &str) -> ApiResource {
    let (group, version, kind) = match plural {
        "repositories" => ("pipelinesascode.tekton.dev", "v1alpha1", "Repository"),
        "pipelineruns" => ("tekton.dev", "v1", "PipelineRun"),
        _ => ("", "v1", "Namespace"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// Writes down every version of this benchmark's objects, and plays Tekton to runs that may run.
async fn follow(client: Client, plural: &'static str, prefix: String, record: Arc<Record>) {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(plural));
    let mut events = Box::pin(watcher::watcher(api, watcher::Config::default()));
    let (mut played, mut players) = (BTreeSet::new(), JoinSet::new());
    while let Some(event) = events.next().await {
        let (object, change) = match event {
            Ok(Event::Init | Event::InitDone) => continue,
            // The list it begins with: what it made is made after that.
            Ok(Event::InitApply(object) | Event::Apply(object)) => (object, Change::Updated),
            Ok(Event::Delete(object)) => (object, Change::Deleted),
            Err(error) => return record.note_gap(format!("{plural}: {error}")),
        };
        let Some(namespace) = object.namespace().filter(|namespace| namespace.starts_with(&prefix)) else { continue };
        let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
        let value = serde_json::to_value(&object).unwrap_or_default();
        let is_started = plural == "pipelineruns" && value.pointer("/spec/status").is_none();
        if is_started && played.insert(uid.clone()) {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource(plural));
            players.spawn(play(api, name.clone(), duration(&value), Arc::clone(&record)));
        }
        let revision = object.resource_version().and_then(|text| text.parse().ok()).unwrap_or_default();
        let at = record.began.elapsed();
        let version = Version { revision, at, resource: plural, namespace, name, uid, change, object: Arc::new(value) };
        record.versions().push(version);
    }
}

/// Says of a run what Tekton would: that it runs, and after a while that it is done.
async fn play(api: Api<DynamicObject>, name: String, duration: Duration, record: Arc<Record>) {
    let says = |status: &'static str| {
        let status = json!({"conditions": [{"type": "Succeeded", "status": status, "reason": "Bench", "message": ""}]});
        Patch::Merge(json!({ "status": status }))
    };
    for (status, wait) in [("Unknown", Duration::from_millis(5)), ("True", duration)] {
        tokio::time::sleep(wait).await;
        if let Err(error) = api.patch_status(&name, &PatchParams::default(), &says(status)).await {
            return record.note_gap(format!("the status of {name}: {error}"));
        }
    }
}

fn duration(run: &Value) -> Duration {
    let text = run.pointer("/metadata/annotations/devcluster~1duration").and_then(Value::as_str);
    text.and_then(pac_devcluster::parse_duration).unwrap_or_default()
}

// === impl Record ===

impl Record {
    fn versions(&self) -> MutexGuard<'_, Vec<Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_gap(&self, why: String) {
        self.gap.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }
}
