//! The engine: passes over repositories, for as long as one store is in use.
//!
//! It is made of the workers, each of which has one repository at a time in hand, and of what keeps them going: the
//! store's lease and health, what other watchers changed, and the slow resync that repairs whatever was missed (P4).

mod background;
mod history_sync;
mod legacy;
mod reads;
mod reconcile;
mod requests;
mod starts;
mod store_health;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::Client;
use pac_concurrency::{Manager, Scope};
use pac_kube::error::with_causes;
use pac_state::audit::Audit;
use pac_state::health::{Health, Part};
use pac_state::index::Index;
use pac_state::work_queue::WorkQueue;
use pac_traces::Traces;
use pac_view::queue::HistoryRecorder;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use self::reads::Reads;
use self::requests::Requests;
use self::store_health::{StoreCall, StoreHealth};
use crate::abort_on_panic::abort_on_panic;
use crate::in_force::InForce;
use crate::options::Mode;
use crate::watch::Sink;

/// Repositories in hand at once.
const WORKERS: usize = 64;
/// Requests to the API server under way at once on which admission depends, and how many of them for one repository: its
/// starts are sent one after the other anyway, unless they are slow.
const REQUESTS: (usize, usize) = (256, 8);
/// Final states being written at once, and how many of one repository's.
const MARKS: (usize, usize) = (32, 4);

/// What the engine can be tuned with; tests do.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
    /// Who owns a run's state label in the end.
    pub mode: Mode,
    /// Whether a Kubernetes Lease says who leads: then whoever begins to lead takes over from a predecessor that is gone.
    pub elected: bool,
    /// How often everything is passed over, event or not.
    pub resync_every: Duration,
    /// How often the store and the API server are asked how they are.
    pub check_every: Duration,
}

/// See the [module](self).
pub(crate) struct Engine {
    client: Client,
    manager: Arc<Manager>,
    index: Arc<Index>,
    queue: Arc<WorkQueue>,
    health: Arc<Health>,
    in_force: Arc<InForce>,
    history: Arc<HistoryRecorder>,
    traces: Option<Traces>,
    options: EngineOptions,
    reads: Reads,
    // Starts and the reads they depend on; marks, on which nothing depends, queue up elsewhere.
    requests: Requests,
    marks: Requests,
    store_health: Mutex<StoreHealth>,
    // Somebody has reason to doubt what is known of the store: whoever checks it, and whoever keeps the lease, looks at once.
    check_now: Notify,
    renew_now: Notify,
    lanes: starts::Lanes,
    complaints: starts::Complaints,
    in_flight: TaskTracker,
    audit: Arc<Audit>,
}

/// The tasks beside the workers, which end with the engine.
#[derive(Debug, Default)]
struct Keepers {
    over: CancellationToken,
    tasks: TaskTracker,
}

// === impl Keepers ===

