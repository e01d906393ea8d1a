//! Shadow mode: what Pipelines-as-Code's own queue does, measured, and what ours would have done with the very same runs.
//!
//! [`Shadow`] is fed with what the watch shows of each Repository: its limit, and which run waits, runs or is over. `pacs_queue`
//! measures from that how long runs waited, how long slots were idle while somebody waited, and what PAC's queue lost track of: runs
//! that it forgot, or let others pass, and runs over the limit. `replay` has our rule at work on the same arrivals, each run taking as
//! long as it really took. The `ledger` keeps what comes of both, by day and Repository.
//!
//! # What is not here
//!
//! No clock, no Kubernetes, no I/O: every call says when it happened, and nothing is changed anywhere.

mod distribution;
mod ledger;
mod pacs_queue;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Entry, RepositoryKey, RunKey};
use pac_queue::shadow::{RepositoryShadow, ShadowReport};

use crate::ledger::Ledger;
use crate::pacs_queue::PacsQueue;
use crate::replay::Replay;

/// Where a run is in its life, as far as it matters to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// PAC has said that it is queued.
    Waiting,
    /// It was started.
    Running,
    /// It is done, or will never be started.
    Over,
}

/// See the [crate](self).
#[derive(Debug)]
pub struct Shadow(Mutex<State>);

#[derive(Debug)]
struct State {
    since: Timestamp,
    /// When anything was last heard of; time never goes back.
    now: Timestamp,
    /// Since when nothing is seen; it begins so.
    unseen_since: Option<Timestamp>,
    unseen_seconds: f64,
    /// Whether it was ever complete.
    has_begun: bool,
    repositories: BTreeMap<RepositoryKey, Repository>,
    ledger: Ledger,
}

#[derive(Debug)]
struct Repository {
    pacs: PacsQueue,
    ours: Replay,
    /// Who is known, by name.
    names: BTreeMap<String, RunKey>,
}

// === impl Shadow ===

impl Shadow {
    /// One that knows nothing, and sees nothing until it is told that it does.
    pub fn new(at: Timestamp) -> Self {
        Self(Mutex::new(State {
            since: at,
            now: at,
            unseen_since: Some(at),
            unseen_seconds: 0.0,
            has_begun: false,
            repositories: BTreeMap::new(),
            ledger: Ledger::default(),
        }))
    }

    /// Takes in that from now on all that happens is seen. Who runs by the first time may run, whatever the limit says.
    pub fn sees(&self, at: Timestamp) {
        let mut state = self.state();
        let Some(since) = state.unseen_since else { return };
        let at = state.pass_time(at);
        state.advance_all();
        state.unseen_since = None;
        if state.has_begun {
            state.unseen_seconds += at.duration_since(since).as_secs_f64();
        } else {
            (state.has_begun, state.since) = (true, at);
            state.repositories.values_mut().for_each(|one| one.pacs.grandfather());
        }
        state.settle_all();
    }

    /// Takes in that from now on something may happen that isn't seen: nothing is measured until it is again.
    pub fn is_blind(&self, at: Timestamp) {
        let mut state = self.state();
        if state.unseen_since.is_none() {
            let at = state.pass_time(at);
            state.advance_all();
            state.unseen_since = Some(at);
        }
    }

    /// Takes in the limit of `repository`; none where none is known.
    pub fn limit(&self, repository: &RepositoryKey, limit: Option<u32>, at: Timestamp) {
        let mut state = self.state();
        if state.repositories.get(repository).map_or(limit.is_none(), |one| one.pacs.limit() == limit) {
            return;
        }
        state.on(repository, at, |one, at, _| {
            one.pacs.set_limit(limit);
            one.ours.set_limit(limit.and_then(|limit| usize::try_from(limit).ok()), at);
            None
        });
    }

    /// Takes in where a run of `repository` is in its life. `event` tells the webhook event it is of from others.
    pub fn run(&self, repository: &RepositoryKey, entry: &Entry, event: Option<u64>, stage: Stage, at: Timestamp) {
        let before = self.state().known(repository, entry.run.name());
        if let Some(before) = before.filter(|before| *before != entry.run) {
            self.gone(repository, before.name(), at);
        }
        self.state().on(repository, at, |one, at, ledger| one.note(repository, entry, event, stage, at, ledger));
    }

    /// Takes in that the run of that name is no longer there.
    pub fn gone(&self, repository: &RepositoryKey, name: &str, at: Timestamp) {
        let mut state = self.state();
        let Some(run) = state.known(repository, name) else { return };
        state.on(repository, at, |one, at, ledger| {
            one.is_over(&run, at, ledger);
            None
        });
    }

