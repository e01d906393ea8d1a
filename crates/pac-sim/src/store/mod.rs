//! A store that can do to its callers what PostgreSQL and etcd can.
//!
//! `records` is what it holds and what a commit makes of it, written anew from the contract and from nothing else; `witness` judges each commit; `driver`
//! is how a watcher reaches it. A call travels, is carried out on a task of its own whether or not its caller still waits, and its answer travels back; [`Weather`](crate::weather::Weather) strikes it
//! on the way. The server as a whole may be away, end all leases, fail over, to a standby that has everything or to one that missed the
//! last commits, and be restored from a backup. What was sent to the one before is never carried out then.
//!
//! Where nothing strikes it, it passes the conformance suite of all drivers (`tests/conformance.rs`).

mod driver;
mod records;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pac_concurrency::{Driver, RepositoryKey};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::Instant;

pub(crate) use self::driver::StoreDriver;
use self::records::Records;
pub(crate) use self::witness::Witness;
use crate::scenario::StoreKind;
use crate::trace::Trace;
use crate::way::Way;

/// How many of the last states a standby may be behind by.
const STATES_KEPT: usize = 64;
/// After how many commits a backup is made.
const BACKUP_EVERY: usize = 100;
/// Changes kept for a watcher that is slow to hear of them; it is to look at everything when it falls further behind.
const CHANGES_KEPT: usize = 256;

/// How versions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// A random number for each commit, as PostgreSQL's driver has it.
    Random,
    /// One count for all commits, as etcd has it.
    Counted,
}

/// A server; see the [module](self).
#[derive(Debug)]
pub(crate) struct StoreServer {
    name: &'static str,
    lease_ttl: Duration,
    /// How long a call waits for its answer.
    deadline: Duration,
    state: Mutex<State>,
    origins: AtomicU64,
    changes: broadcast::Sender<News>,
    /// Whom each commit is shown to, if anybody.
    witness: Option<Arc<Witness>>,
}

#[derive(Debug)]
struct State {
    records: Records,
    /// The states before the last commits, oldest first.
    past: VecDeque<Records>,
    /// The latest backup, and the one before.
    backups: [Records; 2],
    /// When a run of this path waited last of those that do no more.
    waited: BTreeMap<String, Instant>,
    /// How many changes took effect.
    commits: usize,
    /// Which primary it is: what was sent to another one is lost.
    epoch: u64,
    is_away: bool,
}

/// What is heard of by whoever listens.
#[derive(Debug, Clone)]
enum News {
    Changed { by: u64, repository: RepositoryKey },
    Gap,
}

// === impl StoreServer ===

impl StoreServer {
    /// One that is called `name`, and whose leases last `lease_ttl`.
    pub(crate) fn new(name: &'static str, versions: Versions, lease_ttl: Duration, deadline: Duration) -> Self {
        let records = Records::new(versions);
        let backups = [records.clone(), records.clone()];
        let (past, waited) = (VecDeque::new(), BTreeMap::new());
        let state = State { records, past, backups, waited, commits: 0, epoch: 0, is_away: false };
        let changes = broadcast::channel(CHANGES_KEPT).0;
        let (state, origins) = (Mutex::new(state), AtomicU64::new(0));
        Self { name, lease_ttl, deadline, state, origins, changes, witness: None }
    }

    /// `witness` is shown each commit.
    pub(crate) fn before(self, witness: &Arc<Witness>) -> Arc<Self> {
        Arc::new(Self { witness: Some(Arc::clone(witness)), ..self })
    }

    /// Whether the run with this uid has a slot.
    pub(crate) fn holds(&self, uid: &str) -> bool {
        self.state.lock().records.holds(uid)
    }

    /// It can't be reached, or can again.
    pub(crate) fn is_away(&self, is_away: bool) {
        let mut state = self.state.lock();
        state.is_away = is_away;
        // Connections are gone with it, and what they carried.
        state.epoch += u64::from(is_away);
        drop(state);
        self.tell(News::Gap);
    }

