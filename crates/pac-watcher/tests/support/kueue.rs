//! Kueue as it deals with PipelineRuns, by its public source: what carries the label of a LocalQueue it knows is admitted in the
//! order of creation as far as the quota goes, by taking `spec.status` away; what goes without having been admitted is stopped,
//! for good; what is in a queue it doesn't know waits, and may move to another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
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
    admitted: BTreeSet<String>,
    stopped: Arc<Mutex<Vec<String>>>,
    most: Arc<AtomicUsize>,
}

impl Work {
    async fn run(mut self) {
        loop {
            self.look().await;
            // It reconciles by a watch; how soon it does is of no account here.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn look(&mut self) {
        let Ok(all) = self.runs.list(&ListParams::default().labels(QUEUE_NAME)).await else { return };
        let all: BTreeMap<(String, String), DynamicObject> =
            all.items.into_iter().map(|run| ((created(&run), run.name_any()), run)).collect();
        let unfinished: BTreeSet<String> =
            all.iter().filter(|(_, run)| !is_done(run)).map(|((_, name), _)| name.clone()).collect();
        self.admitted.retain(|name| unfinished.contains(name));
        for ((_, name), run) in all {
            if is_done(&run) || self.admitted.contains(&name) {
                continue;
            }
            let wish = run.data.pointer("/spec/status").and_then(Value::as_str).unwrap_or_default();
            if wish.is_empty() {
                self.stopped.lock().unwrap().push(name.clone());
                self.patch(&name, json!({"spec": {"status": "StoppedRunFinally"}})).await;
            } else if wish == "PipelineRunPending"
                && run.labels()[QUEUE_NAME] == self.queue
                && self.admitted.len() < self.quota
            {
                self.admitted.insert(name.clone());
                self.most.fetch_max(self.admitted.len(), Ordering::Relaxed);
                self.patch(&name, json!({"spec": {"status": null}})).await;
            }
        }
    }

    async fn patch(&self, name: &str, patch: Value) {
        let patched = self.runs.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        drop(patched);
    }
}

fn created(run: &DynamicObject) -> String {
    run.metadata.creation_timestamp.as_ref().map(|at| at.0.to_string()).unwrap_or_default()
}

fn is_done(run: &DynamicObject) -> bool {
    let conditions = run.data.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == "Succeeded" && one["status"] != "Unknown")
}
