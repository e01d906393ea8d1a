//! The starts that this watcher sends, and what becomes of them as their requests are answered.

use pac_concurrency::RunKey;
use pac_concurrency::protocol::UNSTARTED_STANDS;
use pac_kube::hold::Hold;
use pac_kube::live_read::Confirmed;
use tokio::time::Instant;

use super::{Phase, RepositoryState, Started};
use crate::index::run::{Run, StartState};

/// What a start came to, by what a read of the run shows since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartEnd {
    /// The run runs; with what came before, the first time that is noted.
    Started(Option<Started>),
    /// It is pending, and no start of it is under way: its slot may go to another.
    Refused,
    /// It is pending or can't be read, and a start of it may be under way: it keeps its slot, and is tried again at this time.
    InDoubt(Option<Instant>),
    /// It is over, or never to start.
    Over,
}

// === impl RepositoryState ===

impl RepositoryState {
    /// Notes that a start of `run` is about to be sent; returns no if one is under way already, or mustn't be sent yet.
    pub fn begin_start(&mut self, run: &RunKey, now: Instant) -> bool {
        // A run of which nothing is known is started all the same: the patch itself tests whether it may be.
        self.on_run(run, |run| {
            let may = match run.start {
                StartState::Idle | StartState::Unstarted(_) => true,
                StartState::Unknown(until) | StartState::Refused(until) => until <= now,
                StartState::UnderWay | StartState::Acknowledged => false,
            };
            if may {
                run.start = StartState::UnderWay;
            }
            may
        })
        .unwrap_or(true)
    }

    /// The LocalQueue of Kueue to which `run` is handed over, if it is started that way.
    pub fn hand_over_to(&self, run: &RunKey) -> Option<Box<str>> {
        match &self.run(run)?.view.hold {
            Hold::HandOver(queue) => Some(queue.clone()),
            Hold::None | Hold::HandedOver | Hold::Others(_) => None,
        }
    }

    /// Notes that the start of `run` was refused; returns when the run may be admitted again.
    pub fn refuse_start(&mut self, run: &RunKey, why: &str, now: Instant) -> Option<Instant> {
        self.on_run(run, |run| run.refuse(why, now))
    }

    /// Takes in what a start of `run` came to, which was not acknowledged: by what was `found` since, if anything, and by the words in
    /// which it was `refused`, if it was.
    ///
    /// A refusal alone frees no slot: an earlier start, whose answer was lost, may have taken effect, and who isn't allowed
    /// to change a run is told so whatever state it is in. Nor does a read do so, `asked` for then or later, while a start may yet take effect.
    pub fn end_start(
        &mut self,
        run: &RunKey,
        found: Option<Confirmed>,
        refused: Option<&str>,
        asked: Instant,
        now: Instant,
    ) -> StartEnd {
        match found {
            Some(Confirmed::Is(view)) if view.is_pending() => match refused {
                Some(why) if !self.may_yet_be_started(run, asked) => {
                    self.refuse_start(run, why, now);
                    StartEnd::Refused
                }
                _ => StartEnd::InDoubt(self.doubt_start(run, now)),
            },
            Some(Confirmed::Is(view)) if view.phase == Phase::Running => {
                StartEnd::Started(self.acknowledge_start(run, now))
            }
            Some(found) => {
                self.confirm(found, now);
                StartEnd::Over
            }
            None => StartEnd::InDoubt(self.doubt_start(run, now)),
        }
    }

    /// Takes in what a live read, sent at `asked` or later, found of a run whose slot may no longer fit; says when to look again, if
    /// not at once.
    pub fn take_in_over_limit(&mut self, found: Confirmed, asked: Instant, now: Instant) -> Option<Instant> {
        match &found {
            Confirmed::Is(view) if view.is_pending() => self.note_unstarted(&view.key, asked, now),
            _ => {
                self.confirm(found, now);
                None
            }
        }
    }

    /// Notes that a live read, sent at `asked` or later, found `run` pending while this watcher had no start under way. That proves
    /// nothing where another watcher's start, or one of this watcher's that was never answered, could take effect after that: then this
    /// returns when to look again. Nor does it if a start of this watcher's was acknowledged since, or came to be in doubt: the read may be
    /// older than that start.
    fn note_unstarted(&mut self, run: &RunKey, asked: Instant, now: Instant) -> Option<Instant> {
        let may_be_until = self.strays.of_after(run, asked);
        self.on_run(run, |run| {
            let is_newer = run.start_ended_at.is_none_or(|ended_at| asked >= ended_at);
            if may_be_until.is_none() && is_newer && run.start != StartState::UnderWay {
                run.start = StartState::Unstarted(now + UNSTARTED_STANDS);
            }
        });
        may_be_until
    }

    /// Whether a start of `run` could take effect after `asked` of which nobody would tell. As long as one can, a refusal of this watcher's
    /// start doesn't free the slot (P1).
    pub fn may_yet_be_started(&self, run: &RunKey, asked: Instant) -> bool {
        self.strays.of_after(run, asked).is_some()
    }

