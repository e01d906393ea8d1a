//! The same arrivals under other limits, [`plan()`] deciding who is admitted when.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use pac_concurrency::{Entry, Holder, Limit, Observation, Plan, RunKey, RunState, Slot, SlotOwnership, Snapshot, plan};

use crate::past::Arrival;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Of each arrival, how long it waited until it got its slot, in seconds; none if it left before.
    pub(crate) waits: Vec<Option<f64>>,
    /// How long slots were taken until the end, in seconds, one with another.
    pub(crate) slot_seconds: f64,
    /// How many left while they waited.
    pub(crate) left_waiting: usize,
    /// How many waited in the end.
    pub(crate) still_waiting: usize,
}

/// What happens, in the order in which it does if it happens at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ends(usize),
    Leaves(usize),
    Rule(usize),
    Arrives(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Time(f64);

struct Queue<'a> {
    arrivals: &'a [Arrival],
    numbers: HashMap<&'a RunKey, usize>,
    holder: Holder,
    /// Slots, and the head of the queue.
    snapshot: Snapshot,
    waiting: BTreeSet<Entry>,
    states: Vec<RunState>,
    events: BinaryHeap<Reverse<(Time, Event)>>,
    replayed: Replayed,
    until: f64,
}

/// Has `arrivals` come under these limits, each from its time on. After `until` nobody arrives, and whoever waits is admitted in
/// turn.
pub(crate) fn replay(arrivals: &[Arrival], rules: &[(f64, Limit)], until: f64) -> Replayed {
    let mut queue = Queue::new(arrivals, rules, until);
    let mut limit = Limit::Unknown;
    let mut is_over = false;
    while let Some(Reverse((Time(now), first))) = queue.events.pop() {
        if now > until && !is_over {
            is_over = true;
            queue.replayed.still_waiting = queue.waiting.len();
        }
        let mut events = vec![first];
        while let Some(Reverse((Time(at), event))) = queue.events.peek().copied()
            && at <= now
        {
            events.push(event);
            queue.events.pop();
        }
        let (mut arrived, mut departed) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Ends(number) => queue.set(number, RunState::Finished),
                Event::Leaves(number) if queue.state(number) == Some(RunState::Pending) => {
                    queue.set(number, RunState::Finished);
                    queue.replayed.left_waiting += 1;
                    departed.extend(arrivals.get(number).map(|arrival| arrival.entry.run.clone()));
                }
                Event::Leaves(_) => {}
                Event::Rule(number) => limit = rules.get(number).map_or(limit, |(_, limit)| *limit),
                Event::Arrives(number) => {
                    queue.set(number, RunState::Pending);
                    arrived.extend(arrivals.get(number).map(|arrival| arrival.entry.clone()));
                }
            }
        }
        while queue.decide(limit, std::mem::take(&mut arrived), std::mem::take(&mut departed), now) {}
    }
    queue.replayed
}

// === impl Queue ===

impl<'a> Queue<'a> {
    fn new(arrivals: &'a [Arrival], rules: &[(f64, Limit)], until: f64) -> Self {
        let runs = arrivals.iter().map(|arrival| (Time(arrival.at), arrival.leaves.map(Time))).zip(0..);
        let events = runs.flat_map(|((at, leaves), number)| {
            [Some((at, Event::Arrives(number))), leaves.map(|at| (at, Event::Leaves(number)))].into_iter().flatten()
        });
        let rules = rules.iter().zip(0..).map(|((at, _), number)| (Time(*at), Event::Rule(number)));
        Self {
            arrivals,
            numbers: arrivals.iter().zip(0..).map(|(arrival, number)| (&arrival.entry.run, number)).collect(),
            holder: Holder::new("replay"),
            snapshot: Snapshot::empty(),
            waiting: BTreeSet::new(),
            states: vec![RunState::NotCached; arrivals.len()],
            events: events.chain(rules).map(Reverse).collect(),
            replayed: Replayed { waits: vec![None; arrivals.len()], ..Replayed::default() },
            until,
        }
    }

    /// Decides, and does it; says whether there is more to decide.
    fn decide(&mut self, limit: Limit, arrived: Vec<Entry>, departed: Vec<RunKey>, now: f64) -> bool {
        let is_held = |run: &&RunKey| self.state_of(run) != RunState::Finished;
        // As in a watcher at work, the head of the queue is all that has to be looked at.
        let free = limit.free(self.snapshot.slots.keys().filter(is_held).count());
        let head = free.saturating_add(1).min(self.waiting.len());
        self.snapshot.waiting = self.waiting.iter().take(head).cloned().collect();
        self.snapshot.waiting_count = self.waiting.len();
        self.snapshot.whole = head == self.waiting.len();
        let plan = plan(
            &self.snapshot,
            &Observation {
                limit,
                running: Vec::new(),
                waiting: arrived,
                moved: Vec::new(),
                departed,
                state: &|run| self.state_of(run),
                settled: &|_| true,
                ownership: &|_| SlotOwnership::Mine,
            },
        );
        self.carry_out(&plan, now);
        plan.window_too_small
    }

