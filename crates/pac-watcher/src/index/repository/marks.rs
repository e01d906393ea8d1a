//! Runs that are done, and whose objects are yet to say how they ended.

use pac_concurrency::RunKey;
use tokio::time::Instant;

use super::{Phase, RepositoryState};
use crate::convert::FinalState;

// === impl RepositoryState ===

impl RepositoryState {
    /// Runs that are done and whose object doesn't say so yet, with how they ended; each is named once, and those of which it
    /// could not be written a moment ago are left for later.
    pub fn take_done_runs(&mut self, now: Instant) -> Vec<(RunKey, FinalState)> {
        let mut done = Vec::new();
        for name in std::mem::take(&mut self.unmarked) {
            if let Some(run) = self.runs.get_mut(&name)
                && let Phase::Done(state) = run.view.phase
            {
                if run.is_to_be_marked(now) {
                    run.marked = true;
                    done.push((run.view.key.clone(), state));
                } else {
                    self.unmarked.insert(name);
                }
            }
        }
        done
    }

    /// Notes that the final state of `run` could not be written; says when to try again.
    pub fn unmark(&mut self, run: &RunKey, now: Instant) -> Option<Instant> {
        self.on_run(run, |run| run.unmark(now))
    }
}
