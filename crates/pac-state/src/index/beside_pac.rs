//! What the index knows of Pipelines-as-Code's own queue: which runs it has, and whether the gate keeps it out.

use std::collections::BTreeMap;

use pac_concurrency::{RepositoryKey, RunKey};
use tokio::time::Instant;

use super::{Index, locked};
use crate::gate::Gate;

// === impl Index ===

impl Index {
    /// Whether PAC's own queue has runs, as far as the last versions of runs tell.
    pub fn is_open_to_pacs_queue(&self) -> bool {
        !self.state().open_to_pacs_queue.is_empty()
    }

    /// The gate that keeps PAC's own queue out; none where PAC's watcher isn't at work.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.as_deref()
    }

    /// Whether `repository` admits no run because the gate isn't known to hold.
    pub fn awaits_gate(&self, repository: &RepositoryKey) -> bool {
        self.gate().is_some_and(|gate| !gate.lets_admit(Instant::now())) && self.limit(repository).is_limited()
    }

    /// The number of runs that PAC's own queue has, and the first of the Repositories that are held for them.
    pub fn open_to_pacs_queue(&self) -> Option<(usize, RepositoryKey)> {
        let (mut state, now) = (self.state(), Instant::now());
        let count = |key| state.repositories.get(key).map_or(0, |one| locked(one).open_to_pacs_queue(now).len());
        let counts: BTreeMap<RepositoryKey, usize> = state
            .open_to_pacs_queue
            .iter()
            .map(|key| (key.clone(), count(key)))
            .filter(|(_, runs)| *runs > 0)
            .collect();
        // Some runs stop being PAC's as time passes, without an event.
        state.open_to_pacs_queue = counts.keys().cloned().collect();
        let first = counts.keys().next().cloned()?;
        Some((counts.values().sum(), first))
    }

    /// At most `most` runs that wait in Repositories with a limit, for a trial of whether the gate holds. Within a Repository,
    /// runs without an order under PAC's own name come first.
    pub fn runs_to_try(&self, most: usize) -> Vec<RunKey> {
        let state = self.state();
        let limited = state.repositories.values().filter_map(|one| {
            let one = locked(one);
            one.own_limit.effective(state.global_limit).is_limited().then(|| one.runs_that_wait(most))
        });
        limited.filter(|runs| !runs.is_empty()).flatten().take(most).collect()
    }
}
