//! The rule: what to do with one repository, given what the store and the cluster say about it.
//!
//! `plan` is pure. It has no clock, does no I/O and remembers nothing, and it is the only place that knows:
//!
//! - running in the cluster without a slot, or being started by us without one: **adopt**, whatever the limit says;
//! - a slot or an entry whose run is over: **release**;
//! - waiting in the cluster, unknown to the store: **enqueue** at its place;
//! - waiting at a place that its event's order has since contradicted: **move** to the right one;
//! - a slot held by a watcher that is gone: **claim**;
//! - a slot of ours whose start was refused: **give back**, and the run keeps its place;
//! - slots held < limit, and someone waits: **grant** to the head;
//! - granted by us, and still pending in the cluster: **resume**, that is, start it again; unless the limit was lowered
//!   meanwhile and not all fit: then they are **over the limit, unconfirmed**, and resumed or given back once live reads have told that they
//!   weren't started.
//!
//! What it is not sure of it doesn't decide: a run the cache doesn't show is listed in [`Plan::confirm`], keeps what it
//! has, is passed by nobody, and is decided when a live read has told.

use std::collections::{BTreeMap, BTreeSet};

use crate::delta::Delta;
use crate::key::RunKey;
use crate::limit::Limit;
use crate::order::Entry;
use crate::run_state::RunState;
use crate::slot::{Slot, SlotOwnership};
use crate::snapshot::Snapshot;

/// What the watcher knows about one repository when it plans.
pub struct Observation<'a> {
    /// The effective limit.
    pub limit: Limit,
    /// Every run that runs, or that this watcher is starting or may have started, with the place it would have.
    pub running: Vec<Entry>,
    /// Runs that must be in the queue: every waiting one, or at least those not known to be there.
    pub waiting: Vec<Entry>,
    /// Runs known to be in the queue at another place than this one, which their event's order gave them since.
    pub moved: Vec<Entry>,
    /// Runs known to be in the queue that have left the cluster's, or may have: looked at wherever in the queue they are.
    pub departed: Vec<RunKey>,
    /// Where a run is in its life.
    pub state: &'a dyn Fn(&RunKey) -> RunState,
    /// Whether a run may be admitted when its turn comes: not yet while another one, which is there or still to be created, may be
    /// told its place before it.
    pub settled: &'a dyn Fn(&Entry) -> bool,
    /// What a slot is to this watcher.
    pub ownership: &'a dyn Fn(&Slot) -> SlotOwnership,
}

/// What to do, and what was found out on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Runs that run, or are being started, and get a slot, over the limit or not.
    pub adopted: Vec<Entry>,
    /// Slots taken over from a holder that is gone or did not act.
    pub claimed: Vec<Entry>,
    /// Waiting runs that get a slot, in order: to be started once that is committed.
    pub granted: Vec<Entry>,
    /// Runs that had a slot, and are over.
    pub released: Vec<RunKey>,
    /// Runs that had an entry in the queue, and are over.
    pub dequeued: Vec<RunKey>,
    /// Runs whose start was refused: from slot to queue.
    pub given_back: Vec<RunKey>,
    /// Runs new to the queue.
    pub enqueued: Vec<Entry>,
    /// Runs that get another place in the queue.
    pub moved: Vec<Entry>,
    /// Runs of slots of ours that are still pending: to be started again, if the snapshot is fresh.
    pub resume: Vec<RunKey>,
    /// Runs of slots of ours that seem to be pending when not all fit any longer: a live read must tell whether they were started.
    pub over_limit_unconfirmed: Vec<RunKey>,
    /// Runs whose absence or withdrawal a live read must confirm.
    pub confirm: Vec<RunKey>,
    /// Whether another watcher holds a slot whose run it has yet to start: look again after a while.
    pub foreign_pending: bool,
    /// Whether a run was kept from being admitted only because it, or one that may turn out to be before it, isn't ready yet.
    pub unsettled: bool,
    /// Whether the window was too small to tell who is next: load more.
    pub window_too_small: bool,
    /// How many slots are held once this is done.
    pub held: usize,
    /// Whether someone waits who would be admitted if the limit were higher.
    pub at_limit: bool,
}

/// The slots whose runs aren't known to be started.
#[derive(Default)]
struct Unstarted<'a> {
    /// Those of ours that are yet to be started, in order. They aren't counted yet.
    ours: BTreeSet<Entry>,
    /// The youngest of those whose start may be under way, ours or another watcher's.
    under_way: Option<&'a Entry>,
}

/// What to do with a repository; see the [module](self).
pub fn plan(snapshot: &Snapshot, observation: &Observation<'_>) -> Plan {
    let mut plan = Plan::default();
    let unstarted = plan.judge_slots(snapshot, observation);
    plan.adopt_running(snapshot, observation);
    plan.resume_within_limit(observation, unstarted);
    let candidates = plan.judge_queue(snapshot, observation);
    plan.grant(snapshot, observation, candidates);
    plan
}

// === impl Plan ===

