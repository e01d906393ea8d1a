//! One repository as the watches and live reads have shown it.

#[cfg(feature = "model")]
mod digest;
mod follow_up;
mod live_reads;
mod lookups;
mod marks;
mod measured;
mod pacs_queue;
mod places;
mod shown;
mod starts;
mod strays;
mod webhook_events;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{Limit, Observation, Plan, RunKey, RunState, Scope, Slot, SlotOwnership, Snapshot, plan};
use pac_kube::convert::{Phase, RepositoryMetadata, RunView};
use tokio::time::Instant;

pub use self::follow_up::FollowUp;
pub use self::measured::{Started, Tally};
use self::pacs_queue::PacsQueue;
use self::places::Orders;
pub use self::shown::{End, Shown, ShownRun};
use self::shown::{Over, OverBy};
pub use self::starts::StartEnd;
use self::strays::Strays;
use self::webhook_events::WebhookEvents;
use super::OwnLimit;
use super::run::{Mark, Run, StartState};
use super::runs::Runs;

/// One repository's runs, and what its next pass needs to know of them.
#[derive(Debug, Clone)]
pub struct RepositoryState {
    // Whether the order that PAC writes for an event's runs reaches the runs; the gate `deny` refuses it.
    orders_come: bool,
    /// What its Repository says.
    pub own_limit: OwnLimit,
    /// What its metadata say.
    pub metadata: RepositoryMetadata,
    runs: Runs,
    running: BTreeSet<Arc<str>>,
    // Pending runs that aren't known to be in the store.
    fresh: BTreeSet<Arc<str>>,
    // Pending runs of which a start was tried, and its outcome still matters.
    attempted: BTreeSet<Arc<str>>,
    // Done runs whose final state is yet to be written.
    unmarked: BTreeSet<Arc<str>>,
    // Runs in a state that ends by the clock: they wait for a Secret, or stop without having been started.
    timed: BTreeSet<Arc<str>>,
    // The runs that PAC's own queue knows.
    pacs_queue: PacsQueue,
    // Runs whose place in the store contradicts their event's order.
    misplaced: BTreeSet<Arc<str>>,
    events: WebhookEvents,
    // Runs in the store's queue that wait no longer.
    departed: HashSet<RunKey>,
    // Runs that are over for certain, by a live read or because another run bears the name.
    over: HashMap<RunKey, Over>,
    // Runs that a live read found and the watch doesn't show, and until when that reading counts.
    outsiders: HashMap<RunKey, (Run, Instant)>,
    // Runs of which the latest live read made no sense.
    unreadable: HashSet<RunKey>,
    strays: Strays,
    // When a start was last abandoned, so that others may have come to be before it.
    abandoned_at: Option<Instant>,
    // When `decide` last ran.
    decided_at: Option<Instant>,
    // The limit as last told, and the runs that ran by then: those may exceed it.
    limit: Limit,
    grandfathered: BTreeSet<Arc<str>>,
}

/// What an applied plan did to whom.
#[derive(Debug)]
pub struct Effects {
    /// Runs that lost their slot or place, and why.
    pub ends: Vec<(RunKey, End)>,
    /// The last run that was granted a slot, and the runs before it that back off after a refusal, with what was said to each.
    pub passed_over: Option<(RunKey, Vec<(RunKey, String)>)>,
    /// Whether a run was queued to which PAC's word on the order of its event's runs never came.
    pub misses_order: bool,
}

// === impl RepositoryState ===

impl RepositoryState {
    /// A repository of which nothing is known. `orders_come` says whether the order that PAC writes reaches the runs.
    pub fn new(orders_come: bool) -> Self {
        Self {
            orders_come,
            own_limit: OwnLimit::Missing,
            metadata: RepositoryMetadata::default(),
            runs: Runs::default(),
            running: BTreeSet::new(),
            fresh: BTreeSet::new(),
            attempted: BTreeSet::new(),
            unmarked: BTreeSet::new(),
            timed: BTreeSet::new(),
            pacs_queue: PacsQueue::default(),
            misplaced: BTreeSet::new(),
            events: WebhookEvents::default(),
            departed: HashSet::new(),
            over: HashMap::new(),
            outsiders: HashMap::new(),
            unreadable: HashSet::new(),
            strays: Strays::default(),
            abandoned_at: None,
            decided_at: None,
            limit: Limit::Unknown,
            grandfathered: BTreeSet::new(),
        }
    }

