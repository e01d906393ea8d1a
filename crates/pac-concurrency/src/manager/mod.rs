//! The manager: the caller of a driver on behalf of a watcher at work.
//!
//! # A pass
//!
//! [`Manager::reconcile`] brings one repository's state in the store in line with the cluster: it takes the snapshot it
//! remembers or loads one, has the caller decide on it, and commits the decision against the snapshot's version. On a
//! conflict, or when an answer was lost, it loads again and has the caller decide again; so what was decided on a stale
//! snapshot never takes effect, and remembering snapshots is safe. A settled repository costs no call at all, and a
//! change one round trip.
//!
//! # What the caller may start
//!
//! [`ReconcileOutcome::start`] lists the runs whose slot was, during this pass, provably held by this very watcher: those granted by
//! its commit, and those of earlier commits seen again in a snapshot loaded by this pass. They are to be started at once or
//! not at all; a pass later on will list them again.
//!
//! # SlotOwnership
//!
//! A slot of another holder is left to it, until its lease lapses or until it failed to start its run for [`STALL_AFTER`],
//! counted since *this* process saw the slot (P9). Then it is claimed by a commit of its own, which the old holder can't have
//! missed when it next acts. Only the holder gives a slot back. The whole protocol: [`crate::protocol`].

mod pass;
mod snapshot_cache;
mod store_access;
mod term;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::connected::ConnectedStore;
use crate::delta::Delta;
use crate::driver::{Driver, Repositories, ServerInfo, StoreEvent};
use crate::error::{DriverError, Fault};
use crate::key::{RepositoryKey, RunKey};
use crate::metrics::{self, DriverCall};
use crate::plan::Plan;
use crate::protocol::{LEASE_RENEWED, STALL_AFTER};
use crate::snapshot::{Snapshot, Version, Window};
use crate::{Condition, Connections, Holder};

pub use pass::{Pass, Step};
use snapshot_cache::SnapshotCache;
pub use snapshot_cache::{CachedRepository, OwnershipView, Remembered, Viewpoint};
use term::Term;
pub use term::{TermEvent, Trust};

/// How the manager goes about it.
#[derive(Debug, Clone)]
pub struct ManagerOptions {
    /// Who this watcher is: the pod's name, usually.
    pub identity: String,
    /// How many waiting entries to load and remember per repository.
    pub window: usize,
    /// How often to load and decide again within one pass before leaving it to the next.
    pub attempts: u32,
}

/// What a pass looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The slots and the head of the queue, as remembered if possible.
    Head,
    /// All there is, loaded anew.
    Whole,
}

/// What a pass came to.
#[derive(Debug, Clone)]
pub struct ReconcileOutcome {
    /// What was decided and committed.
    pub plan: Plan,
    /// Runs to start now, in this order: their slots are provably ours. Those that had one before come first (P3).
    pub start: Vec<RunKey>,
    /// Since when, at least, the slots of these were ours: from before the request was sent whose answer proved it.
    pub proven: Instant,
    /// How many wait in the store, by its own count or an estimate.
    pub waiting_count: usize,
    /// The runs that joined the queue, each with its place in it, from 1 on. Behind the remembered head of a long queue
    /// that is the queue's length.
    pub joined: Vec<(RunKey, usize)>,
    /// Whether the store knows the repository and has nothing of it: it may be forgotten.
    pub is_blank: bool,
    /// Whether the store has never heard of it.
    pub is_unknown: bool,
    /// Whether the store was asked, and answered: a settled repository's pass needs no call.
    pub store_answered: bool,
}

/// Admits runs through one driver on behalf of one watcher. See the [module](self).
pub struct Manager {
    driver: Arc<dyn Driver>,
    options: ManagerOptions,
    term: Term,
    known: Arc<SnapshotCache>,
}

