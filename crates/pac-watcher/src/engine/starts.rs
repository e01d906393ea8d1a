//! Starting runs that hold a slot.
//!
//! A start is sent at once after the pass that proved the slot ours, or not at all: another watcher that claims the slot gives
//! it to nobody else for longer than a start may be under way (see [`pac_concurrency::protocol`]).

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use pac_concurrency::protocol;
use pac_concurrency::{RepositoryKey, RunKey, Scope};
use pac_kube::live_read;
use pac_kube::patch::{self, StartBy, StartOutcome};
use pac_metrics::{catalogue, per_repository};
use pac_state::health::Part;
use pac_state::index::{StartEnd, Started};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::Engine;

/// How long the next run of a repository waits for the answer to the start before it, once that was sent. Starts are sent in queue
/// order, one after the other, so that whoever watches the cluster sees them in that order (P3). An API server that is short of time
/// answers within this, too; and whoever waits this long still has a proof that is young enough.
const IN_ORDER_FOR: Duration = Duration::from_secs(3);
const _: () = assert!(IN_ORDER_FOR.as_nanos() < protocol::PROOF_LASTS.as_nanos());

/// The same while starts of the repository hang: those after them aren't held up any longer than it takes to see that they do, too.
const WHILE_STARTS_HANG: Duration = Duration::from_millis(250);

/// How long after it was last heard the same complaint is no news: longer than a start that fails waits for its next try.
const COMPLAINT_STANDS: Duration = Duration::from_secs(300);

/// Starts that are yet to be sent, by repository: runs and when their slots were proven ours. A repository with an entry
/// has a task that sends them.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<HashMap<RepositoryKey, VecDeque<(RunKey, Instant)>>>);

/// What was said of starts that failed, so that it isn't said again for every run.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Instant>>);

// === impl Complaints ===

impl Complaints {
    /// Whether nobody has read this in the last minutes.
    fn is_news(&self, why: &str, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, last| now - *last < COMPLAINT_STANDS);
        said.insert(why.to_owned(), now).is_none()
    }
}

// === impl Lanes ===

impl Lanes {
    /// Puts a start at the end of its repository's lane; says whether a task must be made to send them.
    fn push(&self, repository: &RepositoryKey, start: (RunKey, Instant)) -> bool {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !lanes.contains_key(repository);
        lanes.entry(repository.clone()).or_default().push_back(start);
        is_new
    }

