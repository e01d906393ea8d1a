//! The places of runs in the queue, and the runs whose place isn't final yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{Entry, OrderKey, RunKey, Snapshot};
use pac_kube::convert::{Phase, RunView};
use pac_kube::hold::Hold;
use tokio::time::Instant;

use super::super::SETTLE_SECONDS;
use super::RepositoryState;
use crate::index::run::{Mark, Run, StartState};

/// How long the runs behind it in its event wait for a run that PAC has created and not queued yet. PAC asks the Git provider
/// between the two.
const QUEUED_WITHIN: Duration = Duration::from_secs(10);

/// The runs whose place isn't final yet, as far as they keep others waiting.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// The earliest time, in seconds since 1970, at which the event of a run may have begun that doesn't tell its event.
    since: Option<i64>,
    /// When the first of the events of the other runs began. Runs of later events wait for it.
    after: Option<i64>,
    /// The events of the other runs, each with the place from which on its runs wait; none if all of them do.
    events: HashMap<(u64, i64), Option<OrderKey>>,
}

/// Orders of events as they were worked out, each at most once a decision.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The places of the runs of each event whose order PAC hasn't told, by the event and its beginning.
    places: HashMap<(u64, i64), HashMap<Arc<str>, u32>>,
    /// The creation time of the oldest run of each event that is known by its order alone.
    oldest: Option<HashMap<u64, i64>>,
}

// === impl Unsettled ===

impl Unsettled {
    /// Adds a run that doesn't tell its event.
    fn add_unknown(&mut self, created: i64) {
        let since = created - i64::from(SETTLE_SECONDS);
        self.since = Some(self.since.map_or(since, |before| before.min(since)));
    }

    /// Adds a run of `event` that is at place `from`; none if its place isn't known yet.
    fn add_event(&mut self, event: (u64, i64), from: Option<OrderKey>) {
        self.after = Some(self.after.map_or(event.1, |before| before.min(event.1)));
        self.events.entry(event).and_modify(|before| *before = from.min(*before)).or_insert(from);
    }

    /// Whether `entry`, of event `event`, is to wait for one of these runs.
    pub(super) fn holds(&self, entry: &Entry, event: Option<((u64, i64), Instant)>) -> bool {
        let began = entry.order.event_created;
        let of_its_own = event.and_then(|(event, _)| self.events.get(&event));
        self.since.is_some_and(|since| began >= since)
            || self.after.is_some_and(|after| began > after)
            || of_its_own.is_some_and(|from| from.is_none_or(|from| entry.order >= from))
    }
}

// === impl RepositoryState ===

impl RepositoryState {
    /// Whether a waiting run waits for this watcher. Where there is no limit, PAC makes no run wait; a run that waits all the
    /// same, and that PAC never ordered, is held by somebody else, such as Kueue.
    pub(super) fn is_ours(&self, run: &Run) -> bool {
        let to_hand_over = matches!(run.view.hold, Hold::HandOver(_));
        run.stored.is_some() || run.view.place.is_some() || to_hand_over || self.limit.is_limited()
    }

    /// Whether a pending run is ready to be queued, because PAC has said that it is. Where there is no limit PAC never says so.
    pub(super) fn is_queued(&self, run: &Run) -> bool {
        match run.view.phase {
            Phase::Waiting => true,
            Phase::Arriving => matches!(run.view.hold, Hold::HandOver(_)) && !self.limit.is_limited(),
            _ => false,
        }
    }

