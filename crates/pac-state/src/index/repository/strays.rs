//! Slots that this watcher claimed from others, whose starts may still arrive.

use std::collections::{BTreeSet, HashMap};

use pac_concurrency::protocol::FORMER_START_LASTS;
use pac_concurrency::{Plan, RunKey, Slot, SlotOwnership, Snapshot};
use tokio::time::Instant;

use super::RepositoryState;
use crate::index::run::Run;

/// The claims of one repository.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    /// Until when a start by the former holder may still arrive.
    made: HashMap<RunKey, Instant>,
    /// Those that were decided, and may have been committed: the answer that would tell may be lost.
    decided: BTreeSet<RunKey>,
}

// === impl Claims ===

impl Claims {
    /// Notes that `plan`, which is about to be committed, claims.
    pub(super) fn note_decided(&mut self, plan: &Plan) {
        self.decided.extend(plan.claimed.iter().map(|entry| entry.run.clone()));
    }

    /// Until when another watcher, from which the slot was claimed, may still start `run`, whether or not the watch shows the
    /// run.
    pub(super) fn another_may_start_until(&self, run: &RunKey, now: Instant) -> Option<Instant> {
        self.made.get(run).copied().filter(|until| *until > now)
    }

    /// Each claim and how long a start may still arrive, and those decided, in order, for the model.
    #[cfg(feature = "model")]
    pub(super) fn all(&self) -> (std::collections::BTreeMap<&RunKey, Instant>, &BTreeSet<RunKey>) {
        (self.made.iter().map(|(run, until)| (run, *until)).collect(), &self.decided)
    }
}

// === impl RepositoryState ===

impl RepositoryState {
    /// Notes that `run`'s slot was claimed by `now`.
    pub(super) fn note_claimed(&mut self, run: &RunKey, now: Instant) {
        self.claims.decided.remove(run);
        self.claims.made.insert(run.clone(), now + FORMER_START_LASTS);
        self.on_run(run, Run::claim);
    }

    /// Finds out by `snapshot` what became of claims whose answers were lost: a slot that is ours was claimed by now. One that isn't
    /// there can't be claimed any more, since the version that the commit was for is gone.
    pub(super) fn settle_claims(
        &mut self,
        snapshot: &Snapshot,
        ownership: &dyn Fn(&Slot) -> SlotOwnership,
        now: Instant,
    ) {
        self.claims.made.retain(|_, until| *until > now);
        self.claims.decided.retain(|run| snapshot.slots.contains_key(run));
        let is_ours = |run: &&RunKey| ownership(&snapshot.slots[*run]) == SlotOwnership::Mine;
        let made: Vec<RunKey> = self.claims.decided.iter().filter(is_ours).cloned().collect();
        for run in made {
            self.note_claimed(&run, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pac_concurrency::{Entry, Holder, Limit, OrderKey, Scope, Version};

    use super::*;
    use crate::index::repository::Phase;
    use crate::index::repository::tests::shown;

    /// Its former holder's start may be under way: a read that finds it pending frees no slot, as the limit goes down.
    #[test]
    fn a_claim_whose_answer_is_lost_is_one_all_the_same() {
        let (mut state, run, now) = shown(Phase::Waiting);
        let slot = Slot { entry: Entry::new(run.clone(), OrderKey::alone(0)), holder: Holder::new("it"), lapsed: true };
        let snapshot = Snapshot { version: Version::new(1), slots: [(run.clone(), slot)].into(), ..Snapshot::empty() };
        let limit = Limit::effective(Some(1), None);
        let plan = state.decide(limit, Scope::Head, &snapshot, &|_| SlotOwnership::Lapsed, now);
        assert_eq!(plan.claimed.len(), 1);
        assert!(!state.may_be_started_by_another(&run, now), "nothing is claimed yet");
        // It was committed, and what is loaded then shows it.
        let later = now + Duration::from_secs(5);
        let _ = state.decide(limit, Scope::Head, &snapshot, &|_| SlotOwnership::Mine, later);
        // Nor does a further pass forget it.
        let _ = state.decide(limit, Scope::Head, &snapshot, &|_| SlotOwnership::Mine, later + Duration::from_secs(1));
        assert!(state.may_be_started_by_another(&run, later + FORMER_START_LASTS - Duration::from_millis(1)), "P1");
        assert!(!state.may_be_started_by_another(&run, later + FORMER_START_LASTS));
    }

    #[test]
    fn a_claim_that_came_to_nothing_is_forgotten_with_the_slot() {
        let (mut state, run, now) = shown(Phase::Waiting);
        let claimed = Plan { claimed: vec![Entry::new(run.clone(), OrderKey::alone(0))], ..Plan::default() };
        state.claims.note_decided(&claimed);
        state.settle_claims(&Snapshot::empty(), &|_| SlotOwnership::Mine, now);
        assert!(state.claims.decided.is_empty() && !state.may_be_started_by_another(&run, now));
    }
}
