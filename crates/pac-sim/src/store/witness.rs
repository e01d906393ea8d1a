//! Who stands beside the servers: whether a commit or a start may be at the very moment at which it takes effect there.
//!
//! The recorder reads what came of it in the end, and must allow for what it can't see: who knew what, which request was on its way. Here
//! both are seen at once, the API server's truth and the store's, so that next to nothing is allowed for, and what is wrong is told before it
//! does harm, which it may never do in the one history there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_concurrency::{Delta, Entry, RepositoryKey, RunKey};
use pac_devcluster::DevCluster;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::records::Repository;
use crate::trace::Trace;

/// How long a watcher may go by a limit that was lowered: that long it may be cut off, and what it sent be on its way.
const LOWERED_UNHEARD: Duration = Duration::from_secs(45);
/// Violations that are spelled out.
const TOLD: usize = 10;

const STATE: &str = "pipelinesascode.tekton.dev~1state";
const RELEASED: &str = "concurrency.pipelinesascode.tekton.dev~1released";
const HANDED_OVER: &str = "concurrency.pipelinesascode.tekton.dev~1handed-over";

/// Since when a limit was what, `None` for as many as like.
type LimitChanges = Vec<(Instant, Option<u64>)>;

/// What is true of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// It is done, gone, withdrawn or released: it counts no more.
    Over,
    /// It is pending, and queued.
    Waits,
    /// It is pending, and PAC has yet to queue it.
    Arrives,
    /// It was stopped while it waited: Tekton starts it to run what comes at its end.
    Stops,
    Runs,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Witness {
    cluster: Arc<DevCluster>,
    trace: Trace,
    /// The uids of the runs that had a slot: they may have been refused since, and be passed.
    admitted: Mutex<BTreeSet<String>>,
    /// The runs, as `namespace/name`, of which a process sent a start, each with its name: one that is in doubt about it counts the run.
    attempted: Mutex<BTreeSet<(String, String)>>,
    /// Those of each Repository.
    limits: Mutex<BTreeMap<String, LimitChanges>>,
    seen: Mutex<Vec<(&'static str, String)>>,
}

// === impl Witness ===

impl Witness {
    pub(crate) fn new(cluster: Arc<DevCluster>, trace: Trace) -> Self {
        let (admitted, attempted, limits) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { cluster, trace, admitted, attempted, limits, seen: Mutex::default() }
    }

    /// Process `who` sends a start of the run `path`.
    pub(crate) fn attempts(&self, who: &str, path: String) {
        self.attempted.lock().insert((who.to_owned(), path));
    }

    /// A commit of process `who` took effect that made `after` of `before`.
    ///
    /// Whose slot is released, is over (P5); who is given back, doesn't run (P5); who leaves the queue, waits no more (P5); who is given
    /// a slot, passes nobody who waits and never was refused (P3), and fits the limit (P1), but for those whose start `who` sent itself
    /// and may be in doubt about.
    pub(super) fn committed(
        &self,
        who: &str,
        key: &RepositoryKey,
        before: &Repository,
        after: &Repository,
        delta: &Delta,
    ) {
        let (release, give_back) = (&delta.release, &delta.give_back);
        for run in release.iter().chain(give_back).filter(|run| before.has_slot(run) && !after.has_slot(run)) {
            let truth = self.truth(run);
            // Who waits may be queued again; who is over may be, too, and leaves the queue with the next pass.
            let is_fine = truth == Truth::Over || give_back.contains(run) && truth != Truth::Runs;
            if !is_fine {
                self.saw("P5", format!("{run} lost its slot: {truth:?}"));
            }
        }
        for run in before.waiting().map(|entry| &entry.run).filter(|run| !after.has(run)) {
            let truth = self.truth(run);
            if matches!(truth, Truth::Waits | Truth::Arrives) {
                self.saw("P5", format!("{run} lost its place in the queue: {truth:?}"));
            }
        }
        let granted = delta.hold.iter().filter(|entry| !before.has_slot(&entry.run));
        let granted: Vec<&Entry> = granted.filter(|entry| self.truth(&entry.run) == Truth::Waits).collect();
        granted.iter().for_each(|entry| self.granted(entry, after));
        let is_new = |run: &RunKey| !self.attempted.lock().contains(&(who.to_owned(), run.path().to_owned()));
        let new = granted.iter().find(|entry| is_new(&entry.run));
        if let (Some(entry), Some(limit)) = (new, self.greatest_limit(key)) {
            let count = after.holding().filter(|run| self.truth(run) != Truth::Over).count();
            if count as u64 > limit {
                self.saw("P1", format!("{} was given a slot, one of {count} at a limit of {limit}", entry.run));
            }
        }
        self.admitted.lock().extend(after.holding().map(|run| run.uid().to_owned()));
    }

    fn granted(&self, entry: &Entry, after: &Repository) {
        let never_refused = |run: &RunKey| !self.admitted.lock().contains(run.uid());
        // One that was in the queue keeps the place it had there, unless it is moved by the same change.
        let before_both = entry.min(after.slot(&entry.run).unwrap_or(entry));
        let passed = after.waiting().filter(|waiting| *waiting < before_both);
        for passed in passed.filter(|passed| never_refused(&passed.run) && self.truth(&passed.run) == Truth::Waits) {
            self.saw("P3", format!("{} was given a slot, and {} waits before it", entry.run, passed.run));
        }
    }

    /// A watcher sent a commit although its lease had run out (P7).
    pub(super) fn without_lease(&self, what: &str) {
        self.saw("P7", format!("{what} by one whose lease has run out"));
    }

    /// A watcher started a run that was like this `before`, by the request `what`, `asked` for then: which has a slot (P1), is pending and
    /// isn't deleted (P2). Whose watcher waits no more for the answer may have lost its slot meanwhile, which nobody can help.
    pub(crate) fn started(
        &self,
        before: Option<&Value>,
        has_slot: impl FnOnce(&str) -> bool,
        asked: Instant,
        what: &str,
    ) {
        let text = |path: &str| before?.pointer(path)?.as_str();
        if text("/spec/status") != Some("PipelineRunPending") || text("/metadata/deletionTimestamp").is_some() {
            self.saw("P2", format!("{what}: started, though it is {}", before.unwrap_or(&Value::Null)));
        }
        if asked.elapsed() <= REQUEST_DEADLINE && !has_slot(text("/metadata/uid").unwrap_or_default()) {
            self.saw("P1", format!("{what}: started, and has no slot"));
        }
    }

    /// Looks what limits there are.
    pub(crate) fn note_limits(&self, global: &str) {
        let repositories = self.cluster.store().list("repositories", None, "").unwrap_or_default();
        let path = |one: &Value| {
            let text = |path: &str| one.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"))
        };
        let own = |one: &Value| one.pointer("/spec/concurrency_limit").and_then(Value::as_u64);
        let of_all = repositories.iter().find(|one| path(one) == global).and_then(|one| own(one));
        let mut limits = self.limits.lock();
        for one in &repositories {
            let limit = own(one).or(of_all).filter(|limit| *limit > 0);
            let known = limits.entry(path(one)).or_default();
            if known.last().is_none_or(|(_, last)| *last != limit) {
                known.push((Instant::now(), limit));
            }
        }
    }

    /// The greatest limit by which a watcher may go; none if that is as many as like, or isn't known.
    fn greatest_limit(&self, repository: &RepositoryKey) -> Option<u64> {
        let limits = self.limits.lock();
        let known = limits.get(repository.as_str())?;
        // A limit is heard of until the next one is.
        let ends = known.iter().skip(1).map(|(since, _)| Some(*since)).chain([None]);
        let in_force = known.iter().zip(ends).filter(|(_, end)| end.is_none_or(|end| end.elapsed() < LOWERED_UNHEARD));
        in_force.map(|((_, limit), _)| *limit).try_fold(0, |greatest, limit| Some(greatest.max(limit?)))
    }

    /// The promises that were broken, and how.
    pub(crate) fn told(&self) -> Vec<(&'static str, String)> {
        let seen = self.seen.lock();
        let ids: BTreeSet<&str> = seen.iter().map(|(id, _)| *id).collect();
        let of = |id| seen.iter().filter(move |(other, _)| *other == id).map(|(_, how)| how.as_str());
        let told = |id| (id, of(id).take(TOLD).collect::<Vec<_>>().join("\n    "));
        ids.into_iter().map(told).collect()
    }

    fn saw(&self, id: &'static str, how: String) {
        let at = pac_virtual::elapsed().unwrap_or_default().as_secs_f64();
        self.trace.tell(&format!("{id} BROKEN: {how}"));
        self.seen.lock().push((id, format!("at {at:.3} s {how}")));
    }

    fn truth(&self, run: &RunKey) -> Truth {
        let found = self.cluster.store().get("pipelineruns", run.namespace(), run.name());
        found.map_or(Truth::Over, |object| truth(&object, run.uid()))
    }
}

fn truth(run: &Value, uid: &str) -> Truth {
    let text = |path: &str| run.pointer(path).and_then(Value::as_str);
    let annotation = |name: &str| text(&format!("/metadata/annotations/{name}"));
    let is_of = |value: Option<&str>| value == Some(uid);
    if !is_of(text("/metadata/uid")) || matches!(text("/status/conditions/0/status"), Some("True" | "False")) {
        return Truth::Over;
    }
    let is_queued = annotation(STATE) == Some("queued");
    let has_begun = text("/status/startTime").is_some();
    let is_deleted = text("/metadata/deletionTimestamp").is_some();
    match text("/spec/status") {
        Some("PipelineRunPending") if is_deleted => Truth::Over,
        Some("PipelineRunPending") if is_of(annotation(HANDED_OVER)) => Truth::Runs,
        Some("PipelineRunPending") if is_queued => Truth::Waits,
        Some("PipelineRunPending") => Truth::Arrives,
        Some("Cancelled") if is_queued && !has_begun => Truth::Over,
        // Tekton begins with none that is being deleted, whatever was asked of it since.
        Some("CancelledRunFinally" | "StoppedRunFinally") if is_queued && !has_begun && is_deleted => Truth::Over,
        Some("CancelledRunFinally" | "StoppedRunFinally") if is_queued && !has_begun => Truth::Stops,
        _ if is_of(annotation(RELEASED)) => Truth::Over,
        _ => Truth::Runs,
    }
}
