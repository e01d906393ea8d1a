//! The state of one repository, and how a delta changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pac_concurrency::{Delta, Entry, Holder, RunKey, Slot, Snapshot, Version, Window};

/// One repository. A run is in `slots` or in `waiting`, never in both.
#[derive(Debug)]
pub(crate) struct Repository {
    version: Version,
    slots: BTreeMap<RunKey, (Entry, Holder)>,
    waiting: BTreeSet<Entry>,
    // Where in `waiting` a run is: its entry, found without a search.
    places: HashMap<RunKey, Entry>,
    forgotten: bool,
}

// === impl Repository ===

impl Repository {
    pub(crate) fn new(version: Version, holder: &Holder, delta: &Delta) -> Self {
        let (slots, waiting, places) = (BTreeMap::new(), BTreeSet::new(), HashMap::new());
        let mut new = Self { version, slots, waiting, places, forgotten: false };
        new.apply(version, holder, delta);
        new
    }

    /// Whether a change expecting `version` may be made to it.
    pub(crate) fn is_at(&self, version: Version) -> bool {
        !self.forgotten && self.version == version
    }

    /// Has whoever still holds on to it, while it is removed from the store, find it unknown and unchangeable.
    pub(crate) fn forget(&mut self) {
        self.forgotten = true;
    }

    pub(crate) fn snapshot(&self, window: Window, is_alive: impl Fn(&Holder) -> bool) -> Snapshot {
        if self.forgotten {
            return Snapshot::empty();
        }
        let slot = |(entry, holder): &(Entry, Holder)| Slot {
            entry: entry.clone(),
            holder: holder.clone(),
            lapsed: !is_alive(holder),
        };
        let waiting: BTreeSet<Entry> = self.waiting.iter().take(window.size()).cloned().collect();
        Snapshot {
            version: self.version,
            slots: self.slots.iter().map(|(run, held)| (run.clone(), slot(held))).collect(),
            whole: waiting.len() == self.waiting.len(),
            waiting,
            waiting_count: self.waiting.len(),
            corrupt: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, version: Version, holder: &Holder, delta: &Delta) {
        self.version = version;
        for run in &delta.release {
            self.slots.remove(run);
            self.leave_queue(run);
        }
        for run in &delta.give_back {
            if let Some((entry, _)) = self.slots.remove(run) {
                self.join_queue(&entry);
            }
        }
        for entry in &delta.enqueue {
            if !self.slots.contains_key(&entry.run) && !self.places.contains_key(&entry.run) {
                self.join_queue(entry);
            }
        }
        for entry in &delta.hold {
            // The place it had in the queue stays with the slot, should it ever be given back.
            let entry = self.leave_queue(&entry.run).unwrap_or_else(|| entry.clone());
            let slot = self.slots.entry(entry.run.clone()).or_insert_with(|| (entry, holder.clone()));
            slot.1 = holder.clone();
        }
    }

    fn join_queue(&mut self, entry: &Entry) {
        self.waiting.insert(entry.clone());
        self.places.insert(entry.run.clone(), entry.clone());
    }

    fn leave_queue(&mut self, run: &RunKey) -> Option<Entry> {
        let entry = self.places.remove(run)?;
        self.waiting.take(&entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever found it right before it was removed from the store holds on to it.
    #[test]
    fn one_that_is_forgotten_is_unknown_and_unchangeable_to_whoever_holds_on_to_it() {
        let (version, holder) = (Version::new(1), Holder::new("holder"));
        let mut repository = Repository::new(version, &holder, &Delta::default());
        assert!(repository.is_at(version));
        repository.forget();
        assert!(!repository.is_at(version) && !repository.is_at(Version::NONE));
        assert_eq!(repository.snapshot(Window::Whole, |_| true), Snapshot::empty());
    }
}
