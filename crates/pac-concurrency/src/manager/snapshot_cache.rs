//! What the manager remembers between passes: per repository the last snapshot, since when it has seen others' slots, and
//! whether the limit was reached. Losing any of it costs a load, never a promise.

use std::collections::HashMap;

use tokio::time::Instant;
use tracing::info;

use crate::key::{RepositoryKey, RunKey};
use crate::lease::Holder;
use crate::metrics;
use crate::protocol::STALL_AFTER;
use crate::slot::{Slot, SlotOwnership};
use crate::snapshot::{Snapshot, Version};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What a watcher remembers of one repository in the store, for its next pass.
#[derive(Debug, Clone, Default)]
pub struct CachedRepository {
    /// What the store had, as far as this watcher knows.
    pub snapshot: Option<Snapshot>,
    /// The version this watcher last saw or made.
    pub version: Option<Version>,
    foreign_since: HashMap<RunKey, (Holder, Instant)>,
    at_limit: bool,
}

/// Who makes a pass, and when a step of it is made.
#[derive(Debug, Clone, Copy)]
pub struct Viewpoint<'a> {
    /// This watcher, for its term.
    pub holder: &'a Holder,
    /// Now.
    pub now: Instant,
    /// Whether what others have in hand is taken over without waiting for them.
    pub takes_over: bool,
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
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// It.
    pub known: CachedRepository,
    /// A pass has it in hand.
    under_way: bool,
    /// Others changed it: what is remembered, or put back by the pass under way, is stale.
    invalid: bool,
    /// How many slots were taken at the last pass.
    held: Option<usize>,
}

// === impl CachedRepository ===

impl CachedRepository {
    pub(super) fn ownership<'a>(&'a mut self, snapshot: &Snapshot, view: Viewpoint<'a>) -> OwnershipView<'a> {
        let Viewpoint { holder, now, takes_over } = view;
        let foreign = |slot: &Slot| slot.holder != *holder;
        // Mostly there is no other watcher, and nothing to be timed.
        if self.foreign_since.is_empty() && !snapshot.slots.values().any(foreign) {
            return OwnershipView { holder, foreign_since: &self.foreign_since, stalled_before: None };
        }
        self.foreign_since.retain(|run, (since_holder, _)| {
            snapshot.slots.get(run).is_some_and(|slot| foreign(slot) && slot.holder == *since_holder)
        });
        for (run, slot) in snapshot.slots.iter().filter(|(_, slot)| foreign(slot)) {
            self.foreign_since.entry(run.clone()).or_insert_with(|| (slot.holder.clone(), now));
        }
        let stalled_before = if takes_over { Some(now) } else { now.checked_sub(STALL_AFTER) };
        OwnershipView { holder, foreign_since: &self.foreign_since, stalled_before }
    }

    /// Since when others' slots have been seen, by run.
    #[cfg(feature = "model")]
    pub fn foreign_since(&self) -> std::collections::BTreeMap<&RunKey, (&Holder, Instant)> {
        self.foreign_since.iter().map(|(run, (holder, since))| (run, (holder, *since))).collect()
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
        self.state().remembered(repository).take()
    }

    pub(super) fn put_back(&self, repository: &RepositoryKey, known: CachedRepository) {
        self.state().remembered(repository).put_back(known);
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
            remembered.invalidate();
        }
    }

    pub(super) fn invalidate_all(&self) {
        self.state().repositories.values_mut().for_each(Remembered::invalidate);
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

    pub(super) fn is_taking_over(&self, now: Instant) -> bool {
        self.state().taking_over_until.is_some_and(|until| now < until)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Remembered ===

impl Remembered {
    /// Hands it to a pass.
    pub fn take(&mut self) -> CachedRepository {
        self.under_way = true;
        let mut known = std::mem::take(&mut self.known);
        if std::mem::take(&mut self.invalid) {
            known.snapshot = None;
        }
        known
    }

    /// Takes it back from the pass.
    pub fn put_back(&mut self, mut known: CachedRepository) {
        self.under_way = false;
        if let Some(snapshot) = &known.snapshot {
            self.held = Some(snapshot.slots.len());
        }
        if std::mem::take(&mut self.invalid) {
            known.snapshot = None;
        }
        self.known = known;
    }

    /// Whether what the pass under way puts back is stale.
    #[cfg(feature = "model")]
    pub fn is_stale(&self) -> bool {
        self.invalid
    }

    /// Notes that others changed it.
    pub fn invalidate(&mut self) {
        self.known.snapshot = None;
        self.invalid |= self.under_way;
    }
}

// === impl State ===

impl State {
    /// What is remembered of `repository`, made if need be.
    fn remembered(&mut self, repository: &RepositoryKey) -> &mut Remembered {
        self.repositories.entry(repository.clone()).or_default()
    }
}
