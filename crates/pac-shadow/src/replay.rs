//! Our rule, on the runs that Pipelines-as-Code's queue has: who comes first by place, `limit` slots, a slot handed on at once, and
//! each run as long as it really ran.
//!
//! How long a run runs is known when it has ended, and here it mostly begins earlier than it really does. So the replay stays behind: it
//! goes on as far as what is known decides, and no further. Only a run that will never tell is taken to run as long as others of its
//! Repository: one that was taken out of the queue, or that isn't started for an hour.

use std::collections::{BTreeSet, HashMap, VecDeque};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use pac_concurrency::{Entry, OrderKey, RunKey};

/// How long a run that has its slot here is waited for, that it be really started.
const STARTED_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// Beyond so many things that happened and are yet to be replayed, nothing is waited for: a bound on memory.
const MOST_FACTS: usize = 10_000;
/// Durations by which those that will never be known are guessed.
const DURATIONS: usize = 101;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Replay {
    limit: Option<usize>,
    /// How far it has come.
    clock: Timestamp,
    /// What happened since, in order.
    facts: VecDeque<(Timestamp, Fact)>,
    runs: HashMap<RunKey, Run>,
    waiting: BTreeSet<Entry>,
    /// Who runs, since when.
    slots: HashMap<RunKey, Timestamp>,
    durations: VecDeque<SignedDuration>,
}

#[derive(Debug)]
enum Fact {
    Arrives(RunKey),
    /// It runs, and never waited.
    Runs(RunKey),
    Leaves(RunKey),
    Limit(Option<usize>),
}

/// What is known of a run that isn't over here.
#[derive(Debug)]
struct Run {
    order: OrderKey,
    queued: Timestamp,
    /// When it was really started.
    started: Option<Timestamp>,
    /// When it was taken out of the queue.
    left: Option<Timestamp>,
    took: Option<SignedDuration>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Replayed {
    /// Who was started, when, after how long.
    pub(crate) starts: Vec<(Timestamp, SignedDuration)>,
    /// How many durations were guessed.
    pub(crate) assumed: u64,
}

// === impl Replay ===

impl Replay {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self {
            limit: None,
            clock: at,
            facts: VecDeque::new(),
            runs: HashMap::new(),
            waiting: BTreeSet::new(),
            slots: HashMap::new(),
            durations: VecDeque::new(),
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Option<usize>, at: Timestamp) {
        self.facts.push_back((at, Fact::Limit(limit)));
    }

    pub(crate) fn arrives(&mut self, entry: &Entry, at: Timestamp) {
        self.insert(&entry.run, entry.order, at, None);
        self.facts.push_back((at, Fact::Arrives(entry.run.clone())));
    }

    /// It has another place now.
    pub(crate) fn moves(&mut self, entry: &Entry) {
        let Some(run) = self.runs.get_mut(&entry.run) else { return };
        let before = std::mem::replace(&mut run.order, entry.order);
        if self.waiting.remove(&Entry::new(entry.run.clone(), before)) {
            self.waiting.insert(entry.clone());
        }
    }

    /// It runs, and was never seen to wait.
    pub(crate) fn runs(&mut self, entry: &Entry, at: Timestamp) {
        self.insert(&entry.run, entry.order, at, Some(at));
        self.facts.push_back((at, Fact::Runs(entry.run.clone())));
    }

    pub(crate) fn started(&mut self, run: &RunKey, at: Timestamp) {
        if let Some(run) = self.runs.get_mut(run) {
            run.started = Some(at);
        }
    }

    pub(crate) fn ended(&mut self, run: &RunKey, at: Timestamp) {
        let Some(known) = self.runs.get_mut(run) else { return };
        let Some(started) = known.started else { return };
        let took = at.duration_since(started);
        known.took.get_or_insert(took);
        self.durations.push_back(took);
        if self.durations.len() > DURATIONS {
            self.durations.pop_front();
        }
    }

    /// It was taken out of the queue without having been started.
    pub(crate) fn leaves(&mut self, run: &RunKey, at: Timestamp) {
        if let Some(known) = self.runs.get_mut(run) {
            known.left = Some(at);
            self.facts.push_back((at, Fact::Leaves(run.clone())));
        }
    }

