//! The promises, as each step is judged by them. What is broken stays so.

use pac_concurrency::{Delta, Entry, OrderKey, RunKey, Snapshot};

use super::System;
use crate::cluster::{Id, Life, Started};
use crate::watcher::holder;

/// What is broken: a promise, and how.
pub(crate) type Breach = (&'static str, &'static str);

/// The promises that are judged in every state.
pub(crate) const PROMISES: [&str; 6] = ["P1", "P2", "P3", "P5", "P6", "P7"];

// === impl System ===

impl System {
    /// P7: who asks something of the store has a lease.
    pub(crate) fn judge_pass(&mut self, by: u8) {
        if self.lease_of(by) == 0 {
            self.breach = Some(("P7", "a watcher makes a pass whose lease has run out"));
        }
    }

    /// What a commit made of the store as it was `before`, by a watcher that `believed` in that limit.
    pub(super) fn judge_commit(&mut self, before: &Snapshot, delta: &Delta, by: u8) {
        self.judge_ends(before, delta);
        self.judge_admission(before, delta, self.watching(by).watcher.limit);
        self.judge_order(before, delta, by);
        self.judge_what_stays(before, delta);
    }

    /// P5: what goes is over.
    fn judge_ends(&mut self, before: &Snapshot, delta: &Delta) {
        for run in &delta.release {
            let moves = delta.enqueue.iter().any(|entry| entry.run == *run);
            let is_alive = match self.cluster.life(Id::of(run)) {
                Life::Pending => true,
                Life::Running => before.slots.contains_key(run),
                _ => false,
            };
            if !moves && is_alive {
                self.breach = Some(("P5", "the slot or place of a run goes that isn't over"));
            }
        }
        for run in &delta.give_back {
            if self.cluster.life(Id::of(run)) == Life::Running {
                self.breach = Some(("P5", "the slot of a run that runs is given back"));
            }
        }
    }

    /// P1: who gets a slot fits the limit, as far as it is `believed`. P3: it passes nobody that waits.
    fn judge_admission(&mut self, before: &Snapshot, delta: &Delta, believed: u8) {
        let admitted = delta.hold.iter().filter(|entry| !before.slots.contains_key(&entry.run));
        for entry in admitted.filter(|entry| self.cluster.life(Id::of(&entry.run)) == Life::Pending) {
            if believed > 0 && self.store.slots.len() > usize::from(believed) {
                self.breach = Some(("P1", "there are more slots than the limit"));
            }
            let waits =
                |other: &Entry| self.cluster.life(Id::of(&other.run)) == Life::Pending && !self.was_refused(&other.run);
            if self.store.waiting.iter().any(|other| place(other) < place(entry) && waits(other)) {
                self.breach = Some(("P3", "a run gets a slot before an older one that waits"));
            }
        }
    }

    /// P3: who gives a slot back, since not all fit any longer, gives those of younger runs back as well, if it may yet start them.
    fn judge_order(&mut self, before: &Snapshot, delta: &Delta, by: u8) {
        let watcher = &self.watching(by).watcher;
        let given_back = delta.give_back.iter().filter_map(|run| before.slots.get(run));
        let first = given_back.map(|slot| &slot.entry).filter(|entry| !self.was_refused(&entry.run)).min();
        let may_start = |run: &RunKey| {
            let is_its_own = before.slots[run].holder == holder(watcher.holder);
            is_its_own && self.cluster.life(Id::of(run)) == Life::Pending && !watcher.may_be_started(run)
        };
        let left =
            self.store.slots.values().map(|slot| &slot.entry).filter(|entry| before.slots.contains_key(&entry.run));
        if left.filter(|entry| first.is_some_and(|first| first < entry)).any(|entry| may_start(&entry.run)) {
            self.breach = Some(("P3", "the slot of a run is given back, and a younger one keeps its own"));
        }
    }

    /// P6: who has a slot keeps it, who waits keeps its place or gets a slot, whatever else is changed and whoever died meanwhile.
    fn judge_what_stays(&mut self, before: &Snapshot, delta: &Delta) {
        let goes = |entry: &Entry| delta.release.contains(&entry.run);
        let is_there = |entry: &Entry| {
            let has_slot = self.store.slots.get(&entry.run).is_some_and(|slot| slot.entry == *entry);
            has_slot || self.store.waiting.contains(entry)
        };
        if self.store.waiting.iter().any(|entry| self.store.slots.contains_key(&entry.run)) {
            self.breach = Some(("P6", "a run has a slot, and waits for one"));
        }
        let entries = before.slots.values().map(|slot| &slot.entry).chain(&before.waiting);
        if entries.filter(|entry| !goes(entry)).any(|entry| !is_there(entry)) {
            self.breach = Some(("P6", "a slot or a place in the queue is lost"));
        }
    }

    /// Whether a start of that name was refused, so that others may pass it.
    fn was_refused(&self, run: &RunKey) -> bool {
        self.budget.refused & (1 << Id::of(run).name) != 0
    }

    /// P1: who is started has a slot, and doesn't exceed the limit. P2: it was pending, and that very run.
    pub(super) fn judge_start(&mut self, id: Id, limit: u8, started: Started) {
        match started {
            Started::No => return,
            Started::AgainstAWish => {
                self.breach = Some(("P2", "a start undid a wish, or started a run twice"));
                return;
            }
            Started::Yes => {}
        }
        // Who hasn't heard of a lower limit yet goes by the one before.
        let number = |limit: u8| if limit == 0 { usize::MAX } else { usize::from(limit) };
        let by_watchers = self.watchers.iter().flat_map(|watching| watching.watcher.limits());
        let by_starts = self.starts.iter().map(|start| start.limit);
        let limits = by_watchers.chain(by_starts).chain([limit, self.cluster.limit]);
        let is_excused = self.excused & (1 << id.name) != 0;
        if number(limit) > number(self.cluster.limit) {
            self.excused |= self.store.slots.keys().fold(0, |names, run| names | 1 << Id::of(run).name);
        }
        if self.cluster.running() > limits.map(number).max().unwrap_or_default() && !is_excused {
            self.breach = Some(("P1", "more run than the limit"));
        } else if !self.store.slots.contains_key(&id.key()) {
            self.breach = Some(("P1", "a run was started without a slot"));
        }
    }
}

fn place(entry: &Entry) -> (OrderKey, &str) {
    (entry.order, entry.run.name())
}
