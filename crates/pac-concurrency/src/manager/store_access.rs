//! What a manager asks of its driver beside passes: for people, and once for what an earlier implementation left.

use super::{Manager, timed};
use crate::delta::Delta;
#[cfg(doc)]
use crate::driver::HistoryStore;
use crate::error::DriverError;
use crate::key::RepositoryKey;
use crate::legacy::{Legacy, LegacyImport};
use crate::snapshot::{Snapshot, Window};

// === impl Manager ===

impl Manager {
    /// What the store has of `repository` now, for people: nothing is decided by it.
    pub async fn look(&self, repository: &RepositoryKey) -> Result<Snapshot, DriverError> {
        timed(&*self.driver, "load", self.driver.load(repository, Window::Whole)).await
    }

    /// Keeps what happened in the queue of `repository`, for people, if the store keeps such; see [`HistoryStore::write`].
    pub async fn keep_past(&self, repository: &RepositoryKey, past: &str) -> Result<(), DriverError> {
        let Some(history) = self.driver.history() else { return Ok(()) };
        timed(&*self.driver, "keep_past", history.write(repository, past)).await
    }

    /// What was kept of it; none, too, if the store keeps no history.
    pub async fn past(&self, repository: &RepositoryKey) -> Result<Option<String>, DriverError> {
        let Some(history) = self.driver.history() else { return Ok(None) };
        timed(&*self.driver, "past", history.read(repository)).await
    }

    /// What an earlier implementation left in the store, if that is yet to be taken over.
    pub async fn legacy(&self) -> Result<Option<Legacy>, DriverError> {
        let Some(source) = self.driver.legacy_source() else { return Ok(None) };
        timed(&*self.driver, "legacy", source.read()).await
    }

    /// Commits `delta`, which nobody planned, whatever version `repository` is at. Every part of it must be idempotent,
    /// and must not be about runs that are admitted meanwhile.
    pub async fn import(&self, repository: &RepositoryKey, delta: &Delta) -> Result<(), DriverError> {
        let holder = self.term.trusted()?;
        self.known.invalidate(repository);
        let mut attempts = 0;
        loop {
            let version = self.load(repository, Window::First(0)).await?.version;
            attempts += 1;
            match self.commit(repository, version, &holder, delta).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_settled_by_loading() && attempts < self.options.attempts => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes in the store that what [`Manager::legacy`] found there was taken over.
    pub async fn note_imported(&self, taken: &LegacyImport) -> Result<(), DriverError> {
        let Some(source) = self.driver.legacy_source() else { return Ok(()) };
        timed(&*self.driver, "note_legacy", source.note_imported(taken)).await
    }
}