    /// Goes on as far as what is known by `now` decides.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Replayed {
        let mut replayed = Replayed::default();
        loop {
            self.start(&mut replayed);
            replayed.assumed += self.assume(now);
            let known = self.slots.iter().filter_map(|(run, from)| Some((*from + self.runs.get(run)?.took?, run)));
            let end = known.min().map(|(end, run)| (end.max(self.clock), run.clone()));
            let fact = self.facts.front().map(|(at, _)| *at);
            let next = [end.as_ref().map(|(end, _)| *end), fact].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= now) else { return replayed };
            if self.is_full() && self.may_end_before(next, now) {
                return replayed;
            }
            self.clock = next;
            match end {
                Some((end, run)) if fact.is_none_or(|fact| end <= fact) => {
                    self.slots.remove(&run);
                    self.runs.remove(&run);
                }
                _ => {
                    if let Some((_, fact)) = self.facts.pop_front() {
                        self.take_in(fact);
                    }
                }
            }
        }
    }

    fn insert(&mut self, run: &RunKey, order: OrderKey, queued: Timestamp, started: Option<Timestamp>) {
        self.runs.insert(run.clone(), Run { order, queued, started, left: None, took: None });
    }

    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.slots.len() >= limit)
    }

    /// Starts whoever fits.
    fn start(&mut self, replayed: &mut Replayed) {
        while !self.is_full()
            && let Some(entry) = self.waiting.pop_first()
        {
            if let Some(run) = self.runs.get(&entry.run) {
                replayed.starts.push((self.clock, self.clock.duration_since(run.queued)));
                self.slots.insert(entry.run, self.clock);
            }
        }
    }

    fn take_in(&mut self, fact: Fact) {
        match fact {
            Fact::Limit(limit) => self.limit = limit,
            Fact::Arrives(run) => {
                if let Some(known) = self.runs.get(&run) {
                    self.waiting.insert(Entry::new(run, known.order));
                }
            }
            Fact::Runs(run) => {
                if self.runs.contains_key(&run) {
                    self.slots.insert(run, self.clock);
                }
            }
            Fact::Leaves(run) => {
                if let Some(known) = self.runs.get(&run)
                    && self.waiting.remove(&Entry::new(run.clone(), known.order))
                {
                    self.runs.remove(&run);
                }
            }
        }
    }

    /// Whether a run that still runs really, or is yet to, may be over here by then.
    fn may_end_before(&self, then: Timestamp, now: Timestamp) -> bool {
        let unknown = self.slots.iter().filter_map(|(run, from)| Some((from, self.runs.get(run)?)));
        let mut unknown = unknown.filter(|(_, run)| run.took.is_none());
        unknown.any(|(from, run)| {
            let so_far = run.started.map_or(SignedDuration::ZERO, |started| now.duration_since(started));
            *from + so_far < then
        })
    }

    /// Guesses the durations that nobody will ever tell; says how many.
    fn assume(&mut self, now: Timestamp) -> u64 {
        let (durations, crowded) = (&self.durations, self.facts.len() > MOST_FACTS);
        let mut assumed = 0;
        for (run, from) in &self.slots {
            let Some(run) = self.runs.get_mut(run).filter(|run| run.took.is_none()) else { continue };
            let took = match run.left {
                // One that was running by then would have been stopped.
                Some(left) => usual(durations).min(left.duration_since(*from).max(SignedDuration::ZERO)),
                None if crowded || run.started.is_none() && now.duration_since(*from) > STARTED_WITHIN => {
                    usual(durations)
                }
                None => continue,
            };
            run.took = Some(took);
            assumed += 1;
        }
        assumed
    }
}