impl Keepers {
    fn spawn(&self, keeper: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.over.clone().run_until_cancelled_owned(keeper));
    }

    async fn end(&self) {
        self.over.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

// === impl EngineOptions ===

impl EngineOptions {
    /// The defaults, in `mode`.
    pub(crate) fn new(mode: Mode, elected: bool) -> Self {
        Self { mode, elected, resync_every: Duration::from_secs(300), check_every: Duration::from_secs(5) }
    }
}

// === impl Engine ===

impl Engine {
    /// An engine on `manager`'s store, fed through `sink`, by settings of which it makes sure when it comes to lead; what it does is told
    /// to `history`.
    pub(crate) fn new(
        client: Client,
        manager: Arc<Manager>,
        sink: Sink,
        in_force: Arc<InForce>,
        history: Arc<HistoryRecorder>,
        options: EngineOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            manager,
            index: sink.index,
            queue: sink.queue,
            health: sink.health,
            in_force,
            history,
            traces: sink.traces,
            options,
            reads: Reads::default(),
            requests: Requests::new(REQUESTS.0, REQUESTS.1),
            marks: Requests::new(MARKS.0, MARKS.1),
            store_health: Mutex::default(),
            check_now: Notify::new(),
            renew_now: Notify::new(),
            lanes: starts::Lanes::default(),
            complaints: starts::Complaints::default(),
            in_flight: TaskTracker::new(),
            audit: Arc::default(),
        })
    }

    /// What the auditor has found.
    pub(crate) fn audit_so_far(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Runs until `stop`; then finishes what is in flight and ends the term. Passes are made while `leading` is true.
    pub(crate) async fn run(self: &Arc<Self>, mut leading: watch::Receiver<bool>, stop: CancellationToken) {
        let keepers = Keepers::default();
        let (term, mut began) = watch::channel(false);
        keepers.spawn(abort_on_panic("the lease", Arc::clone(self).keep_term(term)));
        keepers.spawn(abort_on_panic("news of the store", Arc::clone(self).follow_changes()));
        keepers.spawn(abort_on_panic("the check of the servers", Arc::clone(self).check_health()));
        keepers.spawn(abort_on_panic("the return of the API server", Arc::clone(self).follow_api_server()));
        keepers.spawn(abort_on_panic("the resync", Arc::clone(self).resync()));
        keepers.spawn(abort_on_panic("the audit", Arc::clone(self).audit(Arc::clone(&self.audit))));
        keepers.spawn(Arc::clone(self).keep_pasts());
        if stop.run_until_cancelled(self.prepare(&mut began)).await.is_some() {
            self.health.fine(Part::Start);
        }
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                led = leading.wait_for(|leading| *leading) => if led.is_err() { break },
            }
            // It may have been told of a change late while it only followed.
            tokio::select! {
                () = stop.cancelled() => break,
                _ = leading.wait_for(|leading| !*leading) => continue,
                () = self.in_force.present() => {}
            }
            info!("admitting PipelineRuns");
            self.history.begin();
            if self.options.elected {
                self.manager.claim_from_predecessor();
            }
            self.look_at_everything().await;
            self.lead(&mut leading, &stop).await;
            self.manager.end_claim_from_predecessor();
            self.write_last_pasts().await;
        }
        self.in_flight.close();
        self.in_flight.wait().await;
        keepers.end().await;
        if let Err(error) = self.manager.end_term().await {
            warn!(error = with_causes(&error), "could not end the lease behind this watcher's slots; it will run out");
        }
    }

    /// What comes before the first pass: a lease, and what an earlier version left.
    async fn prepare(&self, has_term: &mut watch::Receiver<bool>) {
        // Its sender lives as long as the keepers do.
        let _ = has_term.wait_for(|has_term| *has_term).await;
        self.take_over_legacy().await;
    }

    /// Works until `stop`, or until no longer leading; then waits for the passes under way.
    async fn lead(self: &Arc<Self>, leading: &mut watch::Receiver<bool>, stop: &CancellationToken) {
        let until = CancellationToken::new();
        let workers = TaskTracker::new();
        for _ in 0..WORKERS {
            workers.spawn(Arc::clone(self).work(until.clone()));
        }
        workers.close();
        tokio::select! {
            () = stop.cancelled() => {}
            _ = leading.wait_for(|leading| !*leading) => debug!("admitting nobody any more"),
        }
        until.cancel();
        workers.wait().await;
    }

    async fn work(self: Arc<Self>, until: CancellationToken) {
        while let Some((repository, scope)) = until.run_until_cancelled(self.queue.next()).await {
            // Not cut short by `until`: a pass under way is finished.
            let pass = Box::pin(self.reconcile(&repository, scope));
            if AssertUnwindSafe(pass).catch_unwind().await.is_err() {
                error!(%repository, "a pass panicked, which is a bug of the watcher; it is tried again, and others go on");
                self.note_pass_failure(&repository, scope, "a bug of the watcher (see the log)".to_owned());
            }
            self.queue.done(&repository);
        }
    }

    /// Asks for a full pass over every repository of cluster and store.
    pub(crate) async fn look_at_everything(&self) {
        for repository in self.index.repositories() {
            self.queue.add(repository, Scope::Whole);
        }
        let began = Instant::now();
        let listed = self.manager.repositories().await;
        let outcome = listed.as_ref().map(|_| ()).map_err(|error| with_causes(error));
        self.note_store_call(StoreCall::List, began, outcome);
        let Ok(listed) = listed else { return };
        for record in &listed.corrupt {
            warn!(place = %record.place, why = %record.why, "skipped an unreadable record of the store");
        }
        listed.keys.into_iter().for_each(|repository| self.queue.add(repository, Scope::Whole));
    }

    /// Takes note of what a call to the store came to that concerns no repository and began at `began`; says whether the store is
    /// well again with it.
    fn note_store_call(&self, call: StoreCall, began: Instant, outcome: Result<(), String>) -> bool {
        let failed = outcome.is_err();
        match self.store_health().note_call(call, outcome) {
            Some(why) if failed => self.health.trouble_of_call(Part::Store, began, why),
            Some(why) => self.health.trouble(Part::Store, why),
            None => return self.health.fine(Part::Store),
        }
        false
    }

    fn store_health(&self) -> MutexGuard<'_, StoreHealth> {
        self.store_health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
