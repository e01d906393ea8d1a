//! Whether what watchers answer is true, by what the API server had when they were asked.
//!
//! A watcher knows the cluster by its watch. So an answer is held against all that was so within the last seconds: whom it names must
//! have been there like that at some moment, and whoever was there like that all the while must be named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pac_devcluster::{Change, DevCluster, Version};
use pac_queue::view::{Queues, RepositoryQueue};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::World;

/// How far behind the cluster an answer may be while nothing goes wrong.
const BEHIND: Duration = Duration::from_secs(3);

/// What was found untrue. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Untrue(Arc<Mutex<Vec<String>>>);

/// What a run is, as far as answers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waiting,
    Running,
    /// Done, gone, still to be queued, cancelled, being deleted: answers may have it so or so.
    Other,
}

/// What one run was within a while.
struct Lately<'a> {
    name: &'a str,
    namespace: &'a str,
    stages: BTreeSet<Stage>,
}

// === impl Untrue ===

impl Untrue {
    /// All of it, in words; none if all was true.
    pub(crate) fn told(&self) -> Option<String> {
        let untrue = self.0.lock();
        (!untrue.is_empty()).then(|| untrue.join("\n    "))
    }
}

// === impl World ===

impl World {
    /// Asks every watcher that is at work; what of the answers isn't true is noted.
    pub(super) fn ask(&self) {
        for replica in self.replicas.iter().flatten() {
            let (asked, cluster, began) = (replica.asked(), Arc::clone(&self.outside.cluster), self.began);
            let (untrue, trace) = (self.untrue.clone(), self.outside.trace.clone());
            tokio::spawn(async move {
                let from = began.elapsed().saturating_sub(BEHIND);
                let Some(queues) = asked.answer::<Queues>("/debug/queue").await else { return };
                // One that knows that something is wrong says so.
                if queues.watcher.system != "on" || !queues.watcher.trouble.is_empty() {
                    return;
                }
                let mut found = untrue.0.lock();
                for what in judge(&queues, &cluster, from, began) {
                    trace.tell(&format!("untrue: {what}"));
                    found.push(format!("{:.3} s: {} {what}", began.elapsed().as_secs_f64(), queues.watcher.identity));
                }
            });
        }
    }
}

/// What of an answer isn't true.
fn judge(queues: &Queues, cluster: &DevCluster, from: Duration, began: Instant) -> Vec<String> {
    let history = cluster.history();
    let lately = lately(&history, from, began.elapsed());
    let mut untrue = Vec::new();
    for queue in queues.repositories.iter().filter(|queue| queue.store_trouble.is_none()) {
        let names = |uid: &str, stage: Stage| lately.get(uid).is_some_and(|run| run.stages.contains(&stage));
        for run in queue.waiting.iter().filter(|run| run.note.is_none() && !names(&run.uid, Stage::Waiting)) {
            untrue.push(format!("says that {} waits", run.run));
        }
        for run in queue.running.iter().filter(|run| run.state == "running" && !names(&run.uid, Stage::Running)) {
            untrue.push(format!("says that {} runs", run.run));
        }
        untrue.extend(unnamed(queue, &lately));
    }
    untrue
}

/// Who is not named who was there all the while.
fn unnamed<'a>(
    queue: &'a RepositoryQueue,
    lately: &'a BTreeMap<&str, Lately<'_>>,
) -> impl Iterator<Item = String> + 'a {
    let waiting: BTreeSet<&str> = queue.waiting.iter().map(|run| run.uid.as_str()).collect();
    let running: BTreeSet<&str> = queue.running.iter().map(|run| run.uid.as_str()).collect();
    let namespace = queue.repository.split('/').next().unwrap_or_default();
    let of_this = lately.iter().filter(move |(_, run)| run.namespace == namespace);
    of_this.filter_map(move |(uid, run)| {
        let was_all_the_while = |stage: Stage| run.stages.iter().eq([&stage]);
        if was_all_the_while(Stage::Waiting) && !waiting.contains(uid) && !running.contains(uid) {
            return Some(format!("doesn't say that {namespace}/{} waits", run.name));
        }
        let is_unnamed = was_all_the_while(Stage::Running) && !running.contains(uid);
        is_unnamed.then(|| format!("doesn't say that {namespace}/{} runs", run.name))
    })
}

/// What every run was between `from` and `to`, by its uid.
fn lately(history: &[Version], from: Duration, to: Duration) -> BTreeMap<&str, Lately<'_>> {
    let mut runs: BTreeMap<&str, Lately<'_>> = BTreeMap::new();
    for version in history.iter().filter(|version| version.resource == "pipelineruns" && version.at <= to) {
        let stage = stage(version);
        let run = runs.entry(&version.uid).or_insert_with(|| Lately {
            name: &version.name,
            namespace: &version.namespace,
            // It wasn't there before.
            stages: BTreeSet::from([Stage::Other]),
        });
        if version.at <= from {
            run.stages.clear();
        }
        run.stages.insert(stage);
    }
    runs
}

fn stage(version: &Version) -> Stage {
    let text = |path: &str| version.object.pointer(path).and_then(Value::as_str);
    let is_going = version.change == Change::Deleted || text("/metadata/deletionTimestamp").is_some();
    let is_done = matches!(text("/status/conditions/0/status"), Some("True" | "False"));
    let state = text("/metadata/annotations/pipelinesascode.tekton.dev~1state");
    match text("/spec/status") {
        _ if is_going || is_done => Stage::Other,
        Some("PipelineRunPending") if state == Some("queued") => Stage::Waiting,
        None | Some("") => Stage::Running,
        _ => Stage::Other,
    }
}