    /// A standby takes its place that missed so many of the last commits, as far as they are kept. How many it did miss, and the uids of the
    /// runs that lost their slot with that.
    pub(crate) fn fail_over(&self, missed: usize) -> (usize, BTreeSet<String>) {
        let mut state = self.state.lock();
        let missed = missed.min(state.past.len());
        let kept = state.past.len() - missed;
        let before = state.past.drain(kept..).next();
        let before = before.unwrap_or_else(|| state.records.clone());
        let lost = state.begin_anew(before);
        drop(state);
        self.tell(News::Gap);
        (missed, lost)
    }

    /// It is restored from the backup before the latest one. The uids of the runs that lost their slot with that.
    pub(crate) fn restore(&self) -> BTreeSet<String> {
        let mut state = self.state.lock();
        let backup = state.backups[1].clone();
        // There is nothing before it that a standby could have.
        state.past.clear();
        let lost = state.begin_anew(backup);
        drop(state);
        self.tell(News::Gap);
        lost
    }

    /// All leases are over, as after a clock that leapt.
    pub(crate) fn end_leases(&self) {
        self.state.lock().records.end_leases();
    }

    /// How many changes took effect so far.
    pub(crate) fn commits(&self) -> usize {
        self.state.lock().commits
    }

    /// How many slots and how many that wait it has.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.state.lock().records.count()
    }

    /// Whether it had a run of this path wait at `since` or later.
    pub(crate) fn had_waiting(&self, path: &str, since: Instant) -> bool {
        let state = self.state.lock();
        state.records.has_waiting(path) || state.waited.get(path).is_some_and(|last| *last >= since)
    }

    /// What it holds, in words.
    pub(crate) fn told(&self) -> String {
        self.state.lock().records.told()
    }

    fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    /// Whether it can be reached by those who sent something to the primary `epoch`.
    fn is_there(&self, epoch: u64) -> bool {
        let state = self.state.lock();
        !state.is_away && state.epoch == epoch
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn new_origin(&self) -> u64 {
        self.origins.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn tell(&self, news: News) {
        // Nobody listening is no error.
        let _ = self.changes.send(news);
    }
}

// === impl State ===

impl State {
    /// Another primary begins, which has `records`. The uids of the runs that lost their slot with that.
    fn begin_anew(&mut self, records: Records) -> BTreeSet<String> {
        let mut lost = self.records.held();
        let before = std::mem::replace(&mut self.records, records);
        self.note_gone(&before);
        for kept in self.records.held() {
            lost.remove(&kept);
        }
        self.epoch += 1;
        lost
    }

    /// Notes who waited in `before`, and doesn't any more.
    fn note_gone(&mut self, before: &Records) {
        let now = Instant::now();
        self.waited.extend(before.waiting_no_more(&self.records).into_iter().map(|path| (path, now)));
    }

    /// Notes a commit, `before` which things were like this.
    fn note_commit(&mut self, before: Records) {
        self.note_gone(&before);
        self.commits += 1;
        if self.commits.is_multiple_of(BACKUP_EVERY) {
            self.backups.swap(0, 1);
            self.backups[0] = before.clone();
        }
        self.past.push_back(before);
        if self.past.len() > STATES_KEPT {
            self.past.pop_front();
        }
    }
}

/// A store that nothing strikes, for those who judge it as they judge a real one.
#[derive(Debug)]
pub struct CalmStore(Arc<StoreServer>);

// === impl CalmStore ===

impl CalmStore {
    /// One as `kind` is; its leases last for a second.
    pub fn new(kind: StoreKind) -> Self {
        let (name, versions) = match kind {
            StoreKind::Etcd => ("etcd", Versions::Counted),
            StoreKind::PostgreSql | StoreKind::Memory => ("postgresql", Versions::Random),
        };
        Self(Arc::new(StoreServer::new(name, versions, Duration::from_secs(1), Duration::from_secs(5))))
    }

    /// Another driver on it.
    pub fn driver(&self) -> Arc<dyn Driver> {
        let way = Arc::new(Way::new(0, "calm".to_owned()));
        Arc::new(StoreDriver::new(&self.0, way, Arc::default(), Trace::new(false)))
    }
}