    /// Whether the watch has shown just this version of the run already, but for what it says of its wait, which is taken in.
    pub(super) fn shows(&mut self, view: &mut RunView) -> bool {
        let Some(run) = self.runs.named_mut(view.key.name()) else { return false };
        let notice = std::mem::replace(&mut view.notice, run.view.notice);
        let same = run.view == *view;
        let newest = if same { &mut run.view } else { view };
        newest.notice = notice;
        same
    }

    /// The uid of the run of that name, if the watch shows one.
    pub(super) fn uid_of(&self, name: &str) -> Option<String> {
        self.runs.named(name).map(|run| run.view.key.uid().to_owned())
    }

    /// Takes in a version of a run that, where it is new, has been there for `age`.
    pub fn apply_run(&mut self, view: RunView, now: Instant, age: Duration) {
        let name: Arc<str> = view.key.name().into();
        let outsider = self.outsiders.remove(&view.key).map(|(run, _)| run);
        if self.over.get_mut(&view.key).is_some_and(|over| !over.outlasts(view.phase)) {
            self.over.remove(&view.key);
        }
        let known = self.runs.named(&name).map(|run| (run.view.key == view.key, run.view.event));
        if known.is_none_or(|known| known != (true, view.event)) {
            if let Some((_, Some(before))) = known {
                self.events.leave(before, &name);
            }
            if let Some(event) = view.event {
                self.events.join(event, &name, view.created, now);
            }
        }
        if let Some(event) = view.event {
            if view.place.is_some() {
                self.events.note_ordered(event, &name);
            }
            if view.phase != Phase::Arriving {
                self.events.note_queued(event, &name, now);
            }
        }
        let is_pacs = || self.is_known_to_pacs_queue(&name, now);
        let is_started_by_pac = view.phase == Phase::Running && is_pacs();
        match self.runs.named_mut(&name) {
            Some(run) if run.view.key == view.key => {
                // Of its Repository ours starts nobody meanwhile.
                run.started_by_pac |= is_started_by_pac;
                if !matches!(view.phase, Phase::Arriving | Phase::Waiting) {
                    run.start = StartState::Idle;
                }
                if run.stored.is_some() && run.view.place != view.place {
                    self.misplaced.insert(Arc::clone(&name));
                }
                run.show(view, now);
            }
            other => {
                let replaced = other.map(|run| (run.view.key.clone(), run.stored.is_some()));
                if replaced.is_some() {
                    self.leave_pacs_queue(&name);
                }
                // A run that was of another repository for a while is this one's again.
                if self.over.get(&view.key).is_some_and(|over| over.by == OverBy::Elsewhere) {
                    self.over.remove(&view.key);
                }
                let new = match outsider {
                    Some(known) => known.come_to_be_shown(view, now, age),
                    None => Run::new(view, now, age),
                };
                self.runs.insert(Arc::clone(&name), new);
                if let Some((replaced, stored)) = replaced {
                    // A name is free only once its object is gone, so the old run certainly is.
                    self.note_over(replaced.clone(), now, OverBy::Gone);
                    self.leave(replaced, stored);
                }
            }
        }
        self.sort_in(&name);
    }

