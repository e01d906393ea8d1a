//! What a store holds, and what a change makes of it: the contract of `pac_concurrency::driver`, as simply as it can be put.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{
    Delta, DriverError, Entry, Holder, Renewal, RepositoryKey, RunKey, Slot, Snapshot, Version, Window,
};
use rand::Rng;
use tokio::time::Instant;

use super::Versions;

/// Copies share what is the same in both: a standby costs next to nothing.
#[derive(Debug, Clone)]
pub(super) struct Records {
    versions: Versions,
    last_version: u64,
    repositories: BTreeMap<RepositoryKey, Arc<Repository>>,
    /// When the lease of each holder ends.
    leases: BTreeMap<Holder, Instant>,
}

/// A Repository's slots and queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Repository {
    version: u64,
    slots: BTreeMap<RunKey, (Entry, Holder)>,
    waiting: BTreeMap<RunKey, Entry>,
    history: Option<String>,
}

// === impl Records ===

impl Records {
    pub(super) fn new(versions: Versions) -> Self {
        Self { versions, last_version: 0, repositories: BTreeMap::new(), leases: BTreeMap::new() }
    }

    pub(super) fn load(&self, repository: &RepositoryKey, window: Window, now: Instant) -> Snapshot {
        let Some(found) = self.repositories.get(repository) else { return Snapshot::empty() };
        let slot = |(run, (entry, holder)): (&RunKey, &(Entry, Holder))| {
            let lapsed = !self.is_alive(holder, now);
            (run.clone(), Slot { entry: entry.clone(), holder: holder.clone(), lapsed })
        };
        let mut waiting: Vec<Entry> = found.waiting.values().cloned().collect();
        waiting.sort();
        waiting.truncate(window.size());
        Snapshot {
            version: Version::new(found.version),
            slots: found.slots.iter().map(slot).collect(),
            whole: waiting.len() == found.waiting.len(),
            waiting: waiting.into_iter().collect(),
            waiting_count: found.waiting.len(),
            corrupt: Vec::new(),
        }
    }

    pub(super) fn commit(
        &mut self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        let found = self.repositories.get(repository);
        if found.map_or(Version::NONE, |found| Version::new(found.version)) != expected {
            return Err(DriverError::Conflict);
        }
        let mut changed = found.map(|found| Repository::clone(found)).unwrap_or_default();
        changed.apply(holder, delta);
        changed.version = self.next_version();
        let version = Version::new(changed.version);
        self.repositories.insert(repository.clone(), Arc::new(changed));
        Ok(version)
    }

    pub(super) fn of(&self, repository: &RepositoryKey) -> Arc<Repository> {
        self.repositories.get(repository).cloned().unwrap_or_default()
    }

    pub(super) fn begin(&mut self, holder: &Holder, until: Instant) {
        self.leases.insert(holder.clone(), until);
    }

    pub(super) fn renew(&mut self, holder: &Holder, now: Instant, ttl: Duration) -> Renewal {
        if !self.is_alive(holder, now) {
            return Renewal::Lost;
        }
        self.leases.insert(holder.clone(), now + ttl);
        Renewal::Renewed
    }

    pub(super) fn end(&mut self, holder: &Holder) {
        self.leases.remove(holder);
    }

    pub(super) fn end_leases(&mut self) {
        self.leases.clear();
    }

    pub(super) fn holders(&self, now: Instant) -> Vec<Holder> {
        self.leases.keys().filter(|holder| self.is_alive(holder, now)).cloned().collect()
    }

    pub(super) fn repositories(&self) -> Vec<RepositoryKey> {
        self.repositories.keys().cloned().collect()
    }

    pub(super) fn forget(&mut self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        let version = self.repositories.get(repository).map_or(Version::NONE, |found| Version::new(found.version));
        if version != expected {
            return Err(DriverError::Conflict);
        }
        self.repositories.remove(repository);
        // What is forgotten takes a revision, too.
        self.next_version();
        Ok(())
    }

    pub(super) fn write_history(&mut self, repository: &RepositoryKey, history: String) {
        if let Some(found) = self.repositories.get_mut(repository) {
            Arc::make_mut(found).history = Some(history);
        }
    }

