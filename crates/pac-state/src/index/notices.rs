//! What runs say of their wait: who may have to say something else.

use pac_concurrency::{RepositoryKey, RunKey};

use super::{Index, locked};
use crate::start_traffic::StartTraffic;

// === impl Index ===

impl Index {
    /// The starts under way.
    pub fn starts(&self) -> &StartTraffic {
        &self.starts
    }

    /// The repositories with a run that says something of its wait or, where that is `wanted`, that is pending.
    pub fn with_notices(&self, wanted: bool) -> Vec<RepositoryKey> {
        let state = self.state();
        let repositories = state.repositories.iter().filter(|(_, one)| locked(one).may_have_notices(wanted));
        repositories.map(|(key, _)| key.clone()).collect()
    }

    /// Whether `run` of `repository` is pending still, and no start of it is under way, by all that is known now.
    pub fn may_be_noticed(&self, repository: &RepositoryKey, run: &RunKey) -> bool {
        let known = self.state().repositories.get(repository).cloned();
        known.is_some_and(|one| locked(&one).may_be_noticed(run))
    }

    /// The runs that are no longer shown and, when they last were, said something of their wait. The caller sees to them.
    pub fn take_left_noticed(&self) -> Vec<(RepositoryKey, RunKey)> {
        std::mem::take(&mut self.state().left_noticed).into()
    }
}
