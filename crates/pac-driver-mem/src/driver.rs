//! The contract's operations on a shared map of repositories and one of leases.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;
use pac_concurrency::{
    Capabilities, Condition, Connections, Delta, Driver, DriverError, HistoryStore, Holder, LegacySource, Renewal,
    Repositories, RepositoryKey, ServerInfo, Snapshot, StoreEvent, Version, Window,
};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::store::Repository;

/// Changes kept for a peer that is slow to read them; it is told to resync when it falls further behind.
const CHANGES_KEPT: usize = 1024;

/// A driver on a store in this process. Clones through [`MemDriver::peer`] work on the same store.
pub struct MemDriver {
    store: Arc<Store>,
    origin: u64,
}

struct Store {
    repositories: Cache<RepositoryKey, Arc<Mutex<Repository>>>,
    leases: Cache<Holder, ()>,
    lease_ttl: Duration,
    // One count for all repositories, so that a version never comes back, not even after a repository was forgotten.
    versions: AtomicU64,
    origins: AtomicU64,
    changes: broadcast::Sender<(u64, RepositoryKey)>,
}

// === impl MemDriver ===

impl MemDriver {
    /// What the store can do, whatever the settings.
    pub const CAPABILITIES: Capabilities = Capabilities { durable: false, shared: false };

    /// A driver on a store of its own, empty. Leases last `lease_ttl` from their last renewal.
    pub fn new(lease_ttl: Duration) -> Self {
        let store = Store {
            repositories: Cache::builder().build(),
            leases: Cache::builder().time_to_live(lease_ttl).build(),
            lease_ttl,
            versions: AtomicU64::new(0),
            origins: AtomicU64::new(0),
            changes: broadcast::channel(CHANGES_KEPT).0,
        };
        Self { store: Arc::new(store), origin: 0 }
    }

    /// Another driver on the same store, as another watcher in this process would have it.
    pub fn peer(&self) -> Self {
        let origin = self.store.origins.fetch_add(1, Ordering::Relaxed) + 1;
        Self { store: Arc::clone(&self.store), origin }
    }

    fn announce(&self, repository: &RepositoryKey) {
        // Nobody listening is no error.
        let _ = self.store.changes.send((self.origin, repository.clone()));
    }

    /// The first commit of a repository; none if another was faster.
    fn make_known(&self, repository: &RepositoryKey, holder: &Holder, delta: &Delta) -> Option<Version> {
        let mut committed = None;
        self.store.repositories.entry_by_ref(repository).and_compute_with(|entry| {
            if entry.is_some() {
                return Op::Nop;
            }
            let version = self.next_version();
            committed = Some(version);
            Op::Put(Arc::new(Mutex::new(Repository::new(version, holder, delta))))
        });
        committed
    }

    fn next_version(&self) -> Version {
        Version::new(self.store.versions.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl fmt::Debug for MemDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemDriver").field("lease_ttl", &self.store.lease_ttl).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for MemDriver {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn lease_ttl(&self) -> Duration {
        self.store.lease_ttl
    }

    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        let Some(state) = self.store.repositories.get(repository) else { return Ok(Snapshot::empty()) };
        Ok(locked(&state).snapshot(window, |holder| self.store.leases.contains_key(holder)))
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        let committed = match self.store.repositories.get(repository) {
            // Found right before it was forgotten, it is at no version any more.
            Some(state) => {
                let mut state = locked(&state);
                state.is_at(expected).then(|| {
                    let version = self.next_version();
                    state.apply(version, holder, delta);
                    version
                })
            }
            None if expected == Version::NONE => self.make_known(repository, holder, delta),
            None => None,
        };
        let version = committed.ok_or(DriverError::Conflict)?;
        self.announce(repository);
        Ok(version)
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        self.store.leases.insert(holder.clone(), ());
        Ok(())
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        // Writing the entry again is what makes its time to live start anew; an expired one is not there to be written.
        let outcome = self
            .store
            .leases
            .entry_by_ref(holder)
            .and_compute_with(|entry| if entry.is_some() { Op::Put(()) } else { Op::Nop });
        Ok(if matches!(outcome, CompResult::ReplacedWith(_)) { Renewal::Renewed } else { Renewal::Lost })
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        self.store.leases.invalidate(holder);
        Ok(())
    }

    async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        Ok(self.store.leases.iter().map(|(holder, ())| Holder::clone(&holder)).collect())
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        let keys = self.store.repositories.iter().map(|(key, _)| RepositoryKey::clone(&key)).collect();
        Ok(Repositories { keys, corrupt: Vec::new() })
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        let mut conflict = false;
        self.store.repositories.entry_by_ref(repository).and_compute_with(|entry| {
            let Some(state) = entry.map(|entry| entry.into_value()) else {
                conflict = expected != Version::NONE;
                return Op::Nop;
            };
            let mut state = locked(&state);
            conflict = !state.is_at(expected);
            if conflict {
                return Op::Nop;
            }
            state.forget();
            Op::Remove
        });
        if conflict {
            return Err(DriverError::Conflict);
        }
        self.announce(repository);
        Ok(())
    }

    fn changes(&self) -> BoxStream<'static, StoreEvent> {
        let own = self.origin;
        BroadcastStream::new(self.store.changes.subscribe())
            .filter_map(move |received| {
                let change = match received {
                    Ok((origin, _)) if origin == own => None,
                    Ok((_, repository)) => Some(StoreEvent::Repository(repository)),
                    Err(_) => Some(StoreEvent::Resync),
                };
                std::future::ready(change)
            })
            .boxed()
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        Ok(ServerInfo { server: "no server".to_owned(), address: "the memory of this process".to_owned() })
    }

    fn connections(&self) -> Option<Connections> {
        None
    }

    fn condition(&self) -> Condition {
        Condition::default()
    }

    fn history(&self) -> Option<&dyn HistoryStore> {
        // Whoever wrote it has it in the same memory.
        None
    }

    fn legacy_source(&self) -> Option<&dyn LegacySource> {
        None
    }
}

fn locked(state: &Mutex<Repository>) -> MutexGuard<'_, Repository> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
