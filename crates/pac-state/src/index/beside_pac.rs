//! What matters beside Pipelines-as-Code's own watcher: which runs its queue has, and whether it is kept out.

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

    /// What keeps that queue out, where it runs.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.as_deref()
    }

    /// Whether nobody of `repository` is admitted because the gate isn't known to hold.
    pub fn awaits_gate(&self, repository: &RepositoryKey) -> bool {
        self.gate().is_some_and(|gate| !gate.lets_admit(Instant::now())) && self.limit(repository).is_limited()
    }

    /// How many runs PAC's own queue has, and one of the Repositories that are held for them.
    pub fn open_to_pacs_queue(&self) -> Option<(usize, RepositoryKey)> {
        let (mut state, now) = (self.state(), Instant::now());
        let count = |key| state.repositories.get(key).map_or(0, |one| locked(one).open_to_pacs_queue(now).len());
        let counts: BTreeMap<RepositoryKey, usize> = state
            .open_to_pacs_queue
            .iter()
            .map(|key| (key.clone(), count(key)))
            .filter(|(_, runs)| *runs > 0)
            .collect();
        // Time makes some of them ours, too.
        state.open_to_pacs_queue = counts.keys().cloned().collect();
        let first = counts.keys().next().cloned()?;
        Some((counts.values().sum(), first))
    }

    /// Runs that wait in Repositories with a limit, on some of which it can be tried whether the gate holds: those first that have no
    /// order under PAC's own name.
    pub fn runs_to_try(&self, most: usize) -> Vec<RunKey> {
        let state = self.state();
        let limited = state.repositories.values().filter_map(|one| {
            let one = locked(one);
            one.own_limit.effective(state.global_limit).is_limited().then(|| one.runs_that_wait(most))
        });
        limited.filter(|runs| !runs.is_empty()).flatten().take(most).collect()
    }
}
