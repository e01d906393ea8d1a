//! Runs that are done, and whose objects are yet to say how they ended.

use pac_concurrency::RunKey;

use super::{Phase, RepositoryState};
use crate::convert::FinalState;

// === impl RepositoryState ===

impl RepositoryState {
    /// Runs that are done and whose object doesn't say so yet, with how they ended; each is named once.
    pub fn take_done_runs(&mut self) -> Vec<(RunKey, FinalState)> {
        let mut done = Vec::new();
        for name in std::mem::take(&mut self.unmarked) {
            if let Some(run) = self.runs.get_mut(&name)
                && let Phase::Done(state) = run.view.phase
            {
                run.marked = true;
                done.push((run.view.key.clone(), state));
            }
        }
        done
    }

    /// Notes that the final state of `run` could not be written.
    pub fn unmark(&mut self, run: &RunKey) {
        self.on_run(run, |run| run.marked = false);
    }
}