    fn carry_out(&mut self, plan: &Plan, now: f64) {
        plan.released.iter().for_each(|run| drop(self.snapshot.slots.remove(run)));
        for run in &plan.dequeued {
            if let Some(arrival) = self.number(run).and_then(|number| self.arrivals.get(number)) {
                self.waiting.remove(&arrival.entry);
            }
        }
        self.waiting.extend(plan.enqueued.iter().cloned());
        for entry in &plan.granted {
            self.waiting.remove(entry);
            let slot = Slot { entry: entry.clone(), holder: self.holder.clone(), lapsed: false };
            self.snapshot.slots.insert(entry.run.clone(), slot);
            if let Some(number) = self.number(&entry.run) {
                self.start(number, now);
            }
        }
    }

    fn start(&mut self, number: usize, now: f64) {
        let Some(arrival) = self.arrivals.get(number) else { return };
        let end = (now + arrival.takes).min(arrival.leaves.unwrap_or(f64::INFINITY)).max(now);
        self.set(number, RunState::Running);
        self.events.push(Reverse((Time(end), Event::Ends(number))));
        self.replayed.slot_seconds += (end.min(self.until) - now).max(0.0);
        if let Some(wait) = self.replayed.waits.get_mut(number) {
            *wait = Some(now - arrival.at);
        }
    }

    fn number(&self, run: &RunKey) -> Option<usize> {
        self.numbers.get(run).copied()
    }

    fn state(&self, number: usize) -> Option<RunState> {
        self.states.get(number).copied()
    }

    fn state_of(&self, run: &RunKey) -> RunState {
        self.number(run).and_then(|number| self.state(number)).unwrap_or(RunState::NotCached)
    }

    fn set(&mut self, number: usize, state: RunState) {
        if let Some(of) = self.states.get_mut(number) {
            *of = state;
        }
    }
}

// === impl Time ===

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use pac_concurrency::OrderKey;

    use super::*;

    fn arrival(number: u32, at: f64, takes: f64) -> Arrival {
        let run = RunKey::new("ns", &format!("run-{number}"), "1").unwrap();
        Arrival { at, entry: Entry::new(run, OrderKey::alone(at as i64)), takes, leaves: None }
    }

    fn at_most(limit: i64) -> Vec<(f64, Limit)> {
        vec![(f64::NEG_INFINITY, Limit::effective(Some(limit), None))]
    }

    fn waits(arrivals: &[Arrival], rules: &[(f64, Limit)]) -> Vec<Option<f64>> {
        replay(arrivals, rules, 100.0).waits
    }

    #[test]
    fn a_slot_is_handed_on_in_order() {
        let arrivals = [arrival(0, 0.0, 10.0), arrival(1, 1.0, 10.0), arrival(2, 2.0, 1.0), arrival(3, 3.0, 1.0)];
        assert_eq!(waits(&arrivals, &at_most(1)), [0.0, 9.0, 18.0, 18.0].map(Some));
        assert_eq!(waits(&arrivals, &at_most(2)), [0.0, 0.0, 8.0, 8.0].map(Some));
        assert_eq!(waits(&arrivals, &at_most(4)), [0.0; 4].map(Some));
        let replayed = replay(&arrivals, &at_most(1), 15.0);
        assert_eq!((replayed.slot_seconds, replayed.still_waiting), (15.0, 2), "up to the end, and no further");
    }

    #[test]
    fn an_event_that_is_older_comes_first() {
        let mut arrivals = [arrival(0, 0.0, 10.0), arrival(1, 1.0, 10.0), arrival(2, 2.0, 10.0)];
        arrivals[2].entry.order.event_created = 0;
        assert_eq!(waits(&arrivals, &at_most(1)), [0.0, 19.0, 8.0].map(Some));
    }

    #[test]
    fn who_is_cancelled_waits_for_nothing_or_has_its_slot_until_then() {
        let mut arrivals = [arrival(0, 0.0, 10.0), arrival(1, 1.0, 10.0), arrival(2, 2.0, 1.0)];
        arrivals[1].leaves = Some(5.0);
        assert_eq!(waits(&arrivals, &at_most(1)), [Some(0.0), None, Some(8.0)]);
        assert_eq!(replay(&arrivals, &at_most(1), 100.0).left_waiting, 1);
        assert_eq!(waits(&arrivals, &at_most(2)), [Some(0.0), Some(0.0), Some(3.0)]);
    }

    #[test]
    fn limits_change_and_nobody_is_admitted_while_there_is_none() {
        let arrivals = [arrival(0, 0.0, 10.0), arrival(1, 1.0, 10.0), arrival(2, 2.0, 1.0)];
        let limit = |number| Limit::effective(Some(number), None);
        let rules = [(f64::NEG_INFINITY, limit(2)), (0.5, Limit::Unknown), (4.0, limit(1)), (12.0, limit(3))];
        assert_eq!(waits(&arrivals, &rules), [0.0, 9.0, 10.0].map(Some));
    }
}
