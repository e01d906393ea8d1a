//! What a repository's state answers to others than a pass.

use pac_concurrency::{LegacyRun, RunKey};

use super::{Orders, OwnLimit, Phase, RepositoryState};
use crate::index::run::Run;

// === impl RepositoryState ===

impl RepositoryState {
    /// What the watch shows of the run of this name, to whom only its name is known.
    pub fn find(&self, name: &str) -> LegacyRun {
        let Some(run) = self.runs.named(name) else { return LegacyRun::Ghost };
        let entry = || self.in_place(std::iter::once(run), &mut Orders::default()).into_iter().next();
        match entry() {
            Some(entry) if self.running.contains(name) => LegacyRun::Running(entry),
            Some(entry) if run.view.phase == Phase::Waiting => LegacyRun::Waiting(entry),
            _ => LegacyRun::Ghost,
        }
    }

    /// Some of its runs that wait, on which it can be tried what becomes of an order; those first that have none under PAC's name.
    pub(crate) fn runs_that_wait(&self, most: usize) -> Vec<RunKey> {
        let mut waiting: Vec<&Run> =
            self.runs.iter().filter(|run| run.is_pending() && !self.over.contains_key(&run.view.key)).collect();
        waiting.sort_by_key(|run| run.view.has_pacs_order);
        waiting.into_iter().take(most).map(|run| run.view.key.clone()).collect()
    }

    /// Whether there is nothing about it.
    pub fn is_blank(&self) -> bool {
        self.own_limit == OwnLimit::Missing
            && self.runs.is_empty()
            && self.departed.is_empty()
            && self.outsiders.is_empty()
    }
}