/// What decides about a snapshot: usually [`crate::plan()`] and what the watcher has seen. With [`Scope::Whole`] the snapshot
/// is all that the store has, and nothing that was committed before is to be taken for granted.
pub type Decide<'a> = &'a (dyn Fn(&Snapshot, Scope, &OwnershipView<'_>) -> Plan + Send + Sync);

// === impl ManagerOptions ===

impl ManagerOptions {
    /// The defaults, for a watcher called `identity`.
    pub fn new(identity: impl Into<String>) -> Self {
        Self { identity: identity.into(), window: 128, attempts: 8 }
    }
}

// === impl Manager ===

impl Manager {
    /// A manager on `store`. It admits nobody before [`Manager::keep_term`] first succeeded.
    pub fn new(store: impl Into<ConnectedStore>, options: ManagerOptions) -> Self {
        let driver = store.into().into_driver();
        let term = Term::new(&options.identity, driver.lease_ttl());
        Self { driver, options, term, known: Arc::default() }
    }

    /// The name of the driver.
    pub fn driver_name(&self) -> &'static str {
        self.driver.name()
    }

    /// Whether what the store holds outlasts this process.
    pub fn is_durable(&self) -> bool {
        self.driver.capabilities().durable
    }

    /// The current term's holder.
    pub fn holder(&self) -> Holder {
        self.term.holder()
    }

    /// Begins the term, or renews its lease; to be called again every [`Manager::renewal_interval`].
    ///
    /// After [`TermEvent::Began`] the slots of an earlier term have lapsed: pass over everything.
    pub async fn keep_term(&self) -> Result<TermEvent, DriverError> {
        let event = self.term.keep(&*self.driver).await?;
        if event == TermEvent::Began {
            self.known.invalidate_all();
        }
        Ok(event)
    }

    /// How often [`Manager::keep_term`] wants to be called.
    pub fn renewal_interval(&self) -> Duration {
        self.driver.lease_ttl() * LEASE_RENEWED / 100
    }

    /// Ends the term, so that another watcher takes the slots over at once. They count all the while.
    pub async fn end_term(&self) -> Result<(), DriverError> {
        timed(&*self.driver, "end", self.driver.end(&self.term.end())).await
    }

    /// To be called when this watcher has become the leader: the runs that other holders were given slots for and did not
    /// start are taken over at once, for as long as they'd otherwise have been waited for.
    pub fn claim_from_predecessor(&self) {
        self.known.claim_from_predecessor(Instant::now() + STALL_AFTER);
    }

    /// To be called when this watcher leads no more: what others have in hand is theirs again.
    pub fn end_claim_from_predecessor(&self) {
        self.known.end_claim_from_predecessor();
    }

    /// How many slots each repository had taken at its last pass, for those passed over.
    pub fn held_slots(&self) -> HashMap<RepositoryKey, usize> {
        self.known.held_slots()
    }

    /// The runs with a slot, of each repository that is remembered; none where it takes a pass to tell.
    pub fn slots(&self) -> Vec<(RepositoryKey, Option<Vec<RunKey>>)> {
        self.known.slots()
    }

    /// The connections to the store; none if it is this process.
    pub fn connections(&self) -> Option<Connections> {
        self.driver.connections()
    }

    /// How the store fares, as far as its driver knows.
    pub fn condition(&self) -> Condition {
        self.driver.condition()
    }

    /// One pass over `repository`; see the [module](self).
    ///
    /// Passes of one repository must not overlap. An error means that nothing is to be started, and what was decided may
    /// or may not have been committed; the next pass will tell.
    pub async fn reconcile(
        &self,
        repository: &RepositoryKey,
        scope: Scope,
        decide: Decide<'_>,
    ) -> Result<ReconcileOutcome, DriverError> {
        // Without a term nothing is forgotten that is known.
        self.term.trusted()?;
        let mut known = self.known.take(repository);
        let passed = Box::pin(self.attempt(repository, scope, decide, &mut known)).await;
        if passed.is_err() {
            known.snapshot = None;
        }
        self.known.put_back(repository, known);
        passed
    }

    async fn attempt(
        &self,
        repository: &RepositoryKey,
        scope: Scope,
        decide: Decide<'_>,
        known: &mut CachedRepository,
    ) -> Result<ReconcileOutcome, DriverError> {
        let mut pass = Pass::new(scope, self.options.window, known, Instant::now());
        let outcome = loop {
            let now = Instant::now();
            // Anew at each step: the one before may have taken longer than the lease lasts.
            let holder = &self.term.trusted()?;
            let view = Viewpoint { holder, now, takes_over: self.known.is_taking_over(now) };
            match pass.next(known, view, decide) {
                Step::Load(window) => pass.loaded(known, self.load(repository, window).await?),
                Step::Commit(expected, delta) => {
                    let committed = self.commit(repository, expected, holder, &delta).await;
                    if let Some(outcome) = pass.committed(known, holder, committed, self.options.attempts)? {
                        metrics::committed(repository, &outcome.plan);
                        log_committed(repository, &outcome.plan);
                        break outcome;
                    }
                    debug!(%repository, "the commit did not take effect, or may not have; planning again");
                }
                Step::Done(outcome) => break outcome,
            }
        };
        known.log_limit_reached(repository, outcome.plan.at_limit);
        Ok(*outcome)
    }

    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        let snapshot = timed(&*self.driver, "load", self.driver.load(repository, window)).await?;
        for record in &snapshot.corrupt {
            warn!(%repository, place = %record.place, why = %record.why, "skipped an unreadable record of the store");
        }
        Ok(snapshot)
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        let committed = timed(&*self.driver, "commit", self.driver.commit(repository, expected, holder, delta)).await;
        if matches!(committed, Err(DriverError::Conflict)) {
            metrics::conflict();
        }
        committed
    }

    /// Every repository the store knows.
    pub async fn repositories(&self) -> Result<Repositories, DriverError> {
        timed(&*self.driver, "repositories", self.driver.repositories()).await
    }

    /// Removes `repository` from the store if nothing of it is left there; says whether it did.
    pub async fn forget(&self, repository: &RepositoryKey) -> Result<bool, DriverError> {
        let snapshot = self.load(repository, Window::First(1)).await?;
        if snapshot.version == Version::NONE || !snapshot.slots.is_empty() || snapshot.waiting_count > 0 {
            return Ok(false);
        }
        self.known.remove(repository);
        match timed(&*self.driver, "forget", self.driver.forget(repository, snapshot.version)).await {
            Ok(()) => Ok(true),
            Err(DriverError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Drops what is remembered of `repository`, which is not in the store.
    pub fn drop_known(&self, repository: &RepositoryKey) {
        self.known.remove(repository);
    }

    /// Forgets what is remembered of `repository`, so that its next pass loads.
    pub fn invalidate(&self, repository: &RepositoryKey) {
        self.known.invalidate(repository);
    }

    /// What others changed, remembered snapshots already dropped: pass over each repository named.
    pub fn changes(&self) -> BoxStream<'static, StoreEvent> {
        let known = Arc::clone(&self.known);
        self.driver
            .changes()
            .inspect(move |change| match change {
                StoreEvent::Repository(repository) => known.invalidate(repository),
                StoreEvent::Resync => known.invalidate_all(),
            })
            .boxed()
    }

    /// Whether the store is fit for use.
    pub async fn check(&self) -> Result<ServerInfo, DriverError> {
        timed(&*self.driver, "check", self.driver.check()).await
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("driver", &self.driver).field("holder", &self.holder()).finish_non_exhaustive()
    }
}

/// What `call` of `driver` comes to, measured.
async fn timed<T>(
    driver: &dyn Driver,
    operation: &'static str,
    call: impl Future<Output = Result<T, DriverError>>,
) -> Result<T, DriverError> {
    let timing = DriverCall::begin(driver.name(), operation);
    let outcome = call.await;
    timing.end(&outcome);
    outcome
}

fn log_committed(repository: &RepositoryKey, plan: &Plan) {
    for run in plan.granted.iter().map(|entry| &entry.run) {
        info!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "acquired concurrency slot for {run}");
    }
    for run in plan.adopted.iter().map(|entry| &entry.run) {
        info!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "counting {run}, which runs without a slot");
    }
    for run in plan.claimed.iter().map(|entry| &entry.run) {
        info!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "took over the slot of {run}");
    }
    for run in &plan.given_back {
        info!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "gave back the slot of {run}, which could not be started");
    }
    for run in plan.removed() {
        debug!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "released {run}");
    }
}

/// The error of a watcher that can't rely on its lease.
fn untrusted() -> DriverError {
    DriverError::Unavailable(Fault::new("this watcher's lease is not renewed; nobody is admitted until it is"))
}