impl Plan {
    /// Whether there is nothing to write into the store. There may be runs to start or to confirm.
    pub fn commits_nothing(&self) -> bool {
        let runs = [&self.released, &self.dequeued, &self.given_back];
        let entries = [&self.adopted, &self.claimed, &self.granted, &self.enqueued, &self.moved];
        runs.into_iter().all(Vec::is_empty) && entries.into_iter().all(Vec::is_empty)
    }

    /// Runs whose slot or entry goes, since they are over.
    pub fn removed(&self) -> impl Iterator<Item = &RunKey> + Clone {
        self.released.iter().chain(&self.dequeued)
    }

    /// The runs that joined the queue, given the snapshot that is what this plan made it, each with its place in it, from 1 on.
    /// Where the queue isn't known so far, that is its length.
    pub fn joined(&self, snapshot: &Snapshot) -> Vec<(RunKey, usize)> {
        if self.enqueued.is_empty() {
            return Vec::new();
        }
        let admitted: BTreeSet<&Entry> = self.granted.iter().collect();
        let joined = self.enqueued.iter().filter(|entry| !admitted.contains(entry)).map(|entry| &entry.run);
        let mut places: BTreeMap<&RunKey, usize> = joined.clone().map(|run| (run, snapshot.waiting_count)).collect();
        for (entry, at) in snapshot.waiting.iter().zip(1..) {
            places.entry(&entry.run).and_modify(|place| *place = at);
        }
        joined.map(|run| (run.clone(), places[run])).collect()
    }

    /// The change to commit; empty if and only if that is nothing.
    pub fn delta(&self) -> Delta {
        // Who is admitted at once need not be written into the queue first.
        let admitted: BTreeSet<&RunKey> = self.granted.iter().map(|entry| &entry.run).collect();
        let waits = |entry: &&Entry| !admitted.contains(&entry.run);
        // A place once given stays: who moves leaves the queue, and joins it again.
        let moved = self.moved.iter().filter(waits);
        Delta {
            release: self.removed().chain(moved.clone().map(|entry| &entry.run)).cloned().collect(),
            give_back: self.given_back.clone(),
            enqueue: self.enqueued.iter().filter(waits).chain(moved).cloned().collect(),
            hold: [&self.adopted, &self.claimed, &self.granted].into_iter().flatten().cloned().collect(),
        }
    }

    /// Sorts out who has a slot.
    fn judge_slots<'a>(&mut self, snapshot: &'a Snapshot, observation: &Observation<'_>) -> Unstarted<'a> {
        let mut unstarted = Unstarted::default();
        for (run, slot) in &snapshot.slots {
            let ownership = (observation.ownership)(slot);
            match (observation.state)(run) {
                RunState::Finished => {
                    self.released.push(run.clone());
                    continue;
                }
                RunState::BackingOff if ownership == SlotOwnership::Mine => {
                    self.given_back.push(run.clone());
                    continue;
                }
                // Its holder may have a start of it on its way, and learns from the answer what became of it.
                RunState::Cancelled if ownership == SlotOwnership::Foreign => self.foreign_pending = true,
                RunState::NotCached | RunState::Unreadable | RunState::Cancelled => self.confirm.push(run.clone()),
                // What it needs was waited for before it got its slot.
                RunState::Pending | RunState::AwaitingSecret | RunState::ConfirmedPending
                    if ownership == SlotOwnership::Mine =>
                {
                    unstarted.ours.insert(slot.entry.clone());
                    continue;
                }
                RunState::Pending | RunState::AwaitingSecret | RunState::ConfirmedPending | RunState::BackingOff => {
                    unstarted.under_way = unstarted.under_way.max(Some(&slot.entry));
                    match ownership {
                        SlotOwnership::Mine | SlotOwnership::Foreign => self.foreign_pending = true,
                        // Claimed with this commit, started by the next pass: by then the slot is provably ours. What we know of
                        // an earlier refusal says nothing about what its holder did since.
                        SlotOwnership::Stalled | SlotOwnership::Lapsed => self.claimed.push(slot.entry.clone()),
                    }
                }
                RunState::Running | RunState::Stopping if ownership == SlotOwnership::Lapsed => {
                    self.claimed.push(slot.entry.clone())
                }
                RunState::Starting => unstarted.under_way = unstarted.under_way.max(Some(&slot.entry)),
                RunState::Running | RunState::Stopping => {}
            }
            self.held += 1;
        }
        unstarted
    }

    /// What was granted under another limit, or before others were found running, is started only if it still fits.
    ///
    /// As long as all fit, it doesn't matter which of them were started already. Else any of them may have been, without
    /// the cache showing it yet: each counts until a live read tells that it wasn't.
    fn resume_within_limit(&mut self, observation: &Observation<'_>, unstarted: Unstarted<'_>) {
        let Unstarted { ours, under_way } = unstarted;
        let all_fit = observation.limit.fits(self.held + ours.len());
        let is_certain = |entry: &Entry| all_fit || (observation.state)(&entry.run) == RunState::ConfirmedPending;
        let (certain, doubtful): (BTreeSet<_>, BTreeSet<_>) = ours.into_iter().partition(is_certain);
        self.held += doubtful.len();
        let youngest = doubtful.last().max(under_way);
        for entry in certain {
            if observation.limit.free(self.held) > 0 {
                self.resume.push(entry.run);
            } else if youngest.is_none_or(|youngest| *youngest < entry) {
                self.given_back.push(entry.run);
                continue;
            }
            // Nobody gives a slot back while a younger one, still in doubt or being started, might keep its own. The youngest do so
            // however many older ones are in doubt: a read stands for a moment only, in which not all of them may be read.
            self.held += 1;
        }
        self.over_limit_unconfirmed = doubtful.into_iter().map(|entry| entry.run).collect();
    }

