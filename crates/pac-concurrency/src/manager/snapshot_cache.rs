//! What the manager remembers between passes: per repository the last snapshot, since when it has seen others' slots, and
//! whether the limit was reached. Losing any of it costs a load, never a promise.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tracing::info;

use crate::key::{RepositoryKey, RunKey};
use crate::lease::Holder;
use crate::metrics;
use crate::protocol::STALL_AFTER;
use crate::slot::{Slot, SlotOwnership};
use crate::snapshot::{Snapshot, Version};

#[derive(Debug, Default)]
pub(super) struct CachedRepository {
    pub(super) snapshot: Option<Snapshot>,
    /// The version this watcher last saw or made.
    pub(super) version: Option<Version>,
    foreign_since: HashMap<RunKey, (Holder, Instant)>,
    at_limit: bool,
}

/// Tells what a slot of one snapshot is to this watcher.
#[derive(Debug)]
pub struct OwnershipView<'a> {
    holder: &'a Holder,
    foreign_since: &'a HashMap<RunKey, (Holder, Instant)>,
    stalled_before: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct SnapshotCache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    repositories: HashMap<RepositoryKey, Remembered>,
    taking_over_until: Option<Instant>,
}

/// One repository's, while no pass has it in hand.
#[derive(Debug, Default)]
struct Remembered {
    known: CachedRepository,
    /// A pass has it in hand.
    under_way: bool,
    /// Others changed it: what is remembered, or put back by the pass under way, is stale.
    invalid: bool,
    /// How many slots were taken at the last pass.
    held: Option<usize>,
}

// === impl CachedRepository ===

impl CachedRepository {
    pub(super) fn ownership<'a>(
        &'a mut self,
        snapshot: &Snapshot,
        holder: &'a Holder,
        all: &SnapshotCache,
    ) -> OwnershipView<'a> {
        let foreign = |slot: &Slot| slot.holder != *holder;
        // Mostly there is no other watcher, and nothing to be timed.
        if self.foreign_since.is_empty() && !snapshot.slots.values().any(foreign) {
            return OwnershipView { holder, foreign_since: &self.foreign_since, stalled_before: None };
        }
        let now = Instant::now();
        self.foreign_since.retain(|run, (since_holder, _)| {
            snapshot.slots.get(run).is_some_and(|slot| foreign(slot) && slot.holder == *since_holder)
        });
        for (run, slot) in snapshot.slots.iter().filter(|(_, slot)| foreign(slot)) {
            self.foreign_since.entry(run.clone()).or_insert_with(|| (slot.holder.clone(), now));
        }
        let stalled_before = if all.is_taking_over(now) { Some(now) } else { now.checked_sub(STALL_AFTER) };
        OwnershipView { holder, foreign_since: &self.foreign_since, stalled_before }
    }

    /// Says so when a repository comes to have someone waiting for its limit: once per change, not once per pass.
    pub(super) fn log_limit_reached(&mut self, repository: &RepositoryKey, at_limit: bool) {
        if at_limit && !self.at_limit {
            metrics::limit_reached(repository);
            info!("concurrency limit reached for repository {repository}");
        }
        self.at_limit = at_limit;
    }
}

// === impl OwnershipView ===

impl OwnershipView<'_> {
    /// What `slot` is to this watcher.
    pub fn of(&self, slot: &Slot) -> SlotOwnership {
        if slot.lapsed {
            return SlotOwnership::Lapsed;
        }
        if slot.holder == *self.holder {
            return SlotOwnership::Mine;
        }
        let since = self.foreign_since.get(&slot.entry.run).map(|(_, since)| *since);
        match (since, self.stalled_before) {
            (Some(since), Some(before)) if since <= before => SlotOwnership::Stalled,
            _ => SlotOwnership::Foreign,
        }
    }
}

// === impl SnapshotCache ===

impl SnapshotCache {
    pub(super) fn take(&self, repository: &RepositoryKey) -> CachedRepository {
        let mut state = self.state();
        let remembered = state.remembered(repository);
        remembered.under_way = true;
        let mut known = std::mem::take(&mut remembered.known);
        if std::mem::take(&mut remembered.invalid) {
            known.snapshot = None;
        }
        known
    }

    pub(super) fn put_back(&self, repository: &RepositoryKey, mut known: CachedRepository) {
        let mut state = self.state();
        let remembered = state.remembered(repository);
        remembered.under_way = false;
        if let Some(snapshot) = &known.snapshot {
            remembered.held = Some(snapshot.slots.len());
        }
        if std::mem::take(&mut remembered.invalid) {
            known.snapshot = None;
        }
        remembered.known = known;
    }

    pub(super) fn held_slots(&self) -> HashMap<RepositoryKey, usize> {
        let state = self.state();
        let held = state.repositories.iter().filter_map(|(repository, one)| Some((repository.clone(), one.held?)));
        held.collect()
    }

    pub(super) fn slots(&self) -> Vec<(RepositoryKey, Option<Vec<RunKey>>)> {
        let state = self.state();
        let slots = |one: &Remembered| {
            let snapshot = one.known.snapshot.as_ref().filter(|_| !one.invalid)?;
            Some(snapshot.slots.keys().cloned().collect())
        };
        state.repositories.iter().map(|(repository, one)| (repository.clone(), slots(one))).collect()
    }

    pub(super) fn invalidate(&self, repository: &RepositoryKey) {
        // What is not remembered can't be stale.
        if let Some(remembered) = self.state().repositories.get_mut(repository) {
            remembered.invalid = true;
        }
    }

    pub(super) fn invalidate_all(&self) {
        for remembered in self.state().repositories.values_mut() {
            remembered.known.snapshot = None;
            remembered.invalid |= remembered.under_way;
        }
    }

    pub(super) fn remove(&self, repository: &RepositoryKey) {
        self.state().repositories.remove(repository);
    }

    pub(super) fn claim_from_predecessor(&self, until: Instant) {
        self.state().taking_over_until = Some(until);
    }

    pub(super) fn end_claim_from_predecessor(&self) {
        self.state().taking_over_until = None;
    }

    fn is_taking_over(&self, now: Instant) -> bool {
        self.state().taking_over_until.is_some_and(|until| now < until)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// What is remembered of `repository`, made if need be.
    fn remembered(&mut self, repository: &RepositoryKey) -> &mut Remembered {
        self.repositories.entry(repository.clone()).or_default()
    }
}
