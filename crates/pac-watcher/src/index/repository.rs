//! One repository as the watches and live reads have shown it.

mod marks;
mod measured;
mod shown;
mod starts;
mod told;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{Entry, Limit, Observation, OrderKey, Plan, RunKey, Scope, Seen, Slot, Snapshot, Standing, plan};
use tokio::time::Instant;

pub use self::measured::{Started, Tally};
use self::shown::Over;
pub use self::shown::{End, Shown, ShownRun};
use super::run::{Mark, Run, StartState};
use super::runs::Runs;
use super::{Confirmed, OwnLimit, SETTLE_SECONDS};
use crate::convert::{Phase, RepositoryMetadata, RunView};

/// How long a live read stands for a run the watch doesn't show.
const LIVE_READ_STANDS: Duration = Duration::from_secs(30);

/// One repository's runs, and what its next pass needs to know of them.
#[derive(Debug)]
pub struct RepositoryState {
    /// What its Repository says.
    pub own_limit: OwnLimit,
    /// What its metadata say.
    pub metadata: RepositoryMetadata,
    runs: Runs,
    running: BTreeSet<Arc<str>>,
    // Pending and not known to be in the store.
    fresh: BTreeSet<Arc<str>>,
    // With a start of ours behind them that still matters.
    attempted: BTreeSet<Arc<str>>,
    // Done, and their final state is yet to be written.
    unmarked: BTreeSet<Arc<str>>,
    // Known to be in the store's queue, and no longer waiting.
    departed: HashSet<RunKey>,
    // Over for certain, by a live read or because another run bears the name, and since when.
    over: HashMap<RunKey, Over>,
    // Not shown by the watch, though a live read found them.
    outsiders: HashMap<RunKey, (Run, Instant)>,
    // When it was last decided what to do.
    decided_at: Option<Instant>,
    // The limit as last told, and who ran by then: they may run over it.
    limit: Limit,
    tolerated: BTreeSet<Arc<str>>,
}

// === impl RepositoryState ===

impl Default for RepositoryState {
    fn default() -> Self {
        Self {
            own_limit: OwnLimit::Missing,
            metadata: RepositoryMetadata::default(),
            runs: Runs::default(),
            running: BTreeSet::new(),
            fresh: BTreeSet::new(),
            attempted: BTreeSet::new(),
            unmarked: BTreeSet::new(),
            departed: HashSet::new(),
            over: HashMap::new(),
            outsiders: HashMap::new(),
            decided_at: None,
            limit: Limit::Held,
            tolerated: BTreeSet::new(),
        }
    }
}

impl RepositoryState {
    /// Whether this is what the watch has shown of the run already.
    pub(super) fn shows(&self, view: &RunView) -> bool {
        self.runs.named(view.key.name()).is_some_and(|run| run.view == *view)
    }

    /// The uid of the run of that name, if one is shown.
    pub(super) fn uid_of(&self, name: &str) -> Option<String> {
        self.runs.named(name).map(|run| run.view.key.uid().to_owned())
    }

    /// Takes in a version of a run that, where it is new, has been there for `age`.
    pub(super) fn apply_run(&mut self, view: RunView, now: Instant, age: Duration) {
        let name: Arc<str> = view.key.name().into();
        self.outsiders.remove(&view.key);
        match self.runs.named_mut(&name) {
            Some(run) if run.view.key == view.key => {
                if !matches!(view.phase, Phase::Arriving | Phase::Waiting) {
                    run.start = StartState::Idle;
                }
                run.show(view, now);
            }
            other => {
                let replaced = other.map(|run| (run.view.key.clone(), run.stored));
                self.runs.insert(Arc::clone(&name), Run::new(view, now, age));
                if let Some((replaced, stored)) = replaced {
                    // A name is free only once its object is gone, so the old run certainly is.
                    self.note_over(replaced.clone(), now, None);
                    self.leave(replaced, stored);
                }
            }
        }
        self.sort_in(&name);
    }

    pub(super) fn remove_run(&mut self, path: &str) {
        let Some((_, name)) = path.split_once('/') else { return };
        if let Some(run) = self.runs.remove(name) {
            self.running.remove(name);
            self.fresh.remove(name);
            self.attempted.remove(name);
            self.unmarked.remove(name);
            self.tolerated.remove(name);
            if matches!(run.view.phase, Phase::Done(_)) {
                let since = run.over_since.unwrap_or_else(Instant::now);
                self.note_over(run.view.key.clone(), since, Some(run.view.phase));
            }
            self.leave(run.view.key, run.stored);
        }
    }

    fn leave(&mut self, run: RunKey, stored: bool) {
        if stored {
            self.departed.insert(run);
        } else {
            self.over.remove(&run);
        }
    }

    fn note_over(&mut self, run: RunKey, since: Instant, phase: Option<Phase>) {
        self.over.entry(run).or_insert(Over { since, phase });
    }