    /// Notes that nobody knows what became of the start of `run`; returns when to try again.
    pub fn doubt_start(&mut self, run: &RunKey, now: Instant) -> Option<Instant> {
        self.on_run(run, |run| run.doubt(now))
    }

    /// Lets every start of unknown outcome be tried again at once, because the API server is back.
    pub fn hurry_starts(&mut self, now: Instant) {
        let is_in_doubt = |run: &&Run| matches!(run.start, StartState::Unknown(_));
        let runs: Vec<RunKey> = self.runs.iter().filter(is_in_doubt).map(|run| run.view.key.clone()).collect();
        for run in runs {
            self.on_run(&run, |run| run.hurry(now));
        }
    }

    /// Notes the answer to a start of `run` that may have taken effect all the same; returns whether the answer is news.
    pub fn note_failed_start(&mut self, run: &RunKey, why: &str) -> bool {
        self.on_run(run, |run| run.note_failure(why)).unwrap_or(false)
    }

    /// Notes that the start of `run` was not sent after all.
    pub fn abandon_start(&mut self, run: &RunKey, now: Instant) {
        self.on_run(run, |run| run.start = StartState::Idle);
        self.abandoned_at = Some(now);
    }

    /// Whether a start whose slot was proven at `proven` would be sent before one that was abandoned since, and is yet to be asked
    /// for again (P3).
    pub fn would_overtake(&self, proven: Instant) -> bool {
        self.abandoned_at.is_some_and(|abandoned_at| proven < abandoned_at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pac_concurrency::protocol::FORMER_START_LASTS;
    use pac_concurrency::{Entry, OrderKey, Plan, RunState};

    use super::*;
    use crate::index::repository::tests::shown;
    use crate::index::tests::view;

    #[test]
    fn a_start_in_doubt_is_tried_again_at_once_when_the_api_server_is_back() {
        let (mut state, run, now) = shown(Phase::Waiting);
        let waits: Vec<Duration> = (0..10).map(|_| state.doubt_start(&run, now).unwrap() - now).collect();
        assert!(waits[9] > Duration::from_secs(10) && !state.begin_start(&run, now), "{waits:?}");
        state.hurry_starts(now);
        assert!(state.begin_start(&run, now));
        assert!(state.doubt_start(&run, now).unwrap() - now < Duration::from_secs(1), "it waits from the beginning");
    }

    #[test]
    fn a_start_under_way_is_not_forgotten_when_the_watch_comes_to_show_its_run() {
        let (mut state, now) = (RepositoryState::new(true), Instant::now());
        let run = view(Phase::Waiting).key;
        // The watch is behind, and a live read found the run.
        state.confirm(Confirmed::Is(view(Phase::Waiting)), now);
        assert!(state.begin_start(&run, now));
        state.apply_run(view(Phase::Waiting), now, Duration::ZERO);
        assert!(!state.begin_start(&run, now), "P2");
        state.take_in_over_limit(Confirmed::Is(view(Phase::Waiting)), now, now);
        assert_eq!(state.state_of(&run, now), RunState::Starting, "P1: its slot must not go to another");
        state.apply_run(view(Phase::Running), now, Duration::ZERO);
        assert_eq!(state.state_of(&run, now), RunState::Running);
    }

    #[test]
    fn a_claimed_run_is_not_given_back_while_its_former_holders_start_may_arrive() {
        let (mut state, run, now) = shown(Phase::Waiting);
        let claimed = Plan { claimed: vec![Entry::new(run.clone(), OrderKey::alone(0))], ..Plan::default() };
        state.apply(&claimed, now);
        assert!(state.may_yet_be_started(&run, now), "P1");
        assert!(state.note_unstarted(&run, now, now).is_some(), "what a live read told counts for nothing yet");
        let later = now + FORMER_START_LASTS;
        assert!(!state.may_yet_be_started(&run, later));
        assert_eq!(state.note_unstarted(&run, later, later), None);
    }

    #[test]
    fn a_read_from_before_a_start_that_was_acknowledged_proves_nothing() {
        let (mut state, run, asked) = shown(Phase::Waiting);
        let later = asked + Duration::from_secs(1);
        assert!(state.begin_start(&run, later));
        state.acknowledge_start(&run, later);
        state.take_in_over_limit(Confirmed::Is(view(Phase::Waiting)), asked, later);
        assert_eq!(state.state_of(&run, later), RunState::Running, "P5: it runs, and keeps its slot");
    }

    #[test]
    fn a_read_from_before_a_start_that_is_in_doubt_proves_nothing() {
        let (mut state, run, asked) = shown(Phase::Waiting);
        let later = asked + Duration::from_secs(1);
        assert!(state.begin_start(&run, later));
        state.doubt_start(&run, later);
        state.take_in_over_limit(Confirmed::Is(view(Phase::Waiting)), asked, later);
        assert_eq!(state.state_of(&run, later), RunState::Starting, "P1: its slot must not go to another");
        state.take_in_over_limit(Confirmed::Is(view(Phase::Waiting)), later, later);
        assert_eq!(state.state_of(&run, later), RunState::ConfirmedPending);
    }
}
