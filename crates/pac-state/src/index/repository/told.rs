//! What a repository's state tells others than the pass.

use pac_concurrency::LegacyRun;

use super::{Orders, OwnLimit, Phase, RepositoryState};

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

    /// The first of its runs that PAC's own queue may start.
    pub fn open_to_pacs_queue(&self) -> Option<&str> {
        self.open_to_pacs_queue.first().map(|name| &**name)
    }

    /// Whether there is nothing about it.
    pub fn is_blank(&self) -> bool {
        self.own_limit == OwnLimit::Missing
            && self.runs.is_empty()
            && self.departed.is_empty()
            && self.outsiders.is_empty()
    }
}