/// The median.
fn usual(durations: &VecDeque<SignedDuration>) -> SignedDuration {
    let mut durations: Vec<_> = durations.iter().copied().collect();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or(SignedDuration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{at, entry};

    fn replay(limit: usize) -> Replay {
        let mut replay = Replay::new(at(0));
        replay.set_limit(Some(limit), at(0));
        replay
    }

    /// When each would have started, in seconds, and after how long.
    fn starts(replayed: &Replayed) -> Vec<(i64, i64)> {
        replayed.starts.iter().map(|(start, waited)| (start.as_second(), waited.as_secs())).collect()
    }

    fn ran(replay: &mut Replay, number: i64, from: i64, to: i64) {
        replay.started(&entry(number).run, at(from));
        replay.ended(&entry(number).run, at(to));
    }

    #[test]
    fn a_slot_is_handed_on_at_once_and_each_runs_as_long_as_it_did() {
        let mut replay = replay(1);
        (1..=3).for_each(|number| replay.arrives(&entry(number), at(number)));
        ran(&mut replay, 1, 5, 15);
        ran(&mut replay, 2, 40, 45);
        ran(&mut replay, 3, 90, 95);
        let replayed = replay.advance(at(100));
        assert_eq!(starts(&replayed), [(1, 0), (11, 9), (16, 13)]);
        assert_eq!(replayed.assumed, 0);
    }

    #[test]
    fn it_goes_as_far_as_what_is_known_decides() {
        let mut replay = replay(1);
        replay.arrives(&entry(1), at(1));
        replay.arrives(&entry(2), at(2));
        assert_eq!(starts(&replay.advance(at(50))), [(1, 0)], "how long the first runs isn't known yet");
        replay.started(&entry(1).run, at(60));
        assert_eq!(starts(&replay.advance(at(65))), []);
        replay.ended(&entry(1).run, at(70));
        assert_eq!(starts(&replay.advance(at(70))), [(11, 9)]);
    }

    #[test]
    fn with_room_for_all_nothing_is_waited_for() {
        let mut replay = replay(2);
        replay.arrives(&entry(1), at(1));
        replay.arrives(&entry(2), at(5));
        assert_eq!(starts(&replay.advance(at(9))), [(1, 0), (5, 0)]);
    }

    #[test]
    fn who_comes_first_by_place_is_first_and_a_place_may_change() {
        let mut replay = replay(1);
        replay.runs(&entry(0), at(0));
        replay.arrives(&entry(2), at(1));
        replay.arrives(&entry(3), at(2));
        let first = Entry::new(entry(3).run, entry(1).order);
        replay.moves(&first);
        replay.ended(&entry(0).run, at(10));
        assert_eq!(starts(&replay.advance(at(10))), [(10, 8)], "the one that came at 2");
    }

    #[test]
    fn what_nobody_will_ever_tell_is_guessed_by_others() {
        let mut replay = replay(1);
        replay.arrives(&entry(1), at(1));
        ran(&mut replay, 1, 1, 7);
        replay.arrives(&entry(2), at(10));
        replay.arrives(&entry(3), at(11));
        assert_eq!(starts(&replay.advance(at(20))), [(1, 0), (10, 0)]);
        let much_later = 10 + STARTED_WITHIN.as_secs() + 1;
        let replayed = replay.advance(at(much_later));
        assert_eq!((starts(&replayed), replayed.assumed), (vec![(16, 5)], 1));
    }

    #[test]
    fn one_that_was_taken_out_of_the_queue_ends_by_then() {
        let mut replay = replay(1);
        replay.arrives(&entry(1), at(1));
        ran(&mut replay, 1, 1, 101);
        replay.advance(at(101));
        replay.arrives(&entry(2), at(110));
        replay.arrives(&entry(3), at(111));
        replay.arrives(&entry(4), at(112));
        replay.leaves(&entry(3).run, at(120));
        replay.leaves(&entry(2).run, at(130));
        let replayed = replay.advance(at(200));
        assert_eq!((starts(&replayed), replayed.assumed), (vec![(110, 0), (130, 18)], 1));
    }

    #[test]
    fn memory_is_bounded_though_one_never_ends() {
        let mut replay = replay(1);
        for number in 0..20_000 {
            replay.arrives(&entry(number), at(number));
            replay.leaves(&entry(number).run, at(number));
            replay.advance(at(number));
        }
        assert!(replay.facts.len() <= MOST_FACTS + 1, "{}", replay.facts.len());
        assert!(replay.runs.len() <= MOST_FACTS, "{}", replay.runs.len());
    }

    #[test]
    fn a_lowered_limit_drains() {
        let mut replay = replay(2);
        [1, 2].iter().for_each(|number| replay.runs(&entry(*number), at(0)));
        replay.arrives(&entry(3), at(1));
        replay.set_limit(Some(1), at(2));
        replay.ended(&entry(1).run, at(10));
        replay.ended(&entry(2).run, at(20));
        assert_eq!(starts(&replay.advance(at(30))), [(20, 19)]);
    }
}
