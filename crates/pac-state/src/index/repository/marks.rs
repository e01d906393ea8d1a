//! Done runs whose objects don't say yet how the runs ended.

use pac_concurrency::RunKey;
use pac_kube::convert::FinalState;
use tokio::time::Instant;

use super::{Phase, RepositoryState};
use crate::index::run::Mark;

// === impl RepositoryState ===

impl RepositoryState {
    /// Takes the done runs whose objects don't say so yet, with how they ended. Each run is taken once; a run whose final state
    /// couldn't be written a moment ago is left for later.
    pub fn take_done_runs(&mut self, now: Instant) -> Vec<(RunKey, FinalState)> {
        let mut done = Vec::new();
        for name in std::mem::take(&mut self.unmarked) {
            if let Some(run) = self.runs.named_mut(&name)
                && let Phase::Done(state) = run.view.phase
            {
                if run.unmarked_until().is_none_or(|until| until <= now) {
                    run.mark = Mark::UnderWay;
                    done.push((run.view.key.clone(), state));
                } else {
                    self.unmarked.insert(name);
                }
            }
        }
        done
    }

    /// Notes that the final state of `run` was written.
    pub fn note_marked(&mut self, run: &RunKey) {
        self.on_run(run, |run| run.mark = Mark::Written);
    }

    /// Notes that the final state of `run` couldn't be written; returns when to try again.
    pub fn unmark(&mut self, run: &RunKey, now: Instant) -> Option<Instant> {
        self.on_run(run, |run| run.unmark(now))
    }
}

#[cfg(test)]
mod tests {
    use pac_concurrency::{Limit, Scope, SlotOwnership, Snapshot};

    use super::*;
    use crate::index::repository::tests::shown;

    #[test]
    fn a_final_state_under_way_is_not_written_once_more_by_a_look_at_everything() {
        let (mut state, run, now) = shown(Phase::Done(FinalState::Completed));
        let look = |state: &mut RepositoryState| {
            state.decide(Limit::Unlimited, Scope::Whole, &Snapshot::empty(), &|_| SlotOwnership::Mine, now);
            state.take_done_runs(now).len()
        };
        assert_eq!((look(&mut state), look(&mut state)), (1, 0));
        state.note_marked(&run);
        assert_eq!(look(&mut state), 1, "but nothing is taken on trust for ever");
    }
}
