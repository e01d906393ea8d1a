//! A store with a bug: it panics whenever a run of one repository is to be admitted, three times. Once a run of another one is
//! admitted, it says that it may have missed changes. A third one can't be read at all. A test can have the store away, or
//! lose the watcher's lease. It logs what is loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use pac_concurrency::{
    Capabilities, Condition, Connections, Delta, Driver, DriverError, Fault, HistoryStore, Holder, LegacySource,
    Renewal, Repositories, RepositoryKey, ServerInfo, Snapshot, StoreEvent, Version, Window,
};
use pac_driver_mem::MemDriver;
use tokio::sync::Notify;

/// The repository of which it knows nothing good.
pub const TREACHEROUS: &str = "treacherous";

/// The repository after whose admissions everything has to be looked at.
pub const RESYNCING: &str = "resyncing";

/// The repository that can't be read.
pub const BROKEN: &str = "broken";

/// What a test has the store do.
#[derive(Debug, Default)]
pub struct Switches {
    /// Nothing can be asked of it.
    pub away: AtomicBool,
    /// The next renewal finds the lease lost.
    pub lose_lease: AtomicBool,
}

#[derive(Debug)]
pub struct Treacherous {
    store: MemDriver,
    panics: AtomicU32,
    resync: Arc<Notify>,
    switches: Arc<Switches>,
}

impl Treacherous {
    pub fn new(lease_ttl: Duration, switches: Arc<Switches>) -> Self {
        Self { store: MemDriver::new(lease_ttl), panics: AtomicU32::new(3), resync: Arc::default(), switches }
    }

    fn reached(&self) -> Result<(), DriverError> {
        let away = self.switches.away.load(Ordering::Relaxed);
        if away { Err(DriverError::Unavailable(Fault::new("the store is away on purpose"))) } else { Ok(()) }
    }
}

#[async_trait]
impl Driver for Treacherous {
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
        tracing::debug!("load of {repository}");
        self.reached()?;
        if repository.name() == BROKEN {
            return Err(DriverError::Unavailable(Fault::new("its rows are locked")));
        }
        self.store.load(repository, window).await
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        self.reached()?;
        let left = |left: u32| left.checked_sub(1);
        let is_due = repository.name() == TREACHEROUS
            && !delta.hold.is_empty()
            && self.panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        assert!(!is_due, "on purpose");
        if repository.name() == RESYNCING && !delta.hold.is_empty() {
            self.resync.notify_one();
        }
        self.store.commit(repository, expected, holder, delta).await
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        self.reached()?;
        self.store.begin(holder).await
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        self.reached()?;
        if self.switches.lose_lease.swap(false, Ordering::Relaxed) {
            return Ok(Renewal::Lost);
        }
        self.store.renew(holder).await
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        self.store.end(holder).await
    }

    async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        self.reached()?;
        self.store.holders().await
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        self.reached()?;
        self.store.repositories().await
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        self.store.forget(repository, expected).await
    }

    fn changes(&self) -> BoxStream<'static, StoreEvent> {
        let missed = stream::unfold(Arc::clone(&self.resync), |resync| async {
            resync.notified().await;
            Some((StoreEvent::Resync, resync))
        });
        stream::select(self.store.changes(), missed).boxed()
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        self.reached()?;
        self.store.check().await
    }

    fn connections(&self) -> Option<Connections> {
        self.store.connections()
    }

    fn condition(&self) -> Condition {
        self.store.condition()
    }

    fn history(&self) -> Option<&dyn HistoryStore> {
        self.store.history()
    }

    fn legacy_source(&self) -> Option<&dyn LegacySource> {
        self.store.legacy_source()
    }
}
