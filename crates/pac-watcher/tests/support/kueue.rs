//! Kueue as it deals with PipelineRuns, by its public source: what carries the label of a LocalQueue it knows is admitted in the
//! order of creation as far as the quota goes, by taking `spec.status` away; what goes without having been admitted is stopped,
//! for good; what is in a queue it doesn't know waits, and may move to another.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};

pub const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";

/// See the [module](self); it works until dropped.
pub struct Kueue {
    /// Runs that went without having been admitted, and were stopped.
    stopped: Arc<Mutex<Vec<String>>>,
    /// How many it had admitted at once, at most.
    most: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Kueue {
    /// Admits `quota` runs of LocalQueue `queue` at once.
    pub fn start(runs: Api<DynamicObject>, queue: &str, quota: usize) -> Self {
        let (stopped, most) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicUsize::new(0)));
        let work = Work {
            runs,
            queue: queue.to_owned(),
            quota,
            waiting: BTreeSet::new(),
            admitted: BTreeSet::new(),
            stopped: Arc::clone(&stopped),
            most: Arc::clone(&most),
        };
        Self { stopped, most, task: tokio::spawn(work.run()) }
    }

    pub fn stopped(&self) -> Vec<String> {
        self.stopped.lock().unwrap().clone()
    }

    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Kueue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    runs: Api<DynamicObject>,
    queue: String,
    quota: usize,
    /// Those it may admit, in the order of creation.
    waiting: BTreeSet<(String, String)>,
    admitted: BTreeSet<String>,
    stopped: Arc<Mutex<Vec<String>>>,
    most: Arc<AtomicUsize>,
}

impl Work {
    async fn run(mut self) {
        let config = watcher::Config::default().labels(QUEUE_NAME);
        let mut events = watcher::watcher(self.runs.clone(), config).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(run) | Event::InitApply(run)) => self.look(&run).await,
                Ok(Event::Delete(run)) => self.forget(&run),
                Ok(Event::Init | Event::InitDone) | Err(_) => {}
            }
            while self.admitted.len() < self.quota
                && let Some((_, name)) = self.waiting.pop_first()
            {
                self.admitted.insert(name.clone());
                self.most.fetch_max(self.admitted.len(), Ordering::Relaxed);
                self.patch(&name, json!({"spec": {"status": null}})).await;
            }
        }
    }

    async fn look(&mut self, run: &DynamicObject) {
        if is_done(run) {
            return self.forget(run);
        }
        let (key, name) = ((created(run), run.name_any()), run.name_any());
        let wish = run.data.pointer("/spec/status").and_then(Value::as_str).unwrap_or_default();
        if self.admitted.contains(&name) {
        } else if wish.is_empty() {
            self.stopped.lock().unwrap().push(name.clone());
            self.patch(&name, json!({"spec": {"status": "StoppedRunFinally"}})).await;
        } else if wish == "PipelineRunPending" && run.labels()[QUEUE_NAME] == self.queue {
            self.waiting.insert(key);
        } else {
            self.waiting.remove(&key);
        }
    }

    fn forget(&mut self, run: &DynamicObject) {
        self.waiting.remove(&(created(run), run.name_any()));
        self.admitted.remove(&run.name_any());
    }

    async fn patch(&self, name: &str, patch: Value) {
        // Who is gone meanwhile is told of by the watch.
        drop(self.runs.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await);
    }
}

fn created(run: &DynamicObject) -> String {
    run.metadata.creation_timestamp.as_ref().map(|at| at.0.to_string()).unwrap_or_default()
}

fn is_done(run: &DynamicObject) -> bool {
    let conditions = run.data.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == "Succeeded" && one["status"] != "Unknown")
}
