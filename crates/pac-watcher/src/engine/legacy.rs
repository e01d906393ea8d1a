//! Before the first pass: taking over what an earlier implementation left in the store.
//!
//! Nobody is admitted before this is done, here or by another watcher, for each does it before its first pass. A crash in
//! the middle leaves no note that it is done, and doing it again changes nothing: an entry that is there keeps its place.

use std::time::Duration;

use pac_concurrency::{DriverError, LegacyImport};
use pac_kube::backoff;
use pac_kube::error::with_causes;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Engine;
use super::store_health::StoreCall;

// === impl Engine ===

impl Engine {
    /// Tries until it is done. The lists of Repositories and PipelineRuns must be complete.
    pub(super) async fn take_over_legacy(&self) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let taken_over = self.try_to_take_over_legacy().await;
            let outcome = taken_over.as_ref().map_err(|error| with_causes(error)).copied();
            self.note_store_call(StoreCall::Legacy, began, outcome);
            if taken_over.is_ok() {
                return;
            }
            failures += 1;
            tokio::time::sleep(backoff::wait(Duration::from_millis(100), Duration::from_secs(5), failures - 1)).await;
        }
    }

    async fn try_to_take_over_legacy(&self) -> Result<(), DriverError> {
        let Some(legacy) = self.manager.legacy().await? else { return Ok(()) };
        info!(
            source = legacy.source,
            repositories = legacy.repositories.len(),
            "taking over what an earlier version left"
        );
        let mut all = LegacyImport { corrupt: legacy.corrupt.len(), ..LegacyImport::default() };
        for record in &legacy.corrupt {
            warn!(place = %record.place, why = %record.why, "skipped an unreadable record that an earlier version left");
        }
        let mut is_complete = true;
        for left in &legacy.repositories {
            let (delta, taken) = left.import(&|run| self.index.find(&left.repository, run));
            let imported = if delta.is_empty() { Ok(()) } else { self.manager.import(&left.repository, &delta).await };
            match imported {
                Ok(()) => all = all.and(taken),
                // Nobody else's runs wait for what is wrong with this one (P10).
                Err(error @ (DriverError::Corrupt(_) | DriverError::Rejected(_))) => {
                    is_complete = false;
                    warn!(
                        repository = %left.repository,
                        error = with_causes(&error),
                        "what an earlier version left of {} can't be taken over: its runs that wait are queued by their creation; \
                         what is left is looked at again at the next start of a watcher",
                        left.repository
                    );
                }
                Err(error) => return Err(error),
            }
        }
        if is_complete {
            self.manager.note_imported(&all).await?;
        }
        info!(
            source = legacy.source,
            repositories = all.repositories,
            slots = all.slots,
            waiting = all.waiting,
            ghosts = all.ghosts,
            corrupt = all.corrupt,
            "took over what an earlier version left; its own records are as they were"
        );
        Ok(())
    }
}