    /// Takes away what is yet to be sent of one repository. Its task stays.
    fn clear(&self, repository: &RepositoryKey) -> impl Iterator<Item = RunKey> + use<> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get_mut(repository).map(std::mem::take).unwrap_or_default().into_iter().map(|(run, _)| run)
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
        let begun = self
            .index
            .with(repository, |state| (!state.would_overtake(proven)).then(|| state.begin_start(&run, Instant::now())));
        match begun {
            Some(true) => {}
            Some(false) => return,
            // The next pass asks for all of them, in order.
            None => return self.queue.add(repository.clone(), Scope::Head),
        }
        if self.lanes.push(repository, (run, proven)) {
            self.in_flight.spawn(Arc::clone(self).send_starts(repository.clone()));
        }
    }

    async fn send_starts(self: Arc<Self>, repository: RepositoryKey) {
        let mut patience = IN_ORDER_FOR;
        while let Some((run, proven)) = self.lanes.pop(&repository) {
            let (sent, is_sent) = oneshot::channel();
            let sending =
                self.in_flight.spawn(Arc::clone(&self).send_start(repository.clone(), run.clone(), proven, sent));
            // The outcome is the start's own affair; here only the order counts. The wait for a permit isn't the API server's.
            let _ = is_sent.await;
            patience = match tokio::time::timeout(patience, sending).await {
                Ok(_) => IN_ORDER_FOR,
                Err(_) => {
                    debug!(%repository, %run, "its start isn't answered yet; others of its Repository no longer wait for that");
                    WHILE_STARTS_HANG
                }
            };
        }
    }

    /// Sends one start as soon as it may, which it tells.
    async fn send_start(
        self: Arc<Self>,
        repository: RepositoryKey,
        run: RunKey,
        proven: Instant,
        sent: oneshot::Sender<()>,
    ) {
        let _under_way = self.index.starts().begin(Instant::now());
        let _permit = self.requests.acquire(&repository).await;
        let _ = sent.send(());
        if !protocol::is_proven(proven, Instant::now()) {
            count_failure(&repository, "late");
            // The next pass asks for it again, and for all that are behind it.
            for run in [run].into_iter().chain(self.lanes.clear(&repository)) {
                self.index.with(&repository, |state| state.abandon_start(&run, Instant::now()));
            }
        } else if AssertUnwindSafe(self.try_start(&repository, &run, proven)).catch_unwind().await.is_err() {
            error!(%repository, %run, "a start panicked, which is a bug of the watcher; it is tried again");
            self.doubt(&repository, &run);
        }
        // Last: whoever looks finds all of this done.
        self.queue.add(repository.clone(), Scope::Head);
    }

    async fn try_start(&self, repository: &RepositoryKey, run: &RunKey, proven: Instant) {
        let began = Instant::now();
        let hand_over_to = self.index.with(repository, |state| state.hand_over_to(run));
        let way = match hand_over_to.as_deref() {
            Some(queue) => StartBy::HandingOver(queue),
            None if self.index.is_draining() => StartBy::HandingBack,
            None => StartBy::Clearing,
        };
        let outcome = patch::start(&self.client, run, way).await;
        match outcome {
            StartOutcome::Started => {
                catalogue::START.observe(&[], proven.elapsed());
                self.health.fine_of_one(Part::ApiServer);
                let started = self.index.with(repository, |state| state.acknowledge_start(run, Instant::now()));
                self.note_started(repository, run, started);
            }
            StartOutcome::Refused(why) | StartOutcome::LookAgain(why) => {
                self.look_again(repository, run, Some(&why)).await;
            }
            StartOutcome::Failed(why) => {
                self.index.with(repository, |state| state.note_unanswered(run, began));
                self.start_failed(repository, run, &why);
                self.look_again(repository, run, None).await;
            }
            StartOutcome::Unknown(why) => {
                debug!(%repository, %run, why, "the outcome of a start is unknown; its slot stays, reading the run");
                self.index.with(repository, |state| state.note_unanswered(run, began));
                self.count_unanswered(repository, run);
                self.health.trouble_of_one(Part::ApiServer, began, format!("starting PipelineRun {run}: {why}"));
                self.look_again(repository, run, None).await;
            }
        }
    }

    /// Says how the API server answered a start that may have taken effect all the same: a webhook that it asked and that is
    /// away, for example. In the log once for all runs that fare so, on each run it can be seen.
    fn start_failed(&self, repository: &RepositoryKey, run: &RunKey, why: &str) {
        self.count_unanswered(repository, run);
        let (name, namespace) = (run.name(), run.namespace());
        if self.health.is_troubled(Part::ApiServer) || !self.complaints.is_news(why, Instant::now()) {
            debug!(%repository, run = name, namespace, why, "starting {run} failed; it keeps its slot and is tried again");
        } else {
            warn!(%repository, namespace, run = name, uid = run.uid(), "starting {run}: {why}; it keeps its slot and is tried again, \
                   and so is every other run that is answered like this");
        }
        if self.index.with(repository, |state| state.note_failed_start(run, why)) {
            self.history.refused(repository, run, why);
        }
    }

    /// Reads the run after a start that was `refused`, or may have taken effect.
    async fn look_again(&self, repository: &RepositoryKey, run: &RunKey, refused: Option<&str>) {
        let began = Instant::now();
        let found = match live_read::confirm(&self.client, repository, run).await {
            Ok(found) => Some(found),
            Err(why) => {
                self.could_not_read(run, &why, began, true);
                None
            }
        };
        match self.index.with(repository, |state| state.end_start(run, found, refused, began, Instant::now())) {
            StartEnd::Started(started) => self.note_started(repository, run, started),
            StartEnd::Refused => self.note_refused(repository, run, refused.unwrap_or_default()),
            StartEnd::Over => {
                debug!(%repository, %run, "not started: it is over or was cancelled meanwhile");
                count_failure(repository, "withdrawn");
            }
            StartEnd::InDoubt(when) => self.look_later(repository, when),
        }
    }

    fn note_started(&self, repository: &RepositoryKey, run: &RunKey, started: Option<Started>) {
        info!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "started {run}");
        let named = (repository.namespace(), repository.name());
        self.history.started(repository, run);
        if let Some(traces) = &self.traces {
            traces.started(repository, run);
        }
        if let Some(started) = started {
            per_repository::observe_run(&catalogue::WAIT, named, started.waited, run.path());
            started.idle.into_iter().for_each(|idle| catalogue::HAND_OFF.observe_run(&[], idle, run.path()));
        }
        // Last: whoever sees it counted sees what came with it.
        per_repository::count(&catalogue::STARTS, named, &[], 1);
    }

    fn note_refused(&self, repository: &RepositoryKey, run: &RunKey, why: &str) {
        count_failure(repository, "refused");
        let (name, namespace) = (run.name(), run.namespace());
        warn!(%repository, namespace, run = name, uid = run.uid(), why, "{run} can't be started; it keeps its place and is tried again later");
        self.history.refused(repository, run, why);
        if let Some(traces) = &self.traces {
            traces.refused(repository, run);
        }
    }

    fn count_unanswered(&self, repository: &RepositoryKey, run: &RunKey) {
        count_failure(repository, "unknown");
        if let Some(traces) = &self.traces {
            traces.unanswered(repository, run);
        }
    }

    fn doubt(&self, repository: &RepositoryKey, run: &RunKey) {
        let when = self.index.with(repository, |state| {
            state.note_unanswered(run, Instant::now());
            state.doubt_start(run, Instant::now())
        });
        self.look_later(repository, when);
    }

    fn look_later(&self, repository: &RepositoryKey, when: Option<Instant>) {
        if let Some(when) = when {
            self.queue.add_later(repository.clone(), Scope::Head, when);
        }
    }
}

fn count_failure(repository: &RepositoryKey, reason: &'static str) {
    per_repository::count(&catalogue::START_FAILURES, (repository.namespace(), repository.name()), &[reason], 1);
}