    /// Until when the place of a run that isn't stored, or of a run of its event before it, is still to come.
    pub(super) fn unsettled_until(&self, run: &Run) -> Option<Instant> {
        if !run.is_pending() || run.view.place.is_some() || run.stored.is_some() || !self.is_ours(run) {
            return None;
        }
        let Some(event) = run.view.event.and_then(|id| self.events.of(id, run.view.key.name())) else {
            // Where no order comes, nothing will ever tell more of its place.
            if !self.orders_come {
                return None;
            }
            return Some(run.seen_since + Duration::from_secs(SETTLE_SECONDS.into()));
        };
        if event.is_ordered {
            return None;
        }
        let queued = (!self.is_queued(run)).then(|| run.seen_since + QUEUED_WITHIN);
        let all_created_at = event.all_created_at(self.orders_come);
        Some(queued.map_or(all_created_at, |queued| queued.max(all_created_at)))
    }

    /// The runs whose place isn't final yet.
    pub(super) fn unsettled(&self, now: Instant, orders: &mut Orders) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for run in self.fresh.iter().filter_map(|name| self.runs.named(name)) {
            if self.unsettled_until(run).is_none_or(|until| until <= now) {
                continue;
            }
            match self.event_of(&run.view.key) {
                Some((event, all_created_at)) => {
                    let from = (all_created_at <= now).then(|| self.order(&run.view, orders));
                    unsettled.add_event(event, from);
                }
                None => unsettled.add_unknown(run.view.created),
            }
        }
        unsettled
    }

    /// The event that a run is of, and when the event is taken to have no more runs.
    pub(super) fn event_of(&self, run: &RunKey) -> Option<((u64, i64), Instant)> {
        let id = self.run(run)?.view.event?;
        let event = self.events.of(id, run.name())?;
        Some(((id, event.began), event.all_created_at(self.orders_come)))
    }

    pub(super) fn settled_entries(&self, now: Instant, orders: &mut Orders) -> Vec<Entry> {
        let fresh = self.fresh.iter().filter_map(|name| self.runs.named(name));
        let is_settled = |run: &&Run| self.unsettled_until(run).is_none_or(|until| until <= now);
        let settled = fresh.filter(|run| self.is_queued(run) && self.is_ours(run)).filter(is_settled);
        self.in_place(settled, orders)
    }

    /// The runs that run, that this watcher is starting, or that it may have started.
    pub(super) fn running_entries(&self, orders: &mut Orders) -> Vec<Entry> {
        let running = self.running.iter().filter_map(|name| self.runs.named(name));
        let attempted = self.attempted.iter().filter_map(|name| self.runs.named(name));
        let outsiders = self.outsiders.values().map(|(run, _)| run).filter(|run| run.is_running());
        let all = running.chain(attempted.filter(|run| run.is_starting())).chain(outsiders);
        // A place once given stays.
        let mut order = |run: &Run| run.stored.unwrap_or_else(|| self.order(&run.view, orders));
        all.map(|run| Entry::new(run.view.key.clone(), order(run))).collect()
    }

    /// Learns from a whole snapshot which runs the store has.
    pub(super) fn compare_with(&mut self, snapshot: &Snapshot) {
        let queued: HashMap<&RunKey, OrderKey> =
            snapshot.waiting.iter().map(|entry| (&entry.run, entry.order)).collect();
        let held = |run: &RunKey| snapshot.slots.get(run).map(|slot| slot.entry.order);
        let names: Vec<Arc<str>> = self.runs.names().cloned().collect();
        for name in names {
            if let Some(run) = self.runs.named_mut(&name) {
                run.stored = queued.get(&run.view.key).copied().or_else(|| held(&run.view.key));
                if let Some((event, stored)) = run.view.event.zip(run.stored).filter(|(_, stored)| !stored.is_kept()) {
                    self.events.note_stored(event, &name, stored.event_created);
                }
                // Its order may have come while nobody looked, or the store has lost the move. Names take runs that are not
                // seen yet for none, and so place one too early. To the front nobody is moved: an order that was handed back to
                // PAC's queue names those alone that were left.
                let positions = run.stored.zip(run.view.place.as_ref());
                if positions.is_some_and(|(stored, place)| stored.position < place.position) {
                    self.misplaced.insert(Arc::clone(&name));
                }
                // A full pass takes nothing on trust: a write that was acknowledged may be repeated, to no effect.
                if run.mark == Mark::Written {
                    run.mark = Mark::None;
                }
                if run.start == StartState::Acknowledged {
                    run.start = StartState::Idle;
                }
            }
            self.sort_in(&name);
        }
        self.departed.retain(|run| queued.contains_key(run));
        self.unreadable.retain(|run| queued.contains_key(run) || snapshot.slots.contains_key(run));
        let shown = |run: &RunKey| self.runs.get(run).is_some();
        self.over.retain(|run, _| queued.contains_key(run) || snapshot.slots.contains_key(run) || shown(run));
    }

    /// The runs whose place in the store isn't the one that their event's order gives them.
    pub(super) fn moved_entries(&mut self, orders: &mut Orders) -> Vec<Entry> {
        let mut moved = Vec::new();
        for name in std::mem::take(&mut self.misplaced) {
            let Some(run) = self.runs.named(&name).filter(|run| run.is_pending()) else { continue };
            // One that was left by an earlier implementation keeps its place, whatever its event says.
            let Some(stored) = run.stored.filter(|stored| !stored.is_kept()) else { continue };
            let mut order = self.order(&run.view, orders);
            if run.view.event.is_some() {
                // The event's first runs may be gone since: when it began is known no better than then.
                order.event_created = order.event_created.min(stored.event_created);
            }
            if stored != order {
                moved.push(Entry::new(run.view.key.clone(), order));
                self.misplaced.insert(name);
            }
        }
        moved
    }

    pub(super) fn in_place<'a>(&self, runs: impl Iterator<Item = &'a Run>, orders: &mut Orders) -> Vec<Entry> {
        runs.map(|run| Entry::new(run.view.key.clone(), self.order(&run.view, orders))).collect()
    }

    /// The run with its place by what the cluster shows now; none if nothing is known of the run.
    pub fn entry(&self, run: &RunKey) -> Option<Entry> {
        let view = &self.run(run)?.view;
        Some(Entry::new(view.key.clone(), self.order(view, &mut Orders::default())))
    }

    /// The run's place: by its event if that is known, by its own creation otherwise.
    pub(super) fn order(&self, view: &RunView, orders: &mut Orders) -> OrderKey {
        let name = view.key.name();
        if let Some((id, event)) = view.event.and_then(|id| Some((id, self.events.of(id, name)?))) {
            let position = match &view.place {
                Some(place) => place.position,
                None => {
                    let places = orders.places.entry((id, event.began)).or_default();
                    // Two events that look alike may be taken to have begun at once.
                    if !places.contains_key(name) {
                        places.extend(event.places(|name| self.known_position(name)));
                    }
                    places.get(name).copied().unwrap_or_default()
                }
            };
            return OrderKey { event_created: event.began, position, created: view.created };
        }
        let Some(place) = &view.place else { return OrderKey::alone(view.created) };
        // The first run must itself say that it is of the event. Otherwise a run could name an old one to get before others.
        let first = self.runs.named(&place.first).map(|run| &run.view);
        let first = first.filter(|first| first.place.as_ref().is_some_and(|other| other.event == place.event));
        let event_created = match first {
            Some(first) => first.created,
            // The first run is done and gone: the oldest of the runs left stands for it.
            None => {
                let oldest = orders.oldest.get_or_insert_with(|| self.oldest_by_event());
                *oldest.get(&place.event).unwrap_or(&view.created)
            }
        };
        OrderKey { event_created, position: place.position, created: view.created }
    }

    /// The position in its event that is known of a run, by PAC's order or by the store.
    fn known_position(&self, name: &str) -> Option<u32> {
        let run = self.runs.named(name)?;
        let stored = run.stored.filter(|stored| !stored.is_kept()).map(|stored| stored.position);
        stored.max(run.view.place.as_ref().map(|place| place.position))
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
}