    /// Takes in that a run is no longer shown; says which, if it said something of its wait to the last.
    pub fn remove_run(&mut self, path: &str) -> Option<RunKey> {
        let (_, name) = path.split_once('/')?;
        self.leave_pacs_queue(name);
        let run = self.runs.remove(name)?;
        let noticed = run.view.notice.map(|_| run.view.key.clone());
        let sets = [&mut self.running, &mut self.fresh, &mut self.attempted, &mut self.unmarked, &mut self.timed];
        let more = [&mut self.misplaced, &mut self.grandfathered];
        sets.into_iter().chain(more).for_each(|set| _ = set.remove(name));
        if let Some(event) = run.view.event {
            self.events.leave(event, name);
        }
        if matches!(run.view.phase, Phase::Done(_)) {
            let since = run.over_since.unwrap_or_else(Instant::now);
            self.note_over(run.view.key.clone(), since, OverBy::Phase(run.view.phase));
        }
        self.leave(run.view.key, run.stored.is_some());
        noticed
    }

    fn leave(&mut self, run: RunKey, stored: bool) {
        if stored {
            self.departed.insert(run);
        } else {
            self.over.remove(&run);
        }
    }

    fn note_over(&mut self, run: RunKey, since: Instant, by: OverBy) {
        self.over.entry(run).or_insert(Over::new(since, by));
    }

    /// Puts a run into the sets it belongs to now.
    fn sort_in(&mut self, name: &Arc<str>) {
        let Some(run) = self.runs.named(name) else { return };
        // A run that is over for certain stays so, however old the version is that the watch still shows.
        let current = !self.over.contains_key(&run.view.key);
        if !(current && (run.is_running() || run.is_starting())) {
            self.grandfathered.remove(name);
        }
        put(&mut self.running, name, current && run.is_running());
        // One that was found stopping leaves the queue, and mustn't join it because the watch is behind.
        let joins = run.is_pending() && run.stored.is_none() && run.stopping_since.is_none();
        put(&mut self.fresh, name, current && joins);
        put(&mut self.attempted, name, current && run.is_pending() && run.start != StartState::Idle);
        put(&mut self.unmarked, name, matches!(run.view.phase, Phase::Done(_)) && run.mark == Mark::None);
        put(&mut self.timed, name, current && (run.stopping_since.is_some() || run.unready_until().is_some()));
        self.pacs_queue.note(name, run.view.has_pacs_order || run.started_by_pac);
        let over = matches!(
            run.view.phase,
            Phase::Done(_) | Phase::Withdrawn | Phase::Held | Phase::Stopping | Phase::ForceReleased
        );
        if over && run.stored.is_some() {
            self.departed.insert(run.view.key.clone());
        }
    }

    /// When the first of the live reads of runs that the watch doesn't show stops counting.
    pub(crate) fn live_reads_stand_until(&self) -> Option<Instant> {
        self.outsiders.values().map(|(_, until)| *until).min()
    }

    /// Changes what is known of `run` and puts it into the sets it then belongs to; none if nothing is known of it.
    fn on_run<T>(&mut self, run: &RunKey, change: impl FnOnce(&mut Run) -> T) -> Option<T> {
        let changed = change(self.run_mut(run)?);
        self.sort_in(&run.name().into());
        Some(changed)
    }

    /// Decides what to do, given what the store says. Here, and nowhere else, what was seen meets the rule.
    pub fn decide(
        &mut self,
        limit: Limit,
        scope: Scope,
        snapshot: &Snapshot,
        ownership: &dyn Fn(&Slot) -> SlotOwnership,
        now: Instant,
    ) -> Plan {
        self.decided_at = Some(now);
        if scope == Scope::Whole {
            self.compare_with(snapshot);
        }
        self.outsiders.retain(|_, (_, until)| *until > now);
        self.settle_claims(snapshot, ownership, now);
        let mut orders = Orders::default();
        let moved = self.moved_entries(&mut orders);
        let unsettled = self.unsettled(now, &mut orders);
        let plan = plan(
            snapshot,
            &Observation {
                limit,
                running: self.running_entries(&mut orders),
                waiting: self.settled_entries(now, &mut orders),
                moved,
                departed: self.departed.iter().cloned().collect(),
                settled: &|entry| !unsettled.holds(entry, self.event_of(&entry.run)),
                state: &|run| self.state_of(run, now),
                ownership,
            },
        );
        self.strays.note_decided(&plan);
        plan
    }

