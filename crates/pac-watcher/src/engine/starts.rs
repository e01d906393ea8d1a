//! Starting runs that hold a slot.
//!
//! A start is sent at once after the pass that proved the slot ours, or not at all: another watcher that claims the slot gives
//! it to nobody else for longer than a start may be under way (see [`pac_concurrency::manager`]).

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use pac_concurrency::{RepositoryKey, RunKey, Scope};
use pac_metrics::{catalogue, per_repository};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::Engine;
use crate::convert::Phase;
use crate::index::Confirmed;
use crate::live_read;
use crate::patch::{self, StartOutcome};

/// How old the proof of a slot may be when its run's start is sent. With the request's own deadline it stays below the time
/// another watcher leaves a slot alone.
const PROOF_LASTS: Duration = Duration::from_secs(4);

/// How long the next run of a repository waits for the answer to the start before it. Starts are sent in queue order, one
/// after the other, so that whoever watches the cluster sees them in that order (P3); but a slow one doesn't hold up the
/// rest.
const IN_ORDER_FOR: Duration = Duration::from_millis(250);

/// Starts that are yet to be sent, by repository: runs and when their slots were proven ours. A repository with an entry
/// has a task that sends them.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<HashMap<RepositoryKey, VecDeque<(RunKey, Instant)>>>);

// === impl Lanes ===

impl Lanes {
    /// Puts a start at the end of its repository's lane; says whether a task must be made to send them.
    fn push(&self, repository: &RepositoryKey, start: (RunKey, Instant)) -> bool {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !lanes.contains_key(repository);
        lanes.entry(repository.clone()).or_default().push_back(start);
        is_new
    }

    fn pop(&self, repository: &RepositoryKey) -> Option<(RunKey, Instant)> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = lanes.get_mut(repository)?.pop_front();
        if next.is_none() {
            lanes.remove(repository);
        }
        next
    }
}

// === impl Engine ===

impl Engine {
    /// Starts `run`, whose slot was proven ours at `proven`, after those of its repository asked for before.
    pub(super) fn start(self: &Arc<Self>, repository: &RepositoryKey, run: RunKey, proven: Instant) {
        if !self.index.with(repository, |state| state.begin_start(&run, proven)) {
            return;
        }
        if self.lanes.push(repository, (run, proven)) {
            self.in_flight.spawn(Arc::clone(self).send_starts(repository.clone()));
        }
    }

    async fn send_starts(self: Arc<Self>, repository: RepositoryKey) {
        while let Some((run, proven)) = self.lanes.pop(&repository) {
            let (engine, repository) = (Arc::clone(&self), repository.clone());
            let sending = self.in_flight.spawn(async move {
                let _permit = engine.requests.acquire(&repository).await;
                if proven.elapsed() > PROOF_LASTS {
                    count_failure(&repository, "late");
                    engine.index.with(&repository, |state| state.abandon_start(&run));
                } else if AssertUnwindSafe(engine.try_start(&repository, &run, proven)).catch_unwind().await.is_err() {
                    error!(%repository, %run, "a start panicked, which is a bug of the watcher; it is tried again");
                    engine.doubt(&repository, &run);
                }
                engine.queue.add(repository.clone(), Scope::Head);
            });
            // What it comes to is its own affair; here only the order counts.
            let _ = tokio::time::timeout(IN_ORDER_FOR, sending).await;
        }
    }

    async fn try_start(&self, repository: &RepositoryKey, run: &RunKey, proven: Instant) {
        let outcome = patch::start(&self.client, run).await;
        match outcome {
            StartOutcome::Started => {
                catalogue::START.observe(&[], proven.elapsed());
                self.started(repository, run);
            }
            StartOutcome::Refused(why) => self.look_again(repository, run, Some(&why)).await,
            StartOutcome::LookAgain => {
                self.look_again(repository, run, Some("the API server refused the change")).await;
            }
            StartOutcome::Unknown(why) => {
                debug!(%repository, %run, why, "the outcome of a start is unknown; its slot stays, reading the run");
                count_failure(repository, "unknown");
                self.look_again(repository, run, None).await;
            }
        }
    }

    /// Reads the run after a start that was `refused`, or may have taken effect.
    ///
    /// A refusal alone frees no slot: an earlier start, whose answer was lost, may have taken effect, and who isn't allowed
    /// to change a run is told so whatever state it is in.
    async fn look_again(&self, repository: &RepositoryKey, run: &RunKey, refused: Option<&str>) {
        match live_read::confirm(&self.client, repository, run).await {
            Ok(Confirmed::Is(view)) if view.is_pending() => match refused {
                Some(why) if !self.may_be_started_by_another(repository, run) => self.refused(repository, run, why),
                _ => self.doubt(repository, run),
            },
            Ok(Confirmed::Is(view)) if view.phase == Phase::Running => self.started(repository, run),
            Ok(confirmed) => {
                debug!(%repository, %run, "not started: it is over or was cancelled meanwhile");
                count_failure(repository, "withdrawn");
                self.take_in(repository, confirmed);
            }
            Err(why) => {
                self.could_not_read(run, &why, true);
                self.doubt(repository, run);
            }
        }
    }

    fn may_be_started_by_another(&self, repository: &RepositoryKey, run: &RunKey) -> bool {
        self.index.with(repository, |state| state.may_be_started_by_another(run, Instant::now()))
    }

    fn started(&self, repository: &RepositoryKey, run: &RunKey) {
        info!(%repository, uid = run.uid(), "started {run}");
        let named = (repository.namespace(), repository.name());
        self.chronicle.started(repository, run);
        if let Some(started) = self.index.with(repository, |state| state.acknowledge_start(run, Instant::now())) {
            per_repository::observe(&catalogue::WAIT, named, started.waited);
            started.idle.into_iter().for_each(|idle| catalogue::HAND_OFF.observe(&[], idle));
        }
        // Last: whoever sees it counted sees what came with it.
        per_repository::count(&catalogue::STARTS, named, &[], 1);
    }

    fn refused(&self, repository: &RepositoryKey, run: &RunKey, why: &str) {
        count_failure(repository, "refused");
        warn!(%repository, uid = run.uid(), why, "{run} can't be started; it keeps its place and is tried again later");
        self.chronicle.refused(repository, run, why);
        self.index.with(repository, |state| state.refuse_start(run, why, Instant::now()));
    }

    fn doubt(&self, repository: &RepositoryKey, run: &RunKey) {
        let when = self.index.with(repository, |state| state.doubt_start(run, Instant::now()));
        if let Some(when) = when {
            self.queue.add_later(repository.clone(), Scope::Head, when);
        }
    }
}

fn count_failure(repository: &RepositoryKey, reason: &'static str) {
    per_repository::count(&catalogue::START_FAILURES, (repository.namespace(), repository.name()), &[reason], 1);
}
