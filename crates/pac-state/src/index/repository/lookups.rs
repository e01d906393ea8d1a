//! Questions to a repository's state that a pass doesn't ask.

use pac_concurrency::{LegacyRun, RunKey};

use super::{Orders, OwnLimit, Phase, RepositoryState};
use crate::index::run::{Run, StartState};

// === impl RepositoryState ===

impl RepositoryState {
    /// What the watch shows of the run of this name, for a caller that doesn't know its uid.
    pub fn find(&self, name: &str) -> LegacyRun {
        let Some(run) = self.runs.named(name) else { return LegacyRun::Ghost };
        let entry = || self.in_place(std::iter::once(run), &mut Orders::default()).into_iter().next();
        match entry() {
            Some(entry) if self.running.contains(name) => LegacyRun::Running(entry),
            Some(entry) if run.view.phase == Phase::Waiting => LegacyRun::Waiting(entry),
            _ => LegacyRun::Ghost,
        }
    }

    /// At most `most` of its waiting runs, for a trial of whether the gate holds; runs without an order under PAC's own name come
    /// first.
    pub(crate) fn runs_that_wait(&self, most: usize) -> Vec<RunKey> {
        let mut waiting: Vec<&Run> =
            self.runs.iter().filter(|run| run.is_pending() && !self.over.contains_key(&run.view.key)).collect();
        waiting.sort_by_key(|run| run.view.has_pacs_order);
        waiting.into_iter().take(most).map(|run| run.view.key.clone()).collect()
    }

    /// Whether one of its runs says something of its wait or, where that is `wanted`, is pending.
    pub(crate) fn may_have_notices(&self, wanted: bool) -> bool {
        let waits = |run: &Run| run.is_pending() || run.view.phase == Phase::Held;
        self.runs.iter().any(|run| run.view.notice.is_some() || wanted && waits(run))
    }

    /// Whether `run` is pending still, and no start of it is under way.
    pub(crate) fn may_be_noticed(&self, run: &RunKey) -> bool {
        let is_there = |known: &Run| known.is_pending() || known.view.phase == Phase::Held;
        let waits = |known: &Run| is_there(known) && known.start != StartState::UnderWay;
        self.runs.get(run).is_some_and(waits) && !self.over.contains_key(run)
    }

    /// Whether nothing is known of the repository.
    pub fn is_blank(&self) -> bool {
        self.own_limit == OwnLimit::Missing
            && self.runs.is_empty()
            && self.departed.is_empty()
            && self.outsiders.is_empty()
    }
}
