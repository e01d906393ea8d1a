//! Whether what watchers answer is true, by what the API server had when they were asked.
//!
//! A watcher knows the cluster by its watch. So an answer is held against all that was so within the last seconds: whom it names must
//! have been there like that at some moment, and whoever was there like that all the while must be named.
//! Numbers are held against both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pac_devcluster::{Change, Store, Version};
use pac_queue::view::{Answer, Explanation, Overview, Queues, RepositoryQueue, Summary, WatcherView};
use parking_lot::Mutex;
use serde_json::Value;

use super::World;
use crate::replica::Asked;
use crate::schedule::{RECOVERED_AFTER, is_calm};

/// How far behind the cluster an answer may be while nothing goes wrong.
const BEHIND: Duration = Duration::from_secs(3);
/// And while something does: who is told nothing any more knows that after 12 s, and says so; what he was told may have been 8 s late.
const BEHIND_IN_STORMS: Duration = Duration::from_secs(22);
/// How much more than that of the past is kept apart, for answers that take their time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// What was found untrue. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Untrue(Arc<Mutex<Vec<String>>>);

/// What a run is, as far as answers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waiting,
    Running,
    /// Done or gone.
    Over,
    /// Still to be queued or ordered, cancelled, being deleted: answers may have it so or so.
    Other,
}

/// What one run was within a while.
#[derive(Debug, Clone)]
struct Lately {
    name: String,
    namespace: String,
    stages: BTreeSet<Stage>,
}

/// What all runs were at a time long enough ago, so that nobody need go through the whole history for an answer. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past(Arc<Mutex<LongAgo>>);

#[derive(Debug, Default)]
struct LongAgo {
    /// How many versions there were by then.
    versions: usize,
    until: Duration,
    runs: BTreeMap<String, Lately>,
}

// === impl Untrue ===

impl Untrue {
    /// All of it, in words; none if all was true.
    pub(crate) fn told(&self) -> Option<String> {
        let untrue = self.0.lock();
        (!untrue.is_empty()).then(|| untrue.join("\n    "))
    }
}

// === impl Lately ===

impl Lately {
    fn was_all_the_while(&self, stage: Stage) -> bool {
        self.stages.iter().eq([&stage])
    }

    /// Whether an answer may say so.
    fn may_have_been(&self, stage: Stage) -> bool {
        self.stages.contains(&stage) || self.stages.contains(&Stage::Other)
    }
}

// === impl LongAgo ===

impl LongAgo {
    /// What every run was between `from` and `to`, which is now, by its uid; none if that is too long ago.
    fn lately(&mut self, store: &Store, from: Duration, to: Duration) -> Option<BTreeMap<String, Lately>> {
        if from < self.until {
            return None;
        }
        let history = store.history_after(self.versions);
        self.until = self.until.max(to.saturating_sub(BEHIND_IN_STORMS + ANSWERED_WITHIN));
        let (old, new) = history.split_at(history.partition_point(|version| version.at <= self.until));
        self.versions += old.len();
        for version in old {
            take_in(&mut self.runs, version, true);
            if version.change == Change::Deleted {
                self.runs.remove(&version.uid);
            }
        }
        let mut runs = self.runs.clone();
        for version in new.iter().filter(|version| version.at <= to) {
            take_in(&mut runs, version, version.at <= from);
        }
        Some(runs)
    }
}

/// Adds a version to what the runs were; what was before it no longer counts if it `is_old`.
fn take_in(runs: &mut BTreeMap<String, Lately>, version: &Version, is_old: bool) {
    if version.resource != "pipelineruns" {
        return;
    }
    let run = runs.entry(version.uid.clone()).or_insert_with(|| Lately {
        name: version.name.clone(),
        namespace: version.namespace.clone(),
        // It wasn't there before.
        stages: BTreeSet::from([Stage::Over]),
    });
    if is_old {
        run.stages.clear();
    }
    run.stages.insert(stage(version));
}

// === impl World ===