    fn adopt_running(&mut self, snapshot: &Snapshot, observation: &Observation<'_>) {
        // Without a limit nobody counts; they are adopted when one is set.
        if !observation.limit.is_limited() {
            return;
        }
        for entry in &observation.running {
            if !snapshot.slots.contains_key(&entry.run) {
                self.adopted.push(entry.clone());
                self.held += 1;
            }
        }
    }

    /// Sorts out who waits: the entries that may be admitted, or must not be passed, in order.
    fn judge_queue<'a>(&mut self, snapshot: &'a Snapshot, observation: &'a Observation<'_>) -> Vec<&'a Entry> {
        let mut candidates = Vec::new();
        // Each run is looked at once, however often it is named.
        let mut unknown: BTreeSet<&RunKey> = observation.waiting.iter().map(|entry| &entry.run).collect();
        unknown.extend(&observation.departed);
        let mut moved: BTreeMap<&RunKey, &Entry> = observation.moved.iter().map(|entry| (&entry.run, entry)).collect();
        moved.retain(|run, _| !snapshot.slots.contains_key(run));
        for entry in &snapshot.waiting {
            unknown.remove(&entry.run);
            match (observation.state)(&entry.run) {
                RunState::Pending | RunState::AwaitingSecret | RunState::ConfirmedPending => {
                    match moved.get(&entry.run) {
                        Some(new) if *new != entry => {}
                        _ => {
                            moved.remove(&entry.run);
                            candidates.push(entry);
                        }
                    }
                }
                RunState::Finished | RunState::Cancelled | RunState::Stopping => self.dequeued.push(entry.run.clone()),
                RunState::NotCached => {
                    self.confirm.push(entry.run.clone());
                    candidates.push(entry);
                }
                RunState::Unreadable => self.confirm.push(entry.run.clone()),
                RunState::BackingOff => {}
                // Started by someone else, or by us, and the store forgot. Adopted above, which takes it from the queue; without
                // a limit it just goes.
                RunState::Running | RunState::Starting if observation.limit.is_limited() => {}
                RunState::Starting => {}
                RunState::Running => self.dequeued.push(entry.run.clone()),
            }
        }
        for entry in moved.into_values() {
            if (observation.state)(&entry.run).may_be_admitted() {
                unknown.remove(&entry.run);
                self.moved.push(entry.clone());
                candidates.push(entry);
            }
        }
        for entry in &observation.waiting {
            if !unknown.remove(&entry.run) || snapshot.slots.contains_key(&entry.run) {
                continue;
            }
            self.enqueued.push(entry.clone());
            if (observation.state)(&entry.run).may_be_admitted() {
                candidates.push(entry);
            }
        }
        for run in &observation.departed {
            if !unknown.remove(run) || snapshot.slots.contains_key(run) {
                continue;
            }
            match (observation.state)(run) {
                RunState::Finished | RunState::Cancelled | RunState::Stopping => self.dequeued.push(run.clone()),
                RunState::NotCached | RunState::Unreadable => self.confirm.push(run.clone()),
                RunState::Pending
                | RunState::AwaitingSecret
                | RunState::ConfirmedPending
                | RunState::BackingOff
                | RunState::Starting
                | RunState::Running => {}
            }
        }
        if !self.enqueued.is_empty() || !self.moved.is_empty() {
            candidates.sort();
        }
        candidates
    }

    fn grant(&mut self, snapshot: &Snapshot, observation: &Observation<'_>, candidates: Vec<&Entry>) {
        let mut free = observation.limit.free(self.held);
        // Entries behind the window are unknown: nobody who sorts behind its last one is known to be next.
        let horizon = if snapshot.whole { None } else { Some(snapshot.waiting.last()) };
        let beyond = |entry: &Entry| horizon.is_some_and(|last| last.is_none_or(|last| entry > last));
        for entry in candidates {
            if beyond(entry) {
                break;
            }
            if free == 0 {
                // Who is held waits for something else than a slot.
                self.at_limit = observation.limit != Limit::Unknown;
                return;
            }
            let state = (observation.state)(&entry.run);
            if !(observation.settled)(entry) || matches!(state, RunState::AwaitingSecret | RunState::NotCached) {
                self.unsettled = true;
                return;
            }
            free -= 1;
            self.held += 1;
            self.granted.push(entry.clone());
        }
        // The window holds nobody else to admit, and there is more behind it.
        self.window_too_small = horizon.is_some() && free > 0;
        self.at_limit = horizon.is_some() && free == 0 && observation.limit != Limit::Unknown;
    }
}
