//! Which runs the queue of Pipelines-as-Code's own has, as far as the cluster tells: those are PAC's to start.
//!
//! A run whose order is under PAC's own name gets into that queue, and with it every queued run that its order names. PAC starts
//! the next one when it has written the final state of one before it, and no version of any run tells of that beforehand. Whom it
//! starts so stands for those that are left, as the one did by whose order it knows them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pac_kube::convert::{EVENT_LASTS_SECONDS, Phase};
use tokio::time::Instant;

use super::RepositoryState;
use crate::index::run::Run;

/// How long after it wrote a run's final state PAC may start the next one in its stead.
const NEXT_WITHIN: Duration = Duration::from_secs(30);
/// How long after a run is over its final state is waited for. PAC reports the end to the Git provider first, and may have a model
/// explain a failure; where it comes to nothing it never writes one, and starts nobody.
const REPORTED_WITHIN: Duration = Duration::from_secs(600);

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub(super) struct PacsQueue {
    /// Runs that the watch shows with an order under PAC's own name, or that PAC started because such an order named them.
    runs: BTreeSet<Arc<str>>,
    /// What such runs named that the watch shows no more, and until when that counts.
    past: Vec<(Named, Instant)>,
}

/// By what one can tell that a run's order names another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    /// The order.
    list: Option<u64>,
    /// The webhook event, whose runs PAC names in one order.
    event: Option<(u64, i64)>,
}

// === impl PacsQueue ===

impl PacsQueue {
    /// Takes in whether PAC's queue may know others by run `name`.
    pub(super) fn note(&mut self, name: &Arc<str>, names_others: bool) {
        super::put(&mut self.runs, name, names_others);
    }

    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.past.is_empty()
    }
}

// === impl Named ===

impl Named {
    /// Whether this order names the run of which `other` is known. A run with another order of its own isn't named; a run without
    /// any may have lost it, and is named if it is of the same event.
    fn covers(self, other: Self) -> bool {
        match other.list {
            Some(list) => self.list == Some(list),
            // That an event began earlier may be found out later.
            None => self.event.zip(other.event).is_some_and(|((one, began), (other, other_began))| {
                one == other && began.abs_diff(other_began) <= EVENT_LASTS_SECONDS.unsigned_abs()
            }),
        }
    }
}

// === impl RepositoryState ===

impl RepositoryState {
    /// The waiting runs that are PAC's to start, at `now`.
    pub fn open_to_pacs_queue(&self, now: Instant) -> Vec<&str> {
        if self.pacs_queue.is_empty() {
            return Vec::new();
        }
        let shown = self.pacs_queue.runs.iter().filter_map(|name| self.runs.named(name));
        let at_work = shown.filter(|run| next_until(run).is_none_or(|until| until > now)).map(|run| self.named_by(run));
        let past = self.pacs_queue.past.iter().filter(|(_, until)| *until > now).map(|(named, _)| *named);
        let named: Vec<Named> = at_work.chain(past).collect();
        let is_pacs = |run: &&Run| {
            let waits = run.view.phase == Phase::Waiting && run.is_pending() && !self.over.contains_key(&run.view.key);
            waits && (run.view.has_pacs_order || named.iter().any(|order| order.covers(self.named_by(run))))
        };
        let mut names: Vec<&str> = self.runs.iter().filter(is_pacs).map(|run| run.view.key.name()).collect();
        names.sort_unstable();
        names
    }

    /// Whether PAC's queue knows run `name`, which waits.
    pub(super) fn is_known_to_pacs_queue(&self, name: &str, now: Instant) -> bool {
        self.open_to_pacs_queue(now).contains(&name)
    }

    /// Notes that the watch shows run `name` no longer, since PAC wrote its final state or it was deleted: PAC may still start a run that
    /// it named.
    pub(super) fn leave_pacs_queue(&mut self, name: &str) {
        let Some(run) = self.runs.named(name).filter(|_| self.pacs_queue.runs.contains(name)) else { return };
        let now = Instant::now();
        let left = (self.named_by(run), now + NEXT_WITHIN);
        self.pacs_queue.runs.remove(name);
        self.pacs_queue.past.retain(|(named, until)| *until > now && *named != left.0);
        self.pacs_queue.past.push(left);
    }

    /// When the next run that is PAC's now comes to be ours, by the clock alone.
    pub(super) fn pacs_queue_forgets_at(&self) -> Option<Instant> {
        let shown = self.pacs_queue.runs.iter().filter_map(|name| self.runs.named(name)).filter_map(next_until);
        let now = Instant::now();
        shown.chain(self.pacs_queue.past.iter().map(|(_, until)| *until)).filter(|until| *until > now).min()
    }

    fn named_by(&self, run: &Run) -> Named {
        let event = run.view.event.and_then(|id| Some((id, self.events.of(id, run.view.key.name())?.began)));
        Named { list: run.view.place.as_ref().map(|place| place.event), event }
    }
}

/// Until when PAC's final state of this one is waited for, and with it the start of another one in its stead, if it is over.
fn next_until(run: &Run) -> Option<Instant> {
    run.over_since.map(|since| since + REPORTED_WITHIN)
}

#[cfg(test)]
mod tests {
    use pac_concurrency::{RepositoryKey, RunKey};
    use pac_kube::convert::{FinalState, RunView};
    use pac_kube::execution_order::EventPlace;

