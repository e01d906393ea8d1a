//! What whoever acts tells of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Limit, ReconcileOutcome, RepositoryKey, RunKey};
use pac_kube::convert::RunView;
use pac_kube::trace_context::Traced;
use pac_metrics::catalogue;
use pac_state::health::Health;
use pac_state::index::{End, Index};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::exporter::{Exporter, Pace};
use crate::reason::Reason;
use crate::wait::{Event, Wait};
use crate::waits::Waits;

/// How often it is noted what those who wait wait for.
const EVERY: Duration = Duration::from_secs(1);

/// Takes what happens to runs that wait, and never waits itself. Clones are one. While nobody gets spans, it takes nothing.
#[derive(Debug, Clone)]
pub struct Traces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_on: AtomicBool,
    waits: Mutex<Waits>,
    queue: mpsc::Sender<Wait>,
    index: Arc<Index>,
    health: Arc<Health>,
    leading: watch::Receiver<bool>,
}

// === impl Traces ===

impl Traces {
    /// One of a watcher with this identity, and who sends what it makes. What runs wait for is known by `index` and `health`.
    pub fn new(
        index: Arc<Index>,
        health: Arc<Health>,
        leading: watch::Receiver<bool>,
        identity: &str,
        pace: Pace,
    ) -> (Self, Exporter) {
        let (queue, spans) = mpsc::channel(pace.queue);
        let (is_on, waits) = (AtomicBool::new(false), Mutex::default());
        let traces = Self(Arc::new(Inner { is_on, waits, queue, index, health, leading }));
        (traces, Exporter::new(spans, identity, pace))
    }

    /// Whether anybody gets spans.
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Acquire)
    }

    /// Has spans made from now on, or no longer; then all is forgotten.
    pub fn set_on(&self, on: bool) {
        self.0.is_on.store(on, Ordering::Release);
        if !on {
            self.waits().clear();
        }
    }

    /// The watch, or a list, shows this version of a run; `traced` reads the rest of it.
    pub fn saw(&self, view: &RunView, traced: impl FnOnce() -> Traced) {
        if self.is_on() {
            let (leads, now) = (*self.0.leading.borrow(), Timestamp::now());
            let over = self.waits().saw(view, traced, leads, now);
            self.send(over);
        }
    }

    /// The watch shows the run `path` (`namespace/name`) of `repository` no longer.
    pub fn gone(&self, repository: &RepositoryKey, path: &str) {
        if self.is_on() {
            self.waits().gone(repository, name(path), Timestamp::now());
        }
    }

    /// The watch shows the run `path` (`namespace/name`) as one of another Repository's than `former`.
    pub fn moved(&self, former: &RepositoryKey, path: &str) {
        if self.is_on() {
            self.waits().forget(former, name(path));
        }
    }

    /// Nothing is watched any more.
    pub fn clear(&self) {
        self.waits().clear();
    }

    /// A pass did this; `ends` says of each run that was released why.
    pub fn passed(&self, repository: &RepositoryKey, passed: &ReconcileOutcome, ends: &[(RunKey, End)]) {
        let plan = &passed.plan;
        if !self.is_on() || plan.commits_nothing() {
            return;
        }
        let reason = (!passed.joined.is_empty()).then(|| Reason::of(repository, &self.0.index, &self.0.health));
        let now = Timestamp::now();
        let mut over = Vec::new();
        let mut waits = self.waits();
        for (run, place) in &passed.joined {
            waits.joined(repository, run, *place, now);
        }
        let happened = [(&plan.claimed, Event::TakenOver), (&plan.granted, Event::Admitted)];
        for (entries, event) in happened {
            entries.iter().for_each(|entry| waits.happened(repository, &entry.run, event, now));
        }
        plan.given_back.iter().for_each(|run| waits.happened(repository, run, Event::GivenBack, now));
        over.extend(plan.adopted.iter().filter_map(|entry| waits.adopted(repository, &entry.run, now)));
        over.extend(ends.iter().filter_map(|(run, end)| waits.released(repository, run, end, now)));
        if let Some(reason) = reason {
            waits.wait_for(repository, reason, now);
        }
        drop(waits);
        self.send(over);
    }

    /// The API server said that the run is started.
    pub fn started(&self, repository: &RepositoryKey, run: &RunKey) {
        if self.is_on() {
            let over = self.waits().started(repository, run, Timestamp::now());
            self.send(over);
        }
    }

    /// The API server refused to start the run.
    pub fn refused(&self, repository: &RepositoryKey, run: &RunKey) {
        self.happened(repository, run, Event::Refused);
    }

    /// Nobody knows whether a start of the run took effect.
    pub fn unanswered(&self, repository: &RepositoryKey, run: &RunKey) {
        self.happened(repository, run, Event::Unanswered);
    }

    /// Notes now and then what those who wait wait for, for ever.
    pub async fn follow(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look(Timestamp::now());
        }
    }

    fn look(&self, now: Timestamp) {
        let waited_for = self.waits().waited_for(now);
        for repository in waited_for {
            let reason = Reason::of(&repository, &self.0.index, &self.0.health);
            self.waits().wait_for(&repository, reason, now);
        }
        let leads = *self.0.leading.borrow();
        let over = self.waits().forget_gone(leads, now);
        self.send(over);
    }

    fn happened(&self, repository: &RepositoryKey, run: &RunKey, event: Event) {
        if self.is_on() {
            self.waits().happened(repository, run, event, Timestamp::now());
        }
    }

    /// Puts these into the queue, as far as there is room.
    fn send(&self, over: impl IntoIterator<Item = Wait>) {
        for mut wait in over {
            // Nobody keeps the trace it would be in.
            if wait.traced.parent.as_ref().is_some_and(|parent| !parent.is_sampled()) {
                continue;
            }
            wait.limit = match self.0.index.limit(&wait.repository) {
                Limit::AtMost(most) => Some(most.get()),
                Limit::Unlimited | Limit::Unknown => None,
            };
            if self.0.queue.try_send(wait).is_err() {
                catalogue::TRACE_SPANS.count(&["dropped"], 1);
            }
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(path: &str) -> &str {
    path.split_once('/').map_or(path, |(_, name)| name)
}
