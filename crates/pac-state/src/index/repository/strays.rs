//! Starts on their way of which nobody tells this watcher what becomes of them: those of whoever had a slot before it was claimed, and its
//! own that were never answered.

use std::collections::{BTreeSet, HashMap};

use pac_concurrency::protocol::{FORMER_START_LASTS, REQUEST_DEADLINE};
use pac_concurrency::{Plan, RunKey, Slot, SlotOwnership, Snapshot};
use tokio::time::Instant;

use super::RepositoryState;
use crate::index::run::Run;

/// Those of one repository.
#[derive(Debug, Clone, Default)]
pub(super) struct Strays {
    /// By when a start of the run has taken effect, or never will.
    until: HashMap<RunKey, Instant>,
    /// The claims that were decided, and may have been committed: the answer that would tell may be lost.
    decided: BTreeSet<RunKey>,
}

// === impl Strays ===

impl Strays {
    /// Notes that `plan`, which is about to be committed, claims.
    pub(super) fn note_decided(&mut self, plan: &Plan) {
        self.decided.extend(plan.claimed.iter().map(|entry| entry.run.clone()));
    }

    /// Until when a start of `run` may take effect, if that is later than `asked`: what was read then says nothing of it. That is so whether
    /// or not the watch shows the run.
    pub(super) fn of_after(&self, run: &RunKey, asked: Instant) -> Option<Instant> {
        self.until.get(run).copied().filter(|until| *until > asked)
    }