impl World {
    /// Asks every watcher that is at work; what of the answers isn't true is noted.
    pub(super) fn ask(&self) {
        let is_calm = is_calm(self.began.elapsed()) && self.restless_until.elapsed() > RECOVERED_AFTER;
        let behind = if is_calm { BEHIND } else { BEHIND_IN_STORMS };
        for replica in self.replicas.iter().flatten() {
            let (identity, asked) = (replica.way.identity.clone(), replica.asked());
            let (cluster, began) = (Arc::clone(&self.outside.cluster), self.began);
            let (untrue, past, trace) = (self.untrue.clone(), self.past.clone(), self.outside.trace.clone());
            let stores = [Arc::clone(&self.outside.postgresql), Arc::clone(&self.outside.etcd)];
            tokio::spawn(async move {
                let from = began.elapsed().saturating_sub(behind);
                let lately = || past.0.lock().lately(cluster.store(), from, began.elapsed());
                // A watcher that is behind puts runs back into the queue that are over, and others tell what the queue has.
                let in_store = |path: &str| stores.iter().any(|store| store.had_waiting(path, began + from));
                for what in questioned(&asked, lately, in_store).await {
                    trace.tell(&format!("untrue: {what}"));
                    untrue.0.lock().push(format!("{:.3} s: {identity} {what}", began.elapsed().as_secs_f64()));
                }
            });
        }
    }
}

/// What of a watcher's answers isn't true, by what every run was `lately`, and who was in the queue of the store.
async fn questioned(
    asked: &Asked,
    lately: impl Fn() -> Option<BTreeMap<String, Lately>>,
    in_store: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (mut untrue, mut noted) = (Vec::new(), BTreeSet::new());
    if let Some(queues) = asked.answer::<Queues>("/debug/queue").await
        && is_sure(&queues.watcher)
        && let Some(lately) = lately()
    {
        untrue.extend(queues.repositories.iter().flat_map(|queue| named(queue, &lately)));
        let waiting = queues.repositories.into_iter().flat_map(|queue| queue.waiting);
        noted.extend(waiting.filter(|run| run.note.is_some()).map(|run| run.run));
    }
    if let Some(overview) = asked.answer::<Overview>("/debug/queue/summary").await
        && is_sure(&overview.watcher)
        && let Some(lately) = lately()
    {
        untrue.extend(overview.repositories.iter().flat_map(|summary| counted(summary, &lately)));
    }
    for (uid, run) in lately().iter().flat_map(one_of_each) {
        let path = format!("/debug/queue/explain?run={}/{}", run.namespace, run.name);
        if let Some(explanation) = asked.answer::<Explanation>(&path).await
            && is_sure(&explanation.watcher)
            && let Some(lately) = lately()
        {
            let is_excused = |before: &str| noted.contains(before) || in_store(before);
            untrue.extend(explained(&explanation, &uid, is_excused, &lately));
        }
    }
    untrue
}

/// Whether a watcher is at work and knows of nothing that is wrong: it says so, otherwise.
fn is_sure(watcher: &WatcherView) -> bool {
    watcher.system == "on" && watcher.trouble.is_empty()
}

/// What of a Repository's queue isn't true.
fn named(queue: &RepositoryQueue, lately: &BTreeMap<String, Lately>) -> Vec<String> {
    if queue.store_trouble.is_some() {
        return Vec::new();
    }
    let was = |uid: &str, stage: Stage| lately.get(uid).is_some_and(|run| run.may_have_been(stage));
    let waits = queue.waiting.iter().filter(|run| run.note.is_none() && !was(&run.uid, Stage::Waiting));
    let waits = waits.map(|run| format!("says that {} waits", run.run));
    let runs = queue.running.iter().filter(|run| run.state == "running" && !was(&run.uid, Stage::Running));
    let runs = runs.map(|run| format!("says that {} runs", run.run));
    waits.chain(runs).chain(unnamed(queue, lately)).collect()
}

/// What of a Repository's numbers can't be.
fn counted(summary: &Summary, lately: &BTreeMap<String, Lately>) -> Vec<String> {
    let namespace = summary.repository.split('/').next().unwrap_or_default();
    let of_this = || lately.values().filter(|run| run.namespace == namespace);
    let told = [(Stage::Waiting, summary.waiting, "wait"), (Stage::Running, summary.running, "run")];
    let untrue = told.into_iter().filter_map(|(stage, number, what)| {
        let least = of_this().filter(|run| run.was_all_the_while(stage)).count();
        let most = of_this().filter(|run| run.may_have_been(stage)).count();
        let is_true = (least..=most).contains(&number);
        (!is_true).then(|| format!("says that {number} {what} in {namespace}, where {least} to {most} did"))
    });
    untrue.collect()
}

