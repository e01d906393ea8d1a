//! What a watch of the test's own shows of the runs of one namespace, version by version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use super::{PATIENCE, STATE};

/// A run as its latest version shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub uid: String,
    /// `spec.status`, or nothing.
    pub wish: String,
    /// Annotation and label `state`, if they agree.
    pub state: String,
    /// Status of condition Succeeded, or nothing.
    pub succeeded: String,
    /// Whether Tekton has begun with it: it has a `startTime`.
    pub begun: bool,
}

impl Run {
    pub fn is_pending(&self) -> bool {
        self.wish == "PipelineRunPending"
    }

    /// Not pending, not done, and not merely stopped before it was started.
    pub fn is_running(&self) -> bool {
        let done = matches!(self.succeeded.as_str(), "True" | "False");
        let never_started = !self.wish.is_empty() && self.state == "queued" && !self.begun;
        !self.is_pending() && !done && !never_started
    }
}

#[derive(Clone)]
pub struct Recorder {
    latest: watch::Receiver<BTreeMap<String, Run>>,
    record: Arc<Mutex<Record>>,
}

#[derive(Default)]
struct Record {
    versions: usize,
    /// What the list under way has shown: what it leaves out is gone.
    listed: BTreeSet<String>,
    /// Names in the order they were seen to turn from pending to running, with their uids.
    starts: Vec<(String, String)>,
}

impl Recorder {
    pub fn start(client: Client, namespace: &str) -> Self {
        let kind = GroupVersionKind::gvk("tekton.dev", "v1", "PipelineRun");
        let resource = ApiResource::from_gvk_with_plural(&kind, "pipelineruns");
        let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
        let (sender, latest) = watch::channel(BTreeMap::new());
        let record = Arc::new(Mutex::new(Record::default()));
        let recorder = Self { latest, record: Arc::clone(&record) };
        tokio::spawn(async move {
            let mut events = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let Ok(event) = event else { continue };
                sender.send_modify(|runs| take_in(event, runs, &record));
            }
        });
        recorder
    }

    /// Waits until `condition` holds of the latest versions.
    pub async fn until(&self, what: &str, condition: impl Fn(&BTreeMap<String, Run>) -> bool) -> BTreeMap<String, Run> {
        self.until_within(PATIENCE, what, condition).await
    }

    /// Likewise, for as long as this: for tests of much work.
    pub async fn until_within(
        &self,
        patience: Duration,
        what: &str,
        condition: impl Fn(&BTreeMap<String, Run>) -> bool,
    ) -> BTreeMap<String, Run> {
        let mut latest = self.latest.clone();
        let waiting = tokio::time::timeout(patience, latest.wait_for(|runs| condition(runs))).await;
        match waiting {
            Ok(runs) => runs.unwrap().clone(),
            Err(_) => panic!("waited in vain until {what}; now {:#?}", self.now()),
        }
    }

    pub fn now(&self) -> BTreeMap<String, Run> {
        self.latest.borrow().clone()
    }

    /// How many versions were seen.
    pub fn count(&self) -> usize {
        self.record.lock().unwrap().versions
    }

    /// Names in the order they were started.
    pub fn start_order(&self) -> Vec<String> {
        self.record.lock().unwrap().starts.iter().map(|(name, _)| name.clone()).collect()
    }

    /// How often the run of this uid was started.
    pub fn starts_of(&self, uid: &str) -> usize {
        self.record.lock().unwrap().starts.iter().filter(|(_, started)| started == uid).count()
    }
}

fn take_in(event: Event<DynamicObject>, runs: &mut BTreeMap<String, Run>, record: &Mutex<Record>) {
    let mut record = record.lock().unwrap();
    record.versions += 1;
    match event {
        Event::Apply(object) | Event::InitApply(object) => {
            let name = object.metadata.name.clone().unwrap();
            record.listed.insert(name.clone());
            let run = run(&object);
            let before = runs.insert(name.clone(), run.clone());
            let was_pending = before.is_some_and(|before| before.uid == run.uid && before.is_pending());
            if was_pending && run.is_running() {
                record.starts.push((name, run.uid));
            }
        }
        Event::Delete(object) => drop(runs.remove(&object.metadata.name.unwrap())),
        Event::Init => record.listed.clear(),
        Event::InitDone => runs.retain(|name, _| record.listed.contains(name)),
    }
}

fn run(object: &DynamicObject) -> Run {
    let text = |pointer: &str| object.data.pointer(pointer).and_then(|value| value.as_str()).unwrap_or("").to_owned();
    let named = |map: &Option<BTreeMap<String, String>>| map.as_ref().and_then(|map| map.get(STATE)).cloned();
    let (label, annotation) = (named(&object.metadata.labels), named(&object.metadata.annotations));
    let conditions = object.data.pointer("/status/conditions").and_then(|conditions| conditions.as_array());
    let succeeded = conditions.into_iter().flatten().find(|condition| condition["type"] == "Succeeded");
    Run {
        uid: object.metadata.uid.clone().unwrap(),
        wish: text("/spec/status"),
        state: if label == annotation { label.unwrap_or_default() } else { format!("{label:?} {annotation:?}") },
        succeeded: succeeded.and_then(|condition| condition["status"].as_str()).unwrap_or("").to_owned(),
        begun: object.data.pointer("/status/startTime").is_some(),
    }
}
