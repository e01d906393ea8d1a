//! A store as everybody outside of this crate has it: connected, and not a [`Driver`] any more.
//!
//! Only this crate calls a driver's methods. The [`Manager`](crate::Manager) does so for a watcher at work. Here is what
//! else is asked of a store, before a watcher works on it or when none does: what it has, for [`relocate`](crate::relocate())
//! and its like, and what an earlier implementation left there. Nothing of it admits or releases anybody.

use std::sync::Arc;

use crate::bring::bring;
use crate::delta::Delta;
use crate::driver::{Capabilities, Driver, Repositories};
use crate::error::DriverError;
use crate::key::RepositoryKey;
use crate::lease::Holder;
use crate::legacy::{Legacy, LegacyImport};
use crate::snapshot::{Snapshot, Window};

/// A store behind its driver; see the [module](self). Clones are the same store. Errors are those of the [`Driver`].
#[derive(Debug, Clone)]
pub struct ConnectedStore(Arc<dyn Driver>);

// === impl ConnectedStore ===

impl ConnectedStore {
    pub(crate) fn into_driver(self) -> Arc<dyn Driver> {
        self.0
    }

    /// The driver's name, for people.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// What the store can do.
    pub fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    /// The watchers at work on it.
    pub async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        self.0.holders().await
    }

    /// Every repository it knows.
    pub async fn repositories(&self) -> Result<Repositories, DriverError> {
        self.0.repositories().await
    }

    /// What it has of `repository`.
    pub async fn look(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        self.0.load(repository, window).await
    }

    /// Adds what the store lacks of `delta`, which only enqueues and holds, whatever version `repository` is at, and reads
    /// it back. How many slots and places it lacked.
    pub async fn bring(&self, repository: &RepositoryKey, delta: &Delta) -> Result<(usize, usize), DriverError> {
        bring(repository, delta, &*self.0).await
    }

    /// What an earlier implementation left there and nobody imported yet; none, too, if there never was one for this store.
    pub async fn legacy(&self) -> Result<Option<Legacy>, DriverError> {
        match self.0.legacy_source() {
            Some(source) => source.read().await,
            None => Ok(None),
        }
    }

    /// Notes there that what [`ConnectedStore::legacy`] found was imported.
    pub async fn note_legacy_imported(&self, imported: &LegacyImport) -> Result<(), DriverError> {
        match self.0.legacy_source() {
            Some(source) => source.note_imported(imported).await,
            None => Ok(()),
        }
    }
}

impl<D: Driver> From<Arc<D>> for ConnectedStore {
    fn from(driver: Arc<D>) -> Self {
        Self(driver)
    }
}

impl From<Arc<dyn Driver>> for ConnectedStore {
    fn from(driver: Arc<dyn Driver>) -> Self {
        Self(driver)
    }
}
