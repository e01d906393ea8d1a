//! Who waits in one repository since when, until that is a part of its [`Week`].

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Entry, FIRST_KEPT, RunKey};
use pac_queue::week::{Outcome, RunTimes, Running, Week, tenths};
use pac_state::index::End;

/// Who waits. Forgotten when another watcher may have admitted some of them; their creation then stands for their arrival.
#[derive(Debug, Default)]
pub(super) struct Arrivals(HashMap<RunKey, Arrival>);

#[derive(Debug, Clone, Copy)]
struct Arrival {
    /// In tenths of a second since 1970.
    at: i64,
    event: i32,
    position: u32,
}

// === impl Arrivals ===

impl Arrivals {
    /// A run joined the queue.
    pub(super) fn joined(&mut self, entry: &Entry, now: Timestamp) {
        self.0.entry(entry.run.clone()).or_insert_with(|| Arrival::of(entry, tenths(now)));
    }

    /// It got a slot.
    pub(super) fn granted(&mut self, week: &mut Week, entry: &Entry, now: Timestamp) {
        let now = tenths(now);
        let arrival = self.0.remove(&entry.run);
        let arrival = arrival.unwrap_or_else(|| Arrival::of(entry, entry.order.created.saturating_mul(10).min(now)));
        let Arrival { at: arrived, event, position } = arrival;
        week.started(entry.run.uid(), Running { arrived, event, position, waited: since(arrived, now) });
    }

    /// It was found running, and nobody knows whether it ever waited.
    pub(super) fn adopted(&mut self, week: &mut Week, entry: &Entry, now: Timestamp) {
        self.0.insert(entry.run.clone(), Arrival::of(entry, tenths(now)));
        self.granted(week, entry, now);
    }

    /// Its slot was given back, and it waits again.
    pub(super) fn given_back(&mut self, week: &mut Week, run: &RunKey) {
        if let Some(Running { arrived, event, position, .. }) = week.take_running(run.uid()) {
            self.0.insert(run.clone(), Arrival { at: arrived, event, position });
        }
    }

    /// It has neither a slot nor a place any more.
    pub(super) fn ended(&mut self, week: &mut Week, run: &RunKey, end: &End, now: Timestamp) {
        let now = tenths(now);
        let outcome = match end {
            End::Done(_) | End::ByOperator(_) => Outcome::Done,
            End::Withdrawn | End::Gone => Outcome::Left,
            End::Unlimited => Outcome::Unfinished,
        };
        let waited = self.0.remove(run);
        let times = match (week.take_running(run.uid()), waited) {
            (Some(Running { arrived, event, position, waited }), _) => {
                let held = Some(since(arrived + i64::from(waited), now));
                RunTimes { arrived, event, position, waited, held, outcome }
            }
            (None, Some(Arrival { at: arrived, event, position })) => {
                // Done without a slot of ours: somebody else started it.
                let outcome = if outcome == Outcome::Done { Outcome::Left } else { outcome };
                RunTimes { arrived, event, position, waited: since(arrived, now), held: None, outcome }
            }
            (None, None) => return,
        };
        week.ended(times);
    }

    /// Nobody is known to wait.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

// === impl Arrival ===

impl Arrival {
    fn of(entry: &Entry, at: i64) -> Self {
        let event = entry.order.event_created.saturating_sub(at.div_euclid(10));
        // Places that were taken over are told from 0, too, as people count.
        let position = entry.order.position % FIRST_KEPT;
        Self { at, event: i32::try_from(event).unwrap_or_default(), position }
    }
}

/// From `then` to `now`, in tenths of a second; clocks are set now and then.
fn since(then: i64, now: i64) -> u32 {
    u32::try_from(now - then).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pac_concurrency::OrderKey;
    use pac_kube::convert::FinalState;

    use super::*;

    fn entry(name: &str, created: i64) -> Entry {
        let order = OrderKey { event_created: created - 1, position: 1, created };
        Entry::new(RunKey::new("ns", name, name).unwrap(), order)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const DONE: End = End::Done(FinalState::Completed);

    #[test]
    fn a_run_that_gave_its_slot_back_has_waited_all_the_while() {
        let (mut arrivals, mut week, run) = (Arrivals::default(), Week::default(), entry("a", 100));
        arrivals.joined(&run, at(102));
        arrivals.granted(&mut week, &run, at(110));
        arrivals.given_back(&mut week, &run.run);
        arrivals.granted(&mut week, &run, at(120));
        arrivals.ended(&mut week, &run.run, &DONE, at(150));
        let expected =
            RunTimes { arrived: 1020, event: -3, position: 1, waited: 180, held: Some(300), outcome: Outcome::Done };
        assert_eq!(week.runs().collect::<Vec<_>>(), [&expected]);
        arrivals.ended(&mut week, &run.run, &DONE, at(150));
        assert_eq!(week.runs().len(), 1, "it ended once");
    }

    #[test]
    fn places_that_were_taken_over_are_told_from_0() {
        let (mut arrivals, mut week, mut run) = (Arrivals::default(), Week::default(), entry("a", 100));
        run.order.position = FIRST_KEPT + 2;
        arrivals.granted(&mut week, &run, at(110));
        arrivals.ended(&mut week, &run.run, &DONE, at(120));
        assert_eq!(week.runs().map(|run| run.position).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn who_arrived_under_another_watcher_did_so_when_it_was_created() {
        let (mut arrivals, mut week) = (Arrivals::default(), Week::default());
        arrivals.granted(&mut week, &entry("waited", 100), at(110));
        arrivals.granted(&mut week, &entry("from-the-future", 200), at(110));
        arrivals.adopted(&mut week, &entry("found", 50), at(110));
        for name in ["waited", "from-the-future", "found"] {
            arrivals.ended(&mut week, &entry(name, 0).run, &End::Unlimited, at(120));
        }
        assert_eq!(week.runs().map(|run| run.waited).collect::<Vec<_>>(), [100, 0, 0]);
        assert!(week.runs().all(|run| run.outcome == Outcome::Unfinished && run.held == Some(100)));
    }

    #[test]
    fn who_left_the_queue_never_had_a_slot() {
        let (mut arrivals, mut week) = (Arrivals::default(), Week::default());
        for (name, end) in [("withdrawn", End::Withdrawn), ("started-by-hand", DONE)] {
            arrivals.joined(&entry(name, 100), at(100));
            arrivals.ended(&mut week, &entry(name, 100).run, &end, at(105));
        }
        assert!(week.runs().all(|run| (run.waited, run.held, run.outcome) == (50, None, Outcome::Left)));
        assert_eq!(week.runs().len(), 2);
    }
}
