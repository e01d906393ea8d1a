//! A store that is played, and one pass over what is in it.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use pac_concurrency::{
    Capabilities, Condition, Connections, Delta, Driver, DriverError, Entry, Fault, HistoryStore, Holder, Legacy,
    LegacyImport, LegacySource, Limit, Manager, ManagerOptions, News, Observation, OrderKey, OwnershipView,
    ReconcileOutcome, Renewal, Repositories, RepositoryKey, RunKey, RunState, Scope, ServerInfo, Snapshot, StoreEvent,
    Version, Window, plan,
};
use pac_driver_mem::MemDriver;

pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// A store whose next commit takes effect and whose answer is lost, that refuses commits, and answers late. It counts what is
/// loaded and what is to be committed.
#[derive(Debug)]
pub(crate) struct Lossy {
    pub(crate) store: MemDriver,
    pub(crate) loses_next: AtomicBool,
    /// What commits come to, one after the other, instead of taking effect.
    pub(crate) refusals: Mutex<VecDeque<DriverError>>,
    pub(crate) renews_in: Duration,
    pub(crate) answers_in: Duration,
    pub(crate) loads: AtomicU32,
    pub(crate) commits: AtomicU32,
    pub(crate) beside: Option<Beside>,
}

/// What a server may have besides: connections, a history, and what an earlier implementation left.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) past: Mutex<Option<String>>,
    pub(crate) imported: Mutex<Option<LegacyImport>>,
}

pub(crate) const CONNECTIONS: Connections = Connections { most: 4, in_use: 1, idle: 2, waiting: 3 };

impl Lossy {
    pub(crate) fn new(store: &MemDriver) -> Self {
        Self {
            store: store.peer(),
            loses_next: AtomicBool::new(false),
            refusals: Mutex::default(),
            renews_in: Duration::ZERO,
            answers_in: Duration::ZERO,
            loads: AtomicU32::new(0),
            commits: AtomicU32::new(0),
            beside: None,
        }
    }
}

#[async_trait]
impl Driver for Lossy {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn lease_ttl(&self) -> Duration {
        self.store.lease_ttl()
    }

    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let loaded = self.store.load(repository, window).await;
        // As a store that is slow, on a clock that is paused.
        tokio::time::sleep(self.answers_in).await;
        loaded
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return Err(refusal);
        }
        let committed = self.store.commit(repository, expected, holder, delta).await;
        // As a store that is slow, on a clock that is paused.
        tokio::time::sleep(self.answers_in).await;
        if self.loses_next.swap(false, Ordering::Relaxed) {
            return Err(DriverError::Indeterminate(Fault::new("the connection was cut")));
        }
        committed
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        self.store.begin(holder).await
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        let renewed = self.store.renew(holder).await;
        // As a store that is slow, on a clock that is paused.
        tokio::time::sleep(self.renews_in).await;
        renewed
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        self.store.end(holder).await
    }

    async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        self.store.holders().await
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        self.store.repositories().await
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        self.store.forget(repository, expected).await
    }

    fn changes(&self) -> BoxStream<'static, StoreEvent> {
        self.store.changes()
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        self.store.check().await
    }

    fn connections(&self) -> Option<Connections> {
        self.beside.as_ref().map(|_| CONNECTIONS)
    }

    fn condition(&self) -> Condition {
        Condition { news: self.beside.as_ref().map(|_| News::Heard), oldest_transaction: None }
    }

    fn history(&self) -> Option<&dyn HistoryStore> {
        self.beside.as_ref().map(|beside| beside as &dyn HistoryStore)
    }

    fn legacy_source(&self) -> Option<&dyn LegacySource> {
        self.beside.as_ref().map(|beside| beside as &dyn LegacySource)
    }
}

#[async_trait]
impl HistoryStore for Beside {
    async fn write(&self, _: &RepositoryKey, history: &str) -> Result<(), DriverError> {
        *self.past.lock().unwrap() = Some(history.to_owned());
        Ok(())
    }

    async fn read(&self, _: &RepositoryKey) -> Result<Option<String>, DriverError> {
        Ok(self.past.lock().unwrap().clone())
    }
}

#[async_trait]
impl LegacySource for Beside {
    async fn read(&self) -> Result<Option<Legacy>, DriverError> {
        Ok(Some(Legacy { source: "a table".to_owned(), repositories: Vec::new(), corrupt: Vec::new() }))
    }

    async fn note_imported(&self, imported: &LegacyImport) -> Result<(), DriverError> {
        *self.imported.lock().unwrap() = Some(*imported);
        Ok(())
    }
}

pub(crate) fn repository() -> RepositoryKey {
    RepositoryKey::new("ns", "repo").unwrap()
}

pub(crate) fn entry(number: i64) -> Entry {
    Entry::new(RunKey::new("ns", &format!("run-{number}"), "uid").unwrap(), OrderKey::alone(number))
}

/// A pass over a repository with a limit of 1, in which runs 1 and 2 wait.
pub(crate) async fn pass(manager: &Manager) -> Result<ReconcileOutcome, DriverError> {
    pass_over(manager, &[entry(1), entry(2)], &|_| RunState::Pending).await
}

/// A pass over a repository with a limit of 1, in which these wait.
pub(crate) async fn pass_over(
    manager: &Manager,
    waiting: &[Entry],
    state: &(dyn Fn(&RunKey) -> RunState + Sync),
) -> Result<ReconcileOutcome, DriverError> {
    let decide = |snapshot: &Snapshot, _: Scope, ownership: &OwnershipView<'_>| {
        plan(
            snapshot,
            &Observation {
                limit: Limit::AtMost(NonZeroU32::MIN),
                running: Vec::new(),
                waiting: waiting.to_vec(),
                moved: Vec::new(),
                departed: Vec::new(),
                settled: &|_| true,
                state,
                ownership: &|slot| ownership.of(slot),
            },
        )
    };
    manager.reconcile(&repository(), Scope::Head, &decide).await
}

pub(crate) fn manager(store: &MemDriver) -> Manager {
    Manager::new(Arc::new(store.peer()), ManagerOptions::new("watcher"))
}