/// A run of each Repository that waited all the while, and one that ran.
fn one_of_each(lately: &BTreeMap<String, Lately>) -> Vec<(String, Lately)> {
    let mut found = BTreeMap::new();
    for (uid, run) in lately {
        for stage in [Stage::Waiting, Stage::Running].into_iter().filter(|stage| run.was_all_the_while(*stage)) {
            found.entry((run.namespace.clone(), stage)).or_insert_with(|| (uid.clone(), run.clone()));
        }
    }
    found.into_values().collect()
}

/// What of an explanation of the run with this uid isn't true. Of those before it that `is_excused` has, it need
/// not be true that they wait.
fn explained(
    explanation: &Explanation,
    uid: &str,
    is_excused: impl Fn(&str) -> bool,
    lately: &BTreeMap<String, Lately>,
) -> Vec<String> {
    let Some(run) = lately.get(uid) else { return Vec::new() };
    let (answer, name) = (explanation.answer, &explanation.run);
    let is_over = matches!(answer, Answer::Unknown | Answer::Foreign | Answer::Done | Answer::Withdrawn);
    let runs = matches!(answer, Answer::Running | Answer::Released);
    let mut untrue = Vec::new();
    if run.was_all_the_while(Stage::Waiting) && (is_over || runs) {
        untrue.push(format!("explains {name}, which waits, by {answer:?}"));
    }
    if run.was_all_the_while(Stage::Running) && !runs {
        untrue.push(format!("explains {name}, which runs, by {answer:?}"));
    }
    let waited = |before: &str| {
        let mut of_that_name = lately.values().filter(|run| format!("{}/{}", run.namespace, run.name) == before);
        of_that_name.any(|run| run.may_have_been(Stage::Waiting))
    };
    let ahead = explanation.ahead.iter().filter(|before| !is_excused(before) && !waited(before));
    untrue.extend(ahead.map(|before| format!("says that {before} waits before {name}")));
    untrue
}

/// Who is not named who was there all the while.
fn unnamed<'a>(queue: &'a RepositoryQueue, lately: &'a BTreeMap<String, Lately>) -> impl Iterator<Item = String> + 'a {
    let waiting: BTreeSet<&str> = queue.waiting.iter().map(|run| run.uid.as_str()).collect();
    let running: BTreeSet<&str> = queue.running.iter().map(|run| run.uid.as_str()).collect();
    let namespace = queue.repository.split('/').next().unwrap_or_default();
    let of_this = lately.iter().filter(move |(_, run)| run.namespace == namespace);
    of_this.filter_map(move |(uid, run)| {
        if run.was_all_the_while(Stage::Waiting) && !waiting.contains(uid.as_str()) && !running.contains(uid.as_str()) {
            return Some(format!("doesn't say that {namespace}/{} waits", run.name));
        }
        let is_unnamed = run.was_all_the_while(Stage::Running) && !running.contains(uid.as_str());
        is_unnamed.then(|| format!("doesn't say that {namespace}/{} runs", run.name))
    })
}

fn stage(version: &Version) -> Stage {
    let text = |path: &str| version.object.pointer(path).and_then(Value::as_str);
    let is_going = text("/metadata/deletionTimestamp").is_some();
    let is_done = matches!(text("/status/conditions/0/status"), Some("True" | "False"));
    let state = text("/metadata/annotations/pipelinesascode.tekton.dev~1state");
    // Then it may run, and is no longer said to.
    let is_released = text("/metadata/annotations/concurrency.pipelinesascode.tekton.dev~1released").is_some();
    // Without one it is only waited for where there is a limit.
    let is_ordered = ["pipelinesascode.tekton.dev", "concurrency.pipelinesascode.tekton.dev"]
        .iter()
        .any(|group| text(&format!("/metadata/annotations/{group}~1execution-order")).is_some());
    match text("/spec/status") {
        _ if version.change == Change::Deleted || is_done => Stage::Over,
        _ if is_going => Stage::Other,
        Some("PipelineRunPending") if state == Some("queued") && is_ordered => Stage::Waiting,
        None | Some("") if !is_released => Stage::Running,
        _ => Stage::Other,
    }
}
