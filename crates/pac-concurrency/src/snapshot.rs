//! What a store says about one repository at one instant.

use std::collections::{BTreeMap, BTreeSet};

use crate::delta::Delta;
use crate::key::RunKey;
use crate::lease::Holder;
use crate::order::Entry;
use crate::slot::Slot;

/// The state a repository is in, as far as a commit's precondition goes. Opaque; never used again for another state of
/// the same repository, not even after the repository was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(u64);

/// How much of a queue to load. Slots are always loaded whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The first so many of those waiting.
    First(usize),
    /// All of them.
    Whole,
}

/// A record that is not what it should be: left out of the snapshot, and reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptRecord {
    /// The row or key, so that a person can look at it.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// A consistent view of one repository in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state this is; what a commit on top of it expects.
    pub version: Version,
    /// Every slot, by run.
    pub slots: BTreeMap<RunKey, Slot>,
    /// The head of the queue, in order, as far as the window reached.
    pub waiting: BTreeSet<Entry>,
    /// How many wait in all. Exact when loaded; an estimate after [`Snapshot::advance`].
    pub waiting_count: usize,
    /// Whether `waiting` is the whole queue.
    pub whole: bool,
    /// Records left out.
    pub corrupt: Vec<CorruptRecord>,
}

// === impl Version ===

impl Version {
    /// The version of a repository the store doesn't know.
    pub const NONE: Self = Self(0);

    /// The version with this number; a driver's business.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number; a driver's business.
    pub const fn number(self) -> u64 {
        self.0
    }
}

// === impl Window ===

impl Window {
    /// The most entries to load.
    pub fn size(self) -> usize {
        match self {
            Self::First(size) => size,
            Self::Whole => usize::MAX,
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// A repository the store knows nothing of.
    pub fn empty() -> Self {
        Self {
            version: Version::NONE,
            slots: BTreeMap::new(),
            waiting: BTreeSet::new(),
            waiting_count: 0,
            whole: true,
            corrupt: Vec::new(),
        }
    }

    /// What the store says once `delta`, committed by `holder`, made it `version`: so that the next pass needs no load.
    pub fn advance(&mut self, version: Version, holder: &Holder, delta: &Delta) {
        self.version = version;
        // Who had a slot is not in the queue.
        let leaving = delta.release.iter().filter(|run| self.slots.remove(*run).is_none()).collect();
        self.leave_queue(&leaving);
        for run in &delta.give_back {
            if let Some(slot) = self.slots.remove(run) {
                self.insert_waiting(slot.entry);
            }
        }
        self.join_queue(&delta.enqueue);
        // Mostly one gets a slot at the place one waits at; who doesn't is looked for.
        let elsewhere = delta.hold.iter().filter(|entry| !self.remove_waiting(entry)).map(|entry| &entry.run).collect();
        let mut found = self.leave_queue(&elsewhere);
        for entry in &delta.hold {
            // As in the store, the place it had stays with the slot, and a slot that was there changes its holder alone.
            let entry = found.remove(&entry.run).unwrap_or_else(|| entry.clone());
            self.slots
                .entry(entry.run.clone())
                .and_modify(|old| {
                    old.holder = holder.clone();
                    old.lapsed = false;
                })
                .or_insert_with(|| Slot { entry, holder: holder.clone(), lapsed: false });
        }
    }

    /// Keeps at most `size` entries of the queue's head.
    pub fn shrink(&mut self, size: usize) {
        while self.waiting.len() > size {
            self.waiting.pop_last();
            self.whole = false;
        }
    }

    fn remove_waiting(&mut self, entry: &Entry) -> bool {
        let was_there = self.waiting.remove(entry);
        self.waiting_count = self.waiting_count.saturating_sub(usize::from(was_there));
        was_there
    }

    /// One walk along the queue, however many leave it: those that were there.
    fn leave_queue(&mut self, leaving: &BTreeSet<&RunKey>) -> BTreeMap<RunKey, Entry> {
        if leaving.is_empty() {
            return BTreeMap::new();
        }
        let gone = self.waiting.extract_if(.., |entry| leaving.contains(&entry.run));
        let gone: BTreeMap<_, _> = gone.map(|entry| (entry.run.clone(), entry)).collect();
        self.waiting_count = self.waiting_count.saturating_sub(gone.len());
        gone
    }

    /// Likewise. Who has a slot or an entry already keeps it.
    fn join_queue(&mut self, joining: &[Entry]) {
        if joining.is_empty() {
            return;
        }
        let mut new = BTreeMap::new();
        for entry in joining.iter().filter(|entry| !self.slots.contains_key(&entry.run)) {
            new.entry(&entry.run).or_insert(entry);
        }
        for waiting in &self.waiting {
            new.remove(&waiting.run);
        }
        new.into_values().for_each(|entry| self.insert_waiting(entry.clone()));
    }

    fn insert_waiting(&mut self, entry: Entry) {
        self.waiting_count += 1;
        // Behind the window's end there may be others before it: it is not known to be next.
        if self.whole || self.waiting.last().is_some_and(|last| entry < *last) {
            self.waiting.insert(entry);
        }
    }
}
