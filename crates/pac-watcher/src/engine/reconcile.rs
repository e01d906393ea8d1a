//! One pass over one repository.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{DriverError, OwnershipView, ReconcileOutcome, RepositoryKey, RunKey, Scope, Snapshot};
use pac_kube::convert::FinalState;
use pac_kube::error::with_causes;
use pac_kube::live_read::Confirmed;
use pac_kube::live_read::{self, LiveReadError};
use pac_kube::patch;
use pac_metrics::{catalogue, per_repository};
use pac_state::health::Part;
use pac_state::index::{Effects, End};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Engine;
use super::reads::{Planned, Purpose};
use crate::options::Mode;

/// How soon to look again at a repository that others change all the time.
const CONFLICT_WAIT: Duration = Duration::from_millis(100);

/// How soon to look again at a pause's end at the latest: clocks are set now and then.
const LONGEST_NAP: Duration = Duration::from_secs(3600);

// === impl Engine ===

impl Engine {
    /// Brings `repository` in line: in the store with one commit at most, in the cluster by starting what that granted.
    pub(super) async fn reconcile(self: &Arc<Self>, repository: &RepositoryKey, scope: Scope) {
        let began = Instant::now();
        let decide = |snapshot: &Snapshot, scope: Scope, ownership: &OwnershipView<'_>| {
            self.index.decide(repository, |limit, state| {
                state.decide(limit, scope, snapshot, &|slot| ownership.of(slot), Instant::now())
            })
        };
        let passed = self.manager.reconcile(repository, scope, &decide).await;
        let outcome = if passed.is_ok() { "ok" } else { "error" };
        catalogue::PASS.observe(&[outcome], began.elapsed());
        match passed {
            Ok(passed) => {
                if self.store_health().note_success(repository) {
                    info!(%repository, "{repository}: fine again");
                }
                // Sooner than the next check would find it out.
                if passed.store_answered && self.health.is_troubled(Part::Store) {
                    self.doubt_store();
                }
                self.apply_outcome(repository, passed).await;
            }
            Err(DriverError::Conflict) => {
                debug!(%repository, "other watchers were faster again and again");
                self.queue.add_later(repository.clone(), scope, Instant::now() + CONFLICT_WAIT);
            }
            Err(error) => self.note_pass_failure(repository, scope, with_causes(&error)),
        }
    }

    async fn apply_outcome(self: &Arc<Self>, repository: &RepositoryKey, passed: ReconcileOutcome) {
        let now = Instant::now();
        let effects = self.index.with(repository, |state| state.apply(&passed.plan, now));
        self.note(repository, &passed, effects);
        for run in passed.start {
            self.start(repository, run, passed.proven);
        }
        for run in &passed.plan.confirm {
            self.confirm(repository, run.clone());
        }
        for run in &passed.plan.over_limit_unconfirmed {
            self.find_over_limit(repository, run.clone());
        }
        if self.options.mode == Mode::Standalone {
            for (run, state) in self.index.with(repository, |state| state.take_done_runs(now)) {
                self.mark_done(repository, run, state);
            }
        }
        let follow_up = self.index.with(repository, |state| state.follow_up(&passed.plan, now));
        if let Some(when) = follow_up.at {
            self.queue.add_later(repository.clone(), Scope::Head, when);
        }
        if follow_up.at_once {
            self.queue.add(repository.clone(), Scope::Head);
        }
        if let Some(until) = self.index.pause_now(repository).and_then(|pause| pause.until()) {
            let rest = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
            self.queue.add_later(repository.clone(), Scope::Head, now + rest.min(LONGEST_NAP));
        }
        let unknown_to_cluster = self.index.drop_if_blank(repository);
        if passed.is_unknown && unknown_to_cluster {
            // A Repository that came and went, and never had anybody wait.
            self.manager.drop_known(repository);
            self.history.forget(repository);
        }
        if passed.is_blank && unknown_to_cluster {
            match self.manager.forget(repository).await {
                Ok(true) => {
                    self.history.forget(repository);
                    info!(%repository, "forgot a Repository that is gone, and of which nothing runs or waits");
                }
                Ok(false) => {}
                Err(error) => self.note_pass_failure(repository, Scope::Head, with_causes(&error)),
            }
        }
    }

    /// Tells those who ask later what this pass did.
    fn note(&self, repository: &RepositoryKey, passed: &ReconcileOutcome, effects: Effects) {
        let Effects { ends, passed_over, misses_order } = effects;
        if let Some(gate) = self.index.gate().filter(|gate| gate.kind().keeps_orders()) {
            // What keeps it may be away, or is back: people are to know that while it matters.
            let is_told_lost = || gate.loses_orders(Instant::now()).is_some();
            if misses_order || !passed.plan.enqueued.is_empty() && is_told_lost() {
                gate.want_proof();
            }
        }
        let resumed = self.index.with(repository, |state| state.metadata.resumed.clone());
        self.history.ruled(repository, self.index.limit(repository), self.index.pause_now(repository), resumed);
        for (run, end) in &ends {
            per_repository::count(&catalogue::RELEASES, (repository.namespace(), repository.name()), &[end.name()], 1);
            if let End::ByOperator(reason) = end {
                warn!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), reason, "an operator released {run}: it counts no more, though it may still run");
            }
        }
        if let Some(traces) = &self.traces {
            traces.passed(repository, passed, &ends);
        }
        self.history.passed(repository, passed, &self.manager.holder(), ends);
        if let Some((by, runs)) = passed_over {
            self.history.passed_over(repository, &by, runs);
        }
    }

    /// Looks at `repository` again after a while that grows with each failure in a row, and has it found out whether it is the
    /// store's.
    pub(super) fn note_pass_failure(&self, repository: &RepositoryKey, scope: Scope, why: String) {
        debug!(%repository, why, "a pass failed");
        let when = self.store_health().note_failure(repository, why, Instant::now());
        self.queue.add_later(repository.clone(), scope, when);
        self.doubt_store();
    }

    /// Reads `run` from the API server, and looks again with what that says.
    pub(super) fn confirm(self: &Arc<Self>, repository: &RepositoryKey, run: RunKey) {
        self.read(Purpose::Confirm, repository, run, |engine, repository, confirmed, _| {
            debug!(%repository, ?confirmed, "read a run live");
            engine.index.with(repository, |state| state.confirm(confirmed, Instant::now()));
            None
        });
    }

    /// Finds out whether `run`, which no longer fits, was started: if not, the next pass gives its slot back.
    fn find_over_limit(self: &Arc<Self>, repository: &RepositoryKey, run: RunKey) {
        self.read(Purpose::OverLimit, repository, run, |engine, repository, confirmed, asked| {
            engine.index.with(repository, |state| state.take_in_over_limit(confirmed, asked, Instant::now()))
        });
    }

    /// Reads `run`, and does with what that says, and when it was asked at the earliest, as `then` has it: which returns when it could
    /// say more, if not at once.
    fn read(
        self: &Arc<Self>,
        purpose: Purpose,
        repository: &RepositoryKey,
        run: RunKey,
        then: impl FnOnce(&Self, &RepositoryKey, Confirmed, Instant) -> Option<Instant> + Send + 'static,
    ) {
        match self.reads.plan(purpose, &run, Instant::now()) {
            Planned::Now => {}
            Planned::UnderWay => return,
            Planned::Later(when) => return self.queue.add_later(repository.clone(), Scope::Head, when),
        }
        let (engine, repository) = (Arc::clone(self), repository.clone());
        self.in_flight.spawn(async move {
            let read = engine.reads.begin(purpose, &run);
            let began = Instant::now();
            let found = {
                let _permit = engine.requests.acquire(&repository).await;
                live_read::confirm(&engine.client, &repository, &run).await
            };
            match found {
                Ok(confirmed) => {
                    engine.health.fine_of_one(Part::ApiServer);
                    let again_at = then(&engine, &repository, confirmed, began);
                    read.told(again_at, Instant::now());
                    match again_at {
                        Some(when) => engine.queue.add_later(repository, Scope::Head, when),
                        None => engine.queue.add(repository, Scope::Head),
                    }
                }
                Err(why) => {
                    let failed = read.failed(Instant::now());
                    engine.could_not_read(&run, &why, began, failed.times == 1);
                    if matches!(why, LiveReadError::Unreadable(_)) {
                        engine.index.with(&repository, |state| state.note_unreadable(&run));
                    }
                    engine.queue.add_later(repository, Scope::Head, failed.until);
                }
            }
        });
    }

    /// Tells that nobody knows what became of `run`, which keeps what it has.
    pub(super) fn could_not_read(&self, run: &RunKey, why: &LiveReadError, began: Instant, is_news: bool) {
        match why {
            LiveReadError::NoAnswer(why) => {
                let why = format!("reading PipelineRun {run}: {why}");
                self.health.trouble_of_one(Part::ApiServer, began, why);
            }
            LiveReadError::Unreadable(why) if is_news => {
                warn!(%run, why, "PipelineRun {run} can't be read; it keeps its slot or place until it can, or is gone");
            }
            LiveReadError::Unreadable(why) => debug!(%run, why, "PipelineRun {run} still can't be read"),
        }
    }

    /// Writes onto a run that is done how it ended.
    fn mark_done(self: &Arc<Self>, repository: &RepositoryKey, run: RunKey, state: FinalState) {
        let (engine, repository) = (Arc::clone(self), repository.clone());
        self.in_flight.spawn(async move {
            tokio::time::sleep(patch::STARTS_FIRST).await;
            let _permit = engine.marks.acquire(&repository).await;
            let marked = patch::mark_done(&engine.client, &run, state).await;
            let outcome = if marked.is_ok() { "ok" } else { "error" };
            catalogue::RUNS_DONE.count(&[state.as_state(), outcome], 1);
            let Err(why) = marked else {
                return engine.index.with(&repository, |state| state.note_marked(&run));
            };
            debug!(%repository, %run, why, "could not write a run's final state; trying again");
            if let Some(when) = engine.index.with(&repository, |state| state.unmark(&run, Instant::now())) {
                engine.queue.add_later(repository.clone(), Scope::Head, when);
            }
        });
    }
}