    /// Puts a run into the sets it belongs to now.
    fn sort_in(&mut self, name: &Arc<str>) {
        let Some(run) = self.runs.named(name) else { return };
        // What is over for certain stays so, however old the version is that the watch still shows.
        let current = !self.over.contains_key(&run.view.key);
        if !(current && (run.is_running() || run.is_starting())) {
            self.tolerated.remove(name);
        }
        put(&mut self.running, name, current && run.is_running());
        put(&mut self.fresh, name, current && run.is_pending() && !run.stored);
        put(&mut self.attempted, name, current && run.is_pending() && run.start != StartState::Idle);
        put(&mut self.unmarked, name, matches!(run.view.phase, Phase::Done(_)) && run.mark == Mark::None);
        let over = matches!(run.view.phase, Phase::Done(_) | Phase::Withdrawn | Phase::Released);
        if over && run.stored {
            self.departed.insert(run.view.key.clone());
        }
    }

    /// Takes in what a live read found.
    pub fn confirm(&mut self, confirmed: Confirmed, now: Instant) {
        let run = confirmed.run().clone();
        if confirmed.is_over() {
            self.outsiders.remove(&run);
            self.note_over(run.clone(), now, confirmed.phase());
            self.sort_in(&run.name().into());
            return;
        }
        let Confirmed::Is(view) = confirmed else { return };
        match self.run_mut(&run) {
            // The watch is behind: someone started it.
            Some(known) if view.phase == Phase::Running => known.acknowledge(),
            Some(_) => {}
            None => {
                drop(self.outsiders.insert(run.clone(), (Run::new(view, now, Duration::ZERO), now + LIVE_READ_STANDS)))
            }
        }
        self.sort_in(&run.name().into());
    }

    /// Until when the live reads of runs the watch doesn't show stand, if there are any.
    pub fn live_reads_stand_until(&self) -> Option<Instant> {
        self.outsiders.values().map(|(_, until)| *until).min()
    }

    /// Changes what is known of our own start of `run`; none if the run is no longer shown.
    fn on_run<T>(&mut self, run: &RunKey, change: impl FnOnce(&mut Run) -> T) -> Option<T> {
        let changed = change(self.run_mut(run)?);
        self.sort_in(&run.name().into());
        Some(changed)
    }

    /// What to do, given what the store says: the one place where what is seen meets the rule.
    pub fn decide(
        &mut self,
        limit: Limit,
        scope: Scope,
        snapshot: &Snapshot,
        standing: &dyn Fn(&Slot) -> Standing,
        now: Instant,
    ) -> Plan {
        self.decided_at = Some(now);
        if scope == Scope::Whole {
            self.compare_with(snapshot);
        }
        self.outsiders.retain(|_, (_, until)| *until > now);
        let unsettled = self.fresh.iter().filter_map(|name| self.runs.named(name)).filter(|run| !run.is_settled(now));
        let unsettled_since = unsettled.map(|run| run.view.created - i64::from(SETTLE_SECONDS)).min();
        plan(
            snapshot,
            &Observation {
                limit,
                running: self.entries(&self.running),
                waiting: self.settled_entries(now),
                departed: self.departed.iter().cloned().collect(),
                unsettled_since,
                seen: &|run| self.seen(run, now),
                standing,
            },
        )
    }

    /// Which runs the store has, now that all of it was loaded.
    fn compare_with(&mut self, snapshot: &Snapshot) {
        let queued: HashSet<&RunKey> = snapshot.waiting.iter().map(|entry| &entry.run).collect();
        let names: Vec<Arc<str>> = self.runs.names().cloned().collect();
        for name in names {
            if let Some(run) = self.runs.named_mut(&name) {
                run.stored = queued.contains(&run.view.key) || snapshot.slots.contains_key(&run.view.key);
                // A full pass takes nothing on trust: what was done may be done once more, to no effect.
                if run.mark == Mark::Written {
                    run.mark = Mark::None;
                }
                if run.start == StartState::Acknowledged {
                    run.start = StartState::Idle;
                }
            }
            self.sort_in(&name);
        }
        self.departed.retain(|run| queued.contains(run));
        let shown = |run: &RunKey| self.runs.get(run).is_some();
        self.over.retain(|run, _| queued.contains(run) || snapshot.slots.contains_key(run) || shown(run));
    }

    /// Takes in what was committed.
    pub fn committed(&mut self, plan: &Plan, now: Instant) {
        let stored = [&plan.enqueued, &plan.granted, &plan.adopted, &plan.claimed];
        for entry in stored.into_iter().flatten() {
            self.on_run(&entry.run, |run| run.stored = true);
        }
        for entry in &plan.claimed {
            self.on_run(&entry.run, |run| run.claim(now));
        }
        for run in &plan.released {
            if self.on_run(run, |run| run.stored = false).is_none() {
                self.over.remove(run);
            }
            self.departed.remove(run);
        }
    }

