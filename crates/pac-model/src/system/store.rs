//! The store, as the contract of a driver has it.

use pac_concurrency::{Delta, Snapshot, Version, Window};

use super::{Answer, System};
use crate::known::{Known, number_of};
use crate::watcher::{Outcome, holder};

// === impl System ===

impl System {
    /// A snapshot of it.
    pub(crate) fn load(&self, window: Window) -> Snapshot {
        let mut loaded = Snapshot::clone(&self.store);
        for slot in loaded.slots.values_mut() {
            slot.lapsed = self.leases[usize::from(number_of(&slot.holder))] == 0;
        }
        loaded.shrink(window.size());
        loaded
    }

    /// The change, if the version is the one expected.
    pub(crate) fn commit(&mut self, by: u8, expected: Version, delta: &Delta) -> Outcome {
        if self.store.version != expected {
            return Outcome::Conflict;
        }
        let committer = self.watching(by).watcher.holder;
        let number = self.unused_version();
        let mut store = Snapshot::clone(&self.store);
        store.advance(Version::new(number), &holder(committer), delta);
        for slot in store.slots.values_mut() {
            slot.lapsed = false;
        }
        let before = std::mem::replace(&mut self.store, Known::snapshot(store));
        for (number, watching) in (0..).zip(&mut self.watchers) {
            watching.has_news |= number != by;
        }
        self.judge_commit(&before, delta, by);
        Outcome::Done(number)
    }

    /// One that nobody remembers, and so as good as a new one.
    fn unused_version(&self) -> u64 {
        let mut known: Vec<u64> = vec![Version::NONE.number(), self.store.version.number()];
        for watching in &self.watchers {
            known.extend(watching.watcher.versions().map(Version::number));
            match &watching.answer {
                Some(Answer::Loaded(snapshot)) => known.push(snapshot.version.number()),
                Some(Answer::Committed(Outcome::Done(number))) => known.push(*number),
                _ => {}
            }
        }
        (1..).find(|number| !known.contains(number)).unwrap_or_default()
    }
}