    /// Takes in a plan that was committed, or that had nothing to commit; returns what it did to whom.
    pub fn apply(&mut self, plan: &Plan, now: Instant) -> Effects {
        let ends = plan.removed().map(|run| (run.clone(), self.end_of(run))).collect();
        let last = plan.granted.last();
        let passed_over = last.map(|last| (last.run.clone(), self.take_passed_over(last, now)));
        let is_without_order = |run: &Run| run.view.event.is_some() && run.view.place.is_none();
        let misses_order = plan.enqueued.iter().any(|entry| self.runs.get(&entry.run).is_some_and(is_without_order));
        self.note_hand_offs(plan);
        self.note_stored(plan, now);
        Effects { ends, passed_over, misses_order }
    }

    fn note_stored(&mut self, plan: &Plan, now: Instant) {
        let stored = [&plan.enqueued, &plan.moved, &plan.granted, &plan.adopted, &plan.claimed];
        for entry in stored.into_iter().flatten() {
            self.misplaced.remove(entry.run.name());
            self.on_run(&entry.run, |run| run.stored = Some(entry.order));
        }
        for entry in &plan.claimed {
            self.note_claimed(&entry.run, now);
        }
        for run in plan.removed() {
            if self.on_run(run, |run| run.stored = None).is_none() {
                self.over.remove(run);
            }
            self.departed.remove(run);
        }
    }

    /// The next time at which this repository needs a look though no event comes. A time that has passed since the last decision
    /// counts, too, for that decision was too early for it (P4).
    pub fn next_look<'a>(&'a self) -> Option<Instant> {
        let is_to_come = |at: &Instant| self.decided_at.is_none_or(|decided_at| *at > decided_at);
        let of_run = |run: &Run| match run.start {
            StartState::Unknown(until) | StartState::Refused(until) => Some(until),
            _ => self.unsettled_until(run),
        };
        let named = |names: &'a BTreeSet<Arc<str>>| names.iter().filter_map(|name| self.runs.named(name));
        let outsiders = self.outsiders.values().map(|(run, _)| run);
        let looks = named(&self.fresh).chain(named(&self.attempted)).chain(outsiders.clone()).filter_map(of_run);
        let timed = named(&self.timed).chain(outsiders);
        let timed = timed.flat_map(|run| [run.unready_until(), run.stopping_until()]).flatten();
        let unmarked = named(&self.unmarked).filter_map(Run::unmarked_until);
        let others = timed.chain(unmarked).chain(self.live_reads_stand_until()).chain(self.pacs_queue_forgets_at());
        looks.chain(others).filter(is_to_come).min()
    }

    /// The state of `run`, by all that is known of it.
    fn state_of(&self, run: &RunKey, now: Instant) -> RunState {
        match self.run(run) {
            _ if self.over.contains_key(run) => RunState::Finished,
            Some(known) => known.state(now),
            None if self.unreadable.contains(run) => RunState::Unreadable,
            None => RunState::NotCached,
        }
    }

    /// What is known of `run`, by the watch or by a live read.
    fn run(&self, run: &RunKey) -> Option<&Run> {
        self.runs.get(run).or_else(|| self.outsiders.get(run).map(|(known, _)| known))
    }

    /// What is known of `run`, to change it; see [`Self::run`].
    fn run_mut(&mut self, run: &RunKey) -> Option<&mut Run> {
        self.runs.get_mut(run).or_else(|| self.outsiders.get_mut(run).map(|(known, _)| known))
    }
}

fn put(set: &mut BTreeSet<Arc<str>>, name: &Arc<str>, belongs: bool) {
    if belongs {
        set.insert(Arc::clone(name));
    } else {
        set.remove(name);
    }
}

#[cfg(test)]
mod tests;