    fn add(&mut self, run: &RunKey, until: Instant) {
        let known = self.until.entry(run.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// The runs and by when, and the claims that were decided, in order, for the model.
    #[cfg(feature = "model")]
    pub(super) fn all(&self) -> (std::collections::BTreeMap<&RunKey, Instant>, &BTreeSet<RunKey>) {
        (self.until.iter().map(|(run, until)| (run, *until)).collect(), &self.decided)
    }
}

// === impl RepositoryState ===

impl RepositoryState {
    /// Notes that `run`'s slot was claimed by `now`.
    pub(super) fn note_claimed(&mut self, run: &RunKey, now: Instant) {
        self.strays.decided.remove(run);
        self.strays.add(run, now + FORMER_START_LASTS);
        self.on_run(run, Run::claim);
    }

    /// Notes that a start of `run`, sent at `sent` or later, was not answered, or by words that say nothing of what became of it.
    pub fn note_unanswered(&mut self, run: &RunKey, sent: Instant) {
        self.strays.add(run, sent + REQUEST_DEADLINE);
    }

    /// Whether a run that isn't known to run may yet be started by a start of which nobody will tell.
    pub(in crate::index) fn awaits_starts(&self, now: Instant) -> bool {
        let may_be_pending = |run: &RunKey| self.run(run).is_none_or(Run::is_pending);
        self.strays.until.iter().any(|(run, until)| *until > now && may_be_pending(run))
    }

    /// Finds out by `snapshot` what became of claims whose answers were lost: a slot that is ours was claimed by now. One that isn't
    /// there can't be claimed any more, since the version that the commit was for is gone.
    pub(super) fn settle_claims(
        &mut self,
        snapshot: &Snapshot,
        ownership: &dyn Fn(&Slot) -> SlotOwnership,
        now: Instant,
    ) {
        // A read that was asked earlier may still be answered: as long as there is a slot to give back, that is to be known.
        self.strays.until.retain(|run, until| *until > now || snapshot.slots.contains_key(run));
        self.strays.decided.retain(|run| snapshot.slots.contains_key(run));
        let is_ours = |run: &&RunKey| ownership(&snapshot.slots[*run]) == SlotOwnership::Mine;
        let made: Vec<RunKey> = self.strays.decided.iter().filter(is_ours).cloned().collect();
        for run in made {
            self.note_claimed(&run, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pac_concurrency::{Entry, Holder, Limit, OrderKey, Scope, Version};
    use pac_kube::live_read::Confirmed;

    use super::*;
    use crate::index::repository::tests::shown;
    use crate::index::repository::{Phase, StartEnd};
    use crate::index::tests::view;

    /// Its former holder's start may be under way: a read that finds it pending frees no slot, as the limit goes down.
    #[test]
    fn a_claim_whose_answer_is_lost_is_one_all_the_same() {
        let (mut state, run, now) = shown(Phase::Waiting);
        let slot = Slot { entry: Entry::new(run.clone(), OrderKey::alone(0)), holder: Holder::new("it"), lapsed: true };
        let snapshot = Snapshot { version: Version::new(1), slots: [(run.clone(), slot)].into(), ..Snapshot::empty() };
        let limit = Limit::effective(Some(1), None);
        let plan = state.decide(limit, Scope::Head, &snapshot, &|_| SlotOwnership::Lapsed, now);
        assert_eq!(plan.claimed.len(), 1);
        assert!(!state.may_yet_be_started(&run, now), "nothing is claimed yet");
        // It was committed, and what is loaded then shows it.
        let later = now + Duration::from_secs(5);
        let _ = state.decide(limit, Scope::Head, &snapshot, &|_| SlotOwnership::Mine, later);
        // Nor does a further pass forget it.
        let _ = state.decide(limit, Scope::Head, &snapshot, &|_| SlotOwnership::Mine, later + Duration::from_secs(1));
        assert!(state.may_yet_be_started(&run, later + FORMER_START_LASTS - Duration::from_millis(1)), "P1");
        assert!(!state.may_yet_be_started(&run, later + FORMER_START_LASTS));
    }

    /// Its read was asked for while the former holder's start could still arrive, and answered when it had.
    #[test]
    fn a_read_from_before_a_former_holders_start_proves_nothing_however_late_it_is_told() {
        let (mut state, run, claimed_at) = shown(Phase::Waiting);
        let claimed = Plan { claimed: vec![Entry::new(run.clone(), OrderKey::alone(0))], ..Plan::default() };
        state.apply(&claimed, claimed_at);
        let (asked, until) = (claimed_at + Duration::from_secs(6), claimed_at + FORMER_START_LASTS);
        let told = until + Duration::from_millis(1);
        let slot =
            Slot { entry: Entry::new(run.clone(), OrderKey::alone(0)), holder: Holder::new("us"), lapsed: false };
        let snapshot = Snapshot { version: Version::new(1), slots: [(run.clone(), slot)].into(), ..Snapshot::empty() };
        state.settle_claims(&snapshot, &|_| SlotOwnership::Mine, told);
        let found = || Confirmed::Is(view(Phase::Waiting));
        assert_eq!(state.take_in_over_limit(found(), asked, told), Some(until), "P1: it may run by now");
        assert_ne!(state.end_start(&run, Some(found()), Some("no"), asked, told), StartEnd::Refused, "P1");
        assert_eq!(state.take_in_over_limit(found(), until, told), None);
    }

    /// The connection broke, and the API server may be at it still.
    #[test]
    fn an_unanswered_start_may_take_effect_until_its_deadline() {
        let (mut state, run, sent) = shown(Phase::Waiting);
        let (soon, until) = (sent + Duration::from_secs(1), sent + REQUEST_DEADLINE);
        let found = || Some(Confirmed::Is(view(Phase::Waiting)));
        assert!(state.begin_start(&run, sent));
        state.note_unanswered(&run, sent);
        state.end_start(&run, found(), None, soon, soon);
        assert!(state.awaits_starts(soon));
        assert_eq!(
            state.take_in_over_limit(found().unwrap(), soon, soon),
            Some(until),
            "P1: its slot must not go to another"
        );
        assert_ne!(
            state.end_start(&run, found(), Some("no"), soon, soon),
            StartEnd::Refused,
            "P1: nor when another is refused"
        );
        assert!(!state.awaits_starts(until));
        assert_eq!(state.end_start(&run, found(), Some("no"), until, until), StartEnd::Refused);
        // What runs, everybody sees.
        state.note_unanswered(&run, until);
        assert!(state.awaits_starts(until));
        state.acknowledge_start(&run, until);
        assert!(!state.awaits_starts(until));
    }

    #[test]
    fn a_claim_that_came_to_nothing_is_forgotten_with_the_slot() {
        let (mut state, run, now) = shown(Phase::Waiting);
        let claimed = Plan { claimed: vec![Entry::new(run.clone(), OrderKey::alone(0))], ..Plan::default() };
        state.strays.note_decided(&claimed);
        state.settle_claims(&Snapshot::empty(), &|_| SlotOwnership::Mine, now);
        assert!(state.strays.decided.is_empty() && !state.may_yet_be_started(&run, now));
    }

    /// Another watcher may have taken its slot away.
    #[test]
    fn a_start_without_a_slot_is_known_until_its_deadline_and_no_longer() {
        let (mut state, run, sent) = shown(Phase::Waiting);
        state.note_unanswered(&run, sent);
        let until = sent + REQUEST_DEADLINE;
        for (now, is_known) in [(sent, true), (until - Duration::from_millis(1), true), (until, false)] {
            state.settle_claims(&Snapshot::empty(), &|_| SlotOwnership::Mine, now);
            assert_eq!(state.strays.until.contains_key(&run), is_known, "P1: {:?}", until - now);
        }
    }
}