    /// All that was measured until `at`, by the watcher `identity`.
    pub fn report(&self, identity: &str, at: Timestamp) -> ShadowReport {
        let mut state = self.state();
        let at = state.pass_time(at);
        state.advance_all();
        let (total, by_repository, days) = state.ledger.totals();
        let of = |(key, total): (RepositoryKey, _)| {
            let pacs = state.repositories.get(&key).map(|one| &one.pacs);
            RepositoryShadow {
                repository: key.to_string(),
                limit: pacs.and_then(PacsQueue::limit),
                waiting: pacs.map_or(0, PacsQueue::waiting),
                total,
            }
        };
        let unseen = state.unseen_since.filter(|_| state.has_begun);
        let unseen = unseen.map_or(0.0, |since| at.duration_since(since).as_secs_f64());
        ShadowReport {
            identity: identity.to_owned(),
            at,
            since: state.since,
            unseen_seconds: state.unseen_seconds + unseen,
            limited_repositories: state.repositories.values().filter(|one| one.pacs.limit().is_some()).count(),
            total,
            repositories: by_repository.into_iter().map(of).collect(),
            days,
            drift: state.ledger.drift(),
            drift_left_out: state.ledger.drift_left_out(),
        }
    }

    /// Measures until `at`, for metrics that are about to be read.
    pub fn measure(&self, at: Timestamp) {
        let mut state = self.state();
        state.pass_time(at);
        state.advance_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Notes that it is `at`; says what time it is.
    fn pass_time(&mut self, at: Timestamp) -> Timestamp {
        self.now = self.now.max(at);
        self.now
    }

    fn known(&self, repository: &RepositoryKey, name: &str) -> Option<RunKey> {
        self.repositories.get(repository)?.names.get(name).cloned()
    }

    /// Changes what is known of `repository`; `change` says who was started.
    fn on(
        &mut self,
        repository: &RepositoryKey,
        at: Timestamp,
        change: impl FnOnce(&mut Repository, Timestamp, &mut Ledger) -> Option<RunKey>,
    ) {
        let at = self.pass_time(at);
        let is_seen = self.unseen_since.is_none();
        let one = self.repositories.entry(repository.clone()).or_insert_with(|| Repository::new(at));
        one.advance(repository, at, is_seen, &mut self.ledger);
        let started = change(one, at, &mut self.ledger);
        one.pacs.settle(repository, at, started.as_ref(), is_seen, &mut self.ledger);
        if one.pacs.is_blank() {
            self.repositories.remove(repository);
        }
    }

    fn advance_all(&mut self) {
        let (at, is_seen) = (self.now, self.unseen_since.is_none());
        for (key, one) in &mut self.repositories {
            one.advance(key, at, is_seen, &mut self.ledger);
        }
        self.ledger.forget(at);
    }

    fn settle_all(&mut self) {
        let (at, is_seen) = (self.now, self.unseen_since.is_none());
        for (key, one) in &mut self.repositories {
            one.pacs.settle(key, at, None, is_seen, &mut self.ledger);
        }
    }
}

// === impl Repository ===

impl Repository {
    fn new(at: Timestamp) -> Self {
        Self { pacs: PacsQueue::new(at), ours: Replay::new(at), names: BTreeMap::new() }
    }

    fn advance(&mut self, key: &RepositoryKey, at: Timestamp, is_seen: bool, ledger: &mut Ledger) {
        self.pacs.advance(key, at, is_seen, ledger);
        let replayed = self.ours.advance(at);
        if self.pacs.limit().is_some() {
            replayed.starts.iter().for_each(|(start, waited)| ledger.would_have_waited(key, *start, *waited));
            ledger.assumed(key, at, replayed.assumed);
        }
    }

    /// Says who was started, if it was this one.
    fn note(
        &mut self,
        key: &RepositoryKey,
        entry: &Entry,
        event: Option<u64>,
        stage: Stage,
        at: Timestamp,
        ledger: &mut Ledger,
    ) -> Option<RunKey> {
        let run = &entry.run;
        match stage {
            Stage::Over => {
                self.is_over(run, at, ledger);
                return None;
            }
            Stage::Waiting if self.pacs.is_running(run) => return None,
            Stage::Waiting if self.pacs.is_waiting(run) => {
                if self.pacs.moves(entry) {
                    self.ours.moves(entry);
                }
                return None;
            }
            Stage::Waiting => {
                self.pacs.arrives(entry.clone(), event, at);
                self.ours.arrives(entry, at);
            }
            Stage::Running if self.pacs.is_running(run) => return None,
            Stage::Running if self.pacs.is_waiting(run) => {
                self.pacs.started(key, run, at, ledger);
                self.ours.started(run, at);
                return Some(run.clone());
            }
            Stage::Running => {
                self.pacs.runs(run.clone());
                self.ours.runs(entry, at);
            }
        }
        self.names.insert(run.name().to_owned(), run.clone());
        (stage == Stage::Running).then(|| run.clone())
    }

    fn is_over(&mut self, run: &RunKey, at: Timestamp, ledger: &mut Ledger) {
        if self.pacs.is_waiting(run) {
            self.pacs.leaves(run, at, ledger);
            self.ours.leaves(run, at);
        } else if self.pacs.is_running(run) {
            self.pacs.ended(run, at);
            self.ours.ended(run, at);
        }
        self.names.remove(run.name());
    }
}
