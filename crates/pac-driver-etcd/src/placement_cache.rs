//! What this driver knows of a repository at one version, and what a change makes of it.
//!
//! A commit compares the version, so what was so at the expected version is so when the commit takes effect: whatever a
//! change does depends on, it can be worked out here, and etcd is told no more than which keys to put and which to delete.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use pac_concurrency::{Delta, Holder, OrderKey, RepositoryKey, RunKey, Snapshot, Version};

/// Waiting runs remembered per repository; the rest is looked up when it matters.
const WAITING_MAX: usize = 1_000;
/// Runs remembered of all repositories together.
const RUNS_MAX: u64 = 200_000;

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not in the store.
    Absent,
    /// In the queue.
    Waiting(OrderKey),
    /// In a slot, with the place it had.
    Held(OrderKey, Holder),
}

/// A run that a change moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) run: RunKey,
    pub(crate) from: Place,
    pub(crate) to: Place,
}

/// Where the runs of one repository are.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlacementCache {
    places: HashMap<RunKey, Place>,
    /// Whether a run that is not in `places` is not in the store either.
    whole: bool,
}

/// What is known of repositories, each at the version it was last seen at. Forgetting any of it costs a round trip.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Cache<RepositoryKey, Arc<Remembered>>);

#[derive(Debug)]
struct Remembered {
    version: Version,
    known: Mutex<Option<PlacementCache>>,
    weight: u32,
}

// === impl PlacementCache ===

impl PlacementCache {
    /// Of a repository that is not in the store.
    pub(crate) fn nothing_stored() -> Self {
        Self { places: HashMap::new(), whole: true }
    }

    /// Of a repository as it was loaded.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let held = snapshot
            .slots
            .values()
            .map(|slot| (slot.entry.run.clone(), Place::Held(slot.entry.order, slot.holder.clone())));
        let waiting = snapshot.waiting.iter().take(WAITING_MAX);
        let waiting = waiting.map(|entry| (entry.run.clone(), Place::Waiting(entry.order)));
        let whole = snapshot.whole && snapshot.waiting.len() <= WAITING_MAX;
        Self { places: held.chain(waiting).collect(), whole }
    }

    /// The runs of `delta` that have to be looked up, each once.
    pub(crate) fn missing<'d>(&self, delta: &'d Delta) -> Vec<&'d RunKey> {
        if self.whole {
            return Vec::new();
        }
        let mut missing: Vec<&RunKey> = runs(delta).filter(|run| !self.places.contains_key(run)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// That `run` is at `place`.
    pub(crate) fn learn(&mut self, run: RunKey, place: Place) {
        self.places.insert(run, place);
    }

    /// Changes it by `delta` on behalf of `holder`, and says which runs moved. Nothing `delta` names may be
    /// [missing](PlacementCache::missing).
    pub(crate) fn apply(&mut self, holder: &Holder, delta: &Delta) -> Vec<Moved> {
        let before: BTreeMap<RunKey, Place> = runs(delta).map(|run| (run.clone(), self.place(run))).collect();
        for run in &delta.release {
            self.places.remove(run);
        }
        for run in &delta.give_back {
            if let Place::Held(order, _) = self.place(run) {
                self.learn(run.clone(), Place::Waiting(order));
            }
        }
        for entry in &delta.enqueue {
            if self.place(&entry.run) == Place::Absent {
                self.learn(entry.run.clone(), Place::Waiting(entry.order));
            }
        }
        for entry in &delta.hold {
            // The place it had in the queue stays with the slot, should it ever be given back.
            let order = match self.place(&entry.run) {
                Place::Absent => entry.order,
                Place::Waiting(order) | Place::Held(order, _) => order,
            };
            self.learn(entry.run.clone(), Place::Held(order, holder.clone()));
        }
        let mut moved = Vec::new();
        for (run, from) in before {
            let to = self.place(&run);
            if to == Place::Absent {
                self.places.remove(&run);
            }
            if from != to {
                moved.push(Moved { run, from, to });
            }
        }
        moved
    }

    fn place(&self, run: &RunKey) -> Place {
        self.places.get(run).cloned().unwrap_or(Place::Absent)
    }
}