    pub(super) fn history(&self, repository: &RepositoryKey) -> Option<String> {
        self.repositories.get(repository)?.history.clone()
    }

    pub(super) fn count(&self) -> (usize, usize) {
        let all = self.repositories.values();
        all.fold((0, 0), |(slots, waiting), one| (slots + one.slots.len(), waiting + one.waiting.len()))
    }

    /// Whether the run with this uid has a slot.
    pub(super) fn holds(&self, uid: &str) -> bool {
        self.repositories.values().any(|one| one.slots.keys().any(|run| run.uid() == uid))
    }

    /// The uids of the runs that have a slot.
    pub(super) fn held(&self) -> BTreeSet<String> {
        let runs = self.repositories.values().flat_map(|one| one.slots.keys());
        runs.map(|run| run.uid().to_owned()).collect()
    }

    /// Whether `holder` had a lease, and it has run out.
    pub(super) fn has_run_out(&self, holder: &Holder, now: Instant) -> bool {
        self.leases.get(holder).is_some_and(|until| *until <= now)
    }

    /// The paths of the runs that wait here, and don't in `now`.
    pub(super) fn waiting_no_more(&self, now: &Self) -> Vec<String> {
        let changed = self.repositories.iter().filter_map(|(key, before)| {
            let now = now.repositories.get(key);
            (!now.is_some_and(|now| Arc::ptr_eq(before, now))).then_some((before, now))
        });
        let gone = changed.flat_map(|(before, now)| {
            before.waiting.keys().filter(move |run| !now.is_some_and(|now| now.waiting.contains_key(*run)))
        });
        gone.map(|run| run.path().to_owned()).collect()
    }

    /// Whether a run of this path waits.
    pub(super) fn has_waiting(&self, path: &str) -> bool {
        self.repositories.values().any(|one| one.waiting.keys().any(|run| run.path() == path))
    }

    pub(super) fn told(&self) -> String {
        let mut told = String::new();
        for (key, one) in &self.repositories {
            for (run, (_, holder)) in &one.slots {
                // Writing to a String can't fail.
                let _ = writeln!(told, "{key}: {run} has a slot by {holder}");
            }
            for run in one.waiting.keys() {
                let _ = writeln!(told, "{key}: {run} waits");
            }
        }
        told
    }

    fn is_alive(&self, holder: &Holder, now: Instant) -> bool {
        self.leases.get(holder).is_some_and(|until| *until > now)
    }

    fn next_version(&mut self) -> u64 {
        self.last_version = match self.versions {
            Versions::Random => rand::rng().random_range(1..=i64::MAX.unsigned_abs()),
            Versions::Counted => self.last_version + 1,
        };
        self.last_version
    }
}

// === impl Repository ===

impl Repository {
    pub(super) fn has_slot(&self, run: &RunKey) -> bool {
        self.slots.contains_key(run)
    }

    /// Whether a run has a slot or a place in the queue.
    pub(super) fn has(&self, run: &RunKey) -> bool {
        self.has_slot(run) || self.waiting.contains_key(run)
    }

    pub(super) fn holding(&self) -> impl Iterator<Item = &RunKey> {
        self.slots.keys()
    }

    /// The run's place, kept with its slot.
    pub(super) fn slot(&self, run: &RunKey) -> Option<&Entry> {
        self.slots.get(run).map(|(entry, _)| entry)
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.values()
    }

    fn apply(&mut self, holder: &Holder, delta: &Delta) {
        for run in &delta.release {
            self.slots.remove(run);
            self.waiting.remove(run);
        }
        for run in &delta.give_back {
            if let Some((entry, _)) = self.slots.remove(run) {
                self.waiting.insert(run.clone(), entry);
            }
        }
        for entry in &delta.enqueue {
            if !self.slots.contains_key(&entry.run) {
                self.waiting.entry(entry.run.clone()).or_insert_with(|| entry.clone());
            }
        }
        for entry in &delta.hold {
            let waited = self.waiting.remove(&entry.run);
            let place = waited.unwrap_or_else(|| entry.clone());
            let slot = self.slots.entry(entry.run.clone()).or_insert_with(|| (place, holder.clone()));
            slot.1 = holder.clone();
        }
    }
}