    /// When there is next a reason to look again that no event will bring. It may have come since the last decision, which
    /// didn't know of it then (P4).
    pub fn next_look(&self) -> Option<Instant> {
        let is_to_come = |at: &Instant| self.decided_at.is_none_or(|decided_at| *at > decided_at);
        let of_run = |run: &Run| match run.start {
            StartState::Unknown(until) | StartState::Refused(until) => Some(until),
            _ => run.unsettled_until(),
        };
        let shown = self.fresh.iter().chain(&self.attempted).filter_map(|name| self.runs.named(name));
        let outsiders = self.outsiders.values().map(|(run, _)| run);
        shown.chain(outsiders).filter_map(of_run).chain(self.live_reads_stand_until()).filter(is_to_come).min()
    }

    fn seen(&self, run: &RunKey, now: Instant) -> Seen {
        if self.over.contains_key(run) {
            return Seen::Over;
        }
        let Some(known) = self.run(run) else { return Seen::Missing };
        match (seen_phase(known.view.phase), known.start) {
            (Seen::Waiting, StartState::Acknowledged) => Seen::Running,
            (Seen::Waiting, StartState::UnderWay) => Seen::Starting,
            (Seen::Waiting, StartState::Unknown(until)) if until > now => Seen::Starting,
            (Seen::Waiting, StartState::Unstarted(until)) if until > now => Seen::Unstarted,
            (Seen::Waiting, StartState::Refused(until)) if until > now => Seen::HeldBack,
            (seen, _) => seen,
        }
    }

    fn settled_entries(&self, now: Instant) -> Vec<Entry> {
        let fresh = self.fresh.iter().filter_map(|name| self.runs.named(name));
        let settled = fresh.filter(|run| run.view.phase == Phase::Waiting && run.is_settled(now));
        self.in_place(settled)
    }

    fn entries(&self, names: &BTreeSet<Arc<str>>) -> Vec<Entry> {
        self.in_place(names.iter().filter_map(|name| self.runs.named(name)))
    }

    fn in_place<'a>(&self, runs: impl Iterator<Item = &'a Run>) -> Vec<Entry> {
        let mut events = None;
        runs.map(|run| Entry::new(run.view.key.clone(), self.order(&run.view, &mut events))).collect()
    }

    /// The run's place: by its event if it has one, by its own creation otherwise.
    fn order(&self, view: &RunView, events: &mut Option<HashMap<u64, i64>>) -> OrderKey {
        let Some(place) = &view.place else { return OrderKey::alone(view.created) };
        // The event's first run must be of the event by its own word, lest a run names an old one to get before others.
        let first = self.runs.named(&place.first).map(|run| &run.view);
        let first = first.filter(|first| first.place.as_ref().is_some_and(|other| other.event == place.event));
        let event_created = match first {
            Some(first) => first.created,
            // It is done and gone: the oldest of those left stands for it.
            None => *events.get_or_insert_with(|| self.oldest_by_event()).get(&place.event).unwrap_or(&view.created),
        };
        OrderKey { event_created, position: place.position, created: view.created }
    }

    fn oldest_by_event(&self) -> HashMap<u64, i64> {
        let mut oldest = HashMap::new();
        for run in self.runs.iter() {
            if let Some(place) = &run.view.place {
                let created = oldest.entry(place.event).or_insert(run.view.created);
                *created = run.view.created.min(*created);
            }
        }
        oldest
    }

    /// What is known of `run`, by the watch or by a live read.
    fn run(&self, run: &RunKey) -> Option<&Run> {
        self.runs.get(run).or_else(|| self.outsiders.get(run).map(|(known, _)| known))
    }

    /// Likewise.
    fn run_mut(&mut self, run: &RunKey) -> Option<&mut Run> {
        self.runs.get_mut(run).or_else(|| self.outsiders.get_mut(run).map(|(known, _)| known))
    }
}

fn seen_phase(phase: Phase) -> Seen {
    match phase {
        Phase::Arriving | Phase::Waiting => Seen::Waiting,
        Phase::Withdrawn => Seen::Withdrawn,
        Phase::Running => Seen::Running,
        // An operator took its slot although it runs: it is over as far as slots go.
        Phase::Done(_) | Phase::Released => Seen::Over,
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
mod tests {
    use super::*;
    use crate::index::tests::view;

    /// A repository of which one run is shown, in `phase`.
    pub(super) fn shown(phase: Phase) -> (RepositoryState, RunKey, Instant) {
        let (mut state, view, now) = (RepositoryState::default(), view(phase), Instant::now());
        let run = view.key.clone();
        state.apply_run(view, now, Duration::ZERO);
        (state, run, now)
    }
}