fn runs(delta: &Delta) -> impl Iterator<Item = &RunKey> {
    let entries = delta.enqueue.iter().chain(&delta.hold).map(|entry| &entry.run);
    delta.release.iter().chain(&delta.give_back).chain(entries)
}

// === impl Memory ===

impl Memory {
    pub(crate) fn new() -> Self {
        let weigh = |_: &RepositoryKey, remembered: &Arc<Remembered>| remembered.weight;
        Self(Cache::builder().max_capacity(RUNS_MAX).weigher(weigh).build())
    }

    /// What is known of `repository` at `version`, no longer remembered: a commit changes it.
    pub(crate) fn take(&self, repository: &RepositoryKey, version: Version) -> PlacementCache {
        let remembered = self.0.remove(repository).filter(|remembered| remembered.version == version);
        let known = remembered.and_then(|it| it.known.lock().unwrap_or_else(PoisonError::into_inner).take());
        match known {
            Some(known) => known,
            None if version == Version::NONE => PlacementCache::nothing_stored(),
            None => PlacementCache::default(),
        }
    }

    /// That this is known of `repository` at `version`.
    pub(crate) fn keep(&self, repository: &RepositoryKey, version: Version, known: PlacementCache) {
        let weight = u32::try_from(known.places.len() + 1).unwrap_or(u32::MAX);
        let remembered = Remembered { version, known: Mutex::new(Some(known)), weight };
        self.0.insert(repository.clone(), Arc::new(remembered));
    }
}

#[cfg(test)]
mod tests {
    use pac_concurrency::Entry;

    use super::*;

    fn entry(name: &str, at: i64) -> Entry {
        Entry::new(RunKey::new("ns", name, "uid").unwrap(), OrderKey::alone(at))
    }

    #[test]
    fn a_run_enqueued_and_held_at_once_moves_once() {
        let holder = Holder::new("a");
        let delta = Delta { enqueue: vec![entry("x", 1)], hold: vec![entry("x", 2)], ..Delta::default() };
        let moved = PlacementCache::nothing_stored().apply(&holder, &delta);
        let to = Place::Held(OrderKey::alone(1), holder);
        assert_eq!(moved, [Moved { run: entry("x", 1).run, from: Place::Absent, to }]);
    }

    #[test]
    fn a_run_released_and_enqueued_at_once_changes_its_place() {
        let holder = Holder::new("a");
        let mut known = PlacementCache::nothing_stored();
        known.apply(&holder, &Delta { enqueue: vec![entry("x", 1)], ..Delta::default() });
        let delta = Delta { release: vec![entry("x", 1).run], enqueue: vec![entry("x", 2)], ..Delta::default() };
        let (from, to) = (Place::Waiting(OrderKey::alone(1)), Place::Waiting(OrderKey::alone(2)));
        assert_eq!(known.apply(&holder, &delta), [Moved { run: entry("x", 1).run, from, to }]);
    }

    #[test]
    fn only_what_may_be_there_is_looked_up() {
        let delta = Delta { release: vec![entry("x", 1).run, entry("x", 1).run], ..Delta::default() };
        assert!(PlacementCache::nothing_stored().missing(&delta).is_empty());
        let mut known = PlacementCache::default();
        assert_eq!(known.missing(&delta), [&entry("x", 1).run]);
        known.learn(entry("x", 1).run, Place::Absent);
        assert!(known.missing(&delta).is_empty());
    }

    #[test]
    fn memory_is_of_one_version_and_taken_once() {
        let (memory, repository) = (Memory::new(), "ns/repo".parse().unwrap());
        memory.keep(&repository, Version::new(7), PlacementCache::nothing_stored());
        assert!(memory.take(&repository, Version::new(7)).whole);
        assert!(!memory.take(&repository, Version::new(7)).whole);
        memory.keep(&repository, Version::new(7), PlacementCache::nothing_stored());
        assert!(!memory.take(&repository, Version::new(8)).whole);
    }
}
