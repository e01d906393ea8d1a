//! The promises, as each step is judged by them. What is broken stays so.

use pac_concurrency::{Delta, Entry, OrderKey, Snapshot};

use super::System;
use crate::cluster::{Id, Life, Started};

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
    pub(super) fn judge_commit(&mut self, before: &Snapshot, delta: &Delta, believed: u8) {
        self.judge_ends(before, delta);
        self.judge_admission(before, delta, believed);
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
            let waits = |other: &Entry| {
                let id = Id::of(&other.run);
                self.cluster.life(id) == Life::Pending && self.budget.refused & (1 << id.name) == 0
            };
            if self.store.waiting.iter().any(|other| place(other) < place(entry) && waits(other)) {
                self.breach = Some(("P3", "a run gets a slot before an older one that waits"));
            }
        }
    }

    /// P6: who has a slot keeps it, who waits keeps its place or gets a slot, whatever else is changed and whoever died meanwhile.
    fn judge_what_stays(&mut self, before: &Snapshot, delta: &Delta) {
        let goes = |entry: &Entry| delta.release.contains(&entry.run);
        let is_there = |entry: &Entry| {
            let has_slot = self.store.slots.get(&entry.run).is_some_and(|slot| slot.entry == *entry);
            has_slot || self.store.waiting.contains(entry)
        };
        let entries = before.slots.values().map(|slot| &slot.entry).chain(&before.waiting);
        if entries.filter(|entry| !goes(entry)).any(|entry| !is_there(entry)) {
            self.breach = Some(("P6", "a slot or a place in the queue is lost"));
        }
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