    use super::*;
    use crate::index::tests::view;

    fn run(name: &str, list: Option<u64>, has_pacs_order: bool, phase: Phase) -> RunView {
        let key = RunKey::new("ns", name, name).unwrap();
        let place = list.map(|event| EventPlace { event, first: "a".into(), position: 0 });
        RunView { key, place, has_pacs_order, event: Some(7), ..view(phase) }
    }

    fn state(runs: impl IntoIterator<Item = RunView>) -> (RepositoryState, Instant) {
        let (mut state, now) = (RepositoryState::new(true), Instant::now());
        runs.into_iter().for_each(|run| state.apply_run(run, now, Duration::ZERO));
        (state, now)
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_order_of_pacs_names_is_pacs_too() {
        let (mut state, now) = state([
            run("a", Some(1), true, Phase::Running),
            run("b", Some(1), false, Phase::Waiting),
            run("lost", None, false, Phase::Waiting),
            run("other", Some(2), false, Phase::Waiting),
            run("arriving", None, false, Phase::Arriving),
        ]);
        assert_eq!(
            state.open_to_pacs_queue(now),
            ["b", "lost"],
            "it is named, or of the same event and without an order"
        );
        state.apply_run(run("a", Some(1), true, Phase::Done(FinalState::Completed)), now, Duration::ZERO);
        assert_eq!(state.open_to_pacs_queue(now), ["b", "lost"], "PAC starts the next one only now");
        // A Git provider may take its time to be told of the end.
        tokio::time::advance(NEXT_WITHIN * 2).await;
        let now = Instant::now();
        assert_eq!(state.open_to_pacs_queue(now), ["b", "lost"]);
        state.remove_run("ns/a");
        assert_eq!(state.open_to_pacs_queue(now), ["b", "lost"]);
        assert_eq!(state.next_look(), Some(now + NEXT_WITHIN), "P4");
        assert_eq!(state.open_to_pacs_queue(now + NEXT_WITHIN), [""; 0], "it forgot them");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_state_that_never_comes_holds_nobody_for_ever() {
        let (mut state, now) =
            state([run("a", Some(1), true, Phase::Running), run("b", Some(1), false, Phase::Waiting)]);
        state.apply_run(run("a", Some(1), true, Phase::Done(FinalState::Failed)), now, Duration::ZERO);
        assert_eq!(state.next_look(), Some(now + REPORTED_WITHIN), "P4");
        assert_eq!(state.open_to_pacs_queue(now + REPORTED_WITHIN), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn whom_pac_starts_because_an_order_named_it_stands_for_those_that_are_left() {
        let waiting = |name| run(name, Some(1), false, Phase::Waiting);
        let (mut state, now) =
            state([run("a", Some(1), true, Phase::Running), waiting("b"), waiting("c"), waiting("other")]);
        state.apply_run(run("other", Some(2), false, Phase::Waiting), now, Duration::ZERO);
        state.apply_run(run("a", Some(1), true, Phase::Done(FinalState::Completed)), now, Duration::ZERO);
        state.remove_run("ns/a");
        state.apply_run(run("b", Some(1), false, Phase::Running), now, Duration::ZERO);
        tokio::time::advance(NEXT_WITHIN * 2).await;
        let now = Instant::now();
        assert_eq!(state.open_to_pacs_queue(now), ["c"], "PAC starts it when b is over");
        state.apply_run(run("b", Some(1), false, Phase::Done(FinalState::Completed)), now, Duration::ZERO);
        state.remove_run("ns/b");
        assert_eq!(state.open_to_pacs_queue(now), ["c"]);
        assert_eq!(state.open_to_pacs_queue(now + NEXT_WITHIN), [""; 0], "PAC forgot it");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_began_earlier_than_was_known_is_the_same() {
        let created = |view: RunView, created| RunView { created, ..view };
        let (mut state, now) = state([created(run("b", Some(1), true, Phase::Running), 105)]);
        state.remove_run("ns/b");
        for (first, is_covered) in [(100, true), (105 + EVENT_LASTS_SECONDS + 1, false)] {
            state.apply_run(created(run("a", None, false, Phase::Waiting), first), now, Duration::ZERO);
            assert_eq!(!state.open_to_pacs_queue(now).is_empty(), is_covered, "{first}");
            state.remove_run("ns/a");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whom_ours_starts_stands_for_nobody() {
        let waiting = |name| run(name, None, false, Phase::Waiting);
        let (mut state, now) = state([waiting("a"), waiting("b")]);
        state.apply_run(run("a", None, false, Phase::Running), now, Duration::ZERO);
        assert_eq!(state.open_to_pacs_queue(now), [""; 0]);
    }

    #[test]
    fn what_is_pacs_by_its_own_annotation_is_so_as_long_as_it_waits() {
        let (mut state, now) = state([run("a", Some(1), true, Phase::Waiting)]);
        assert_eq!(state.open_to_pacs_queue(now), ["a"]);
        state.apply_run(run("a", Some(1), true, Phase::Running), now, Duration::ZERO);
        assert_eq!(state.open_to_pacs_queue(now), [""; 0]);
        let repository = RepositoryKey::new("ns", "repo").unwrap();
        assert_eq!(state.runs.named("a").unwrap().view.repository, repository);
    }
}
