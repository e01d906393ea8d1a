//! The webhook events of a repository's runs, told by what Pipelines-as-Code writes onto each run when it creates it.
//!
//! PAC creates the runs of one event one after the other. It writes their order, which is by name, when it is done with all of
//! them: in a burst, seconds later. What is known at creation is enough to put the runs in the same order without waiting for
//! that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use pac_kube::convert::EVENT_LASTS_SECONDS;
use pac_kube::execution_order::by_name;
use tokio::time::Instant;

/// How long after the last run of an event came the event is taken to have no more runs. PAC creates the runs of one event at 50
/// a second.
pub(super) const ALL_CREATED_AFTER: Duration = Duration::from_secs(1);
/// The same where PAC's order never comes, and after the first of them was queued: PAC's controller asks for all runs of an event
/// at once, through one queue of requests, and queues one of them only when the Git provider has answered for it. So by then all
/// were asked for, and what is missing is under way.
pub(super) const UNDER_WAY_FOR: Duration = Duration::from_millis(500);

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub(super) struct WebhookEvents(HashMap<u64, Vec<WebhookEvent>>);

/// One event.
#[derive(Debug, Clone)]
pub(super) struct WebhookEvent {
    /// When its first run was created, in seconds since 1970.
    pub(super) began: i64,
    /// When this process saw the last run of the event come.
    last_came: Instant,
    /// When this process first saw that PAC had queued a run of the event.
    first_queued: Option<Instant>,
    /// Whether PAC has written the order: then it has created all runs of the event.
    pub(super) is_ordered: bool,
    runs: HashSet<Arc<str>>,
    /// Those that are done or gone. PAC's order has them, too, and those behind them may be stored already.
    gone: HashSet<Arc<str>>,
}

// === impl WebhookEvents ===

impl WebhookEvents {
    /// Notes that run `name` of event `id`, created at `created`, was seen for the first time at `now`.
    pub(super) fn join(&mut self, id: u64, name: &Arc<str>, created: i64, now: Instant) {
        let events = self.0.entry(id).or_default();
        let distance = |event: &WebhookEvent| event.began.abs_diff(created);
        let nearest = events.iter_mut().min_by_key(|event| distance(event));
        match nearest.filter(|event| distance(event) <= EVENT_LASTS_SECONDS.unsigned_abs()) {
            Some(event) => {
                event.began = event.began.min(created);
                event.last_came = event.last_came.max(now);
                event.gone.remove(name);
                event.runs.insert(Arc::clone(name));
            }
            None => {
                let runs = HashSet::from([Arc::clone(name)]);
                events.push(WebhookEvent {
                    began: created,
                    last_came: now,
                    first_queued: None,
                    is_ordered: false,
                    runs,
                    gone: HashSet::new(),
                });
            }
        }
    }

    /// Notes that the watch shows run `name` of event `id` no longer.
    pub(super) fn leave(&mut self, id: u64, name: &str) {
        let Some(events) = self.0.get_mut(&id) else { return };
        events.iter_mut().for_each(|event| event.gone.extend(event.runs.take(name)));
        events.retain(|event| !event.runs.is_empty());
        if events.is_empty() {
            self.0.remove(&id);
        }
    }

    /// Notes that PAC has written the order of the event that run `name` is of.
    pub(super) fn note_ordered(&mut self, id: u64, name: &str) {
        let events = self.0.get_mut(&id).into_iter().flatten();
        events.filter(|event| event.runs.contains(name)).for_each(|event| event.is_ordered = true);
    }

    /// Notes that PAC has queued run `name` of event `id`, or did so earlier.
    pub(super) fn note_queued(&mut self, id: u64, name: &str, now: Instant) {
        let events = self.0.get_mut(&id).into_iter().flatten();
        events.filter(|event| event.runs.contains(name)).for_each(|event| _ = event.first_queued.get_or_insert(now));
    }

    /// Notes that the store has run `name` of event `id` at a place by which the event began at `began`: its first runs may have
    /// been gone before this process saw any.
    pub(super) fn note_stored(&mut self, id: u64, name: &str, began: i64) {
        let events = self.0.get_mut(&id).into_iter().flatten();
        let events = events
            .filter(|event| event.runs.contains(name) && event.began.saturating_sub(began) <= EVENT_LASTS_SECONDS);
        events.for_each(|event| event.began = event.began.min(began));
    }

    /// The event that run `name` is of.
    pub(super) fn of(&self, id: u64, name: &str) -> Option<&WebhookEvent> {
        self.0.get(&id)?.iter().find(|event| event.runs.contains(name))
    }
}

// === impl WebhookEvent ===

impl WebhookEvent {
    /// When the event is taken to have no more runs than it has now. Where no order is to come, the first queued run tells it,
    /// too.
    pub(super) fn all_created_at(&self, orders_come: bool) -> Instant {
        match self.first_queued.filter(|_| !orders_come) {
            Some(queued) => queued.max(self.last_came) + UNDER_WAY_FOR,
            None => self.last_came + ALL_CREATED_AFTER,
        }
    }

    /// The place of each run of the event, from 0, sorted by name as PAC does it. Each is behind those of the runs before it that are
    /// `known`: by PAC's order, or in the store, where a process that saw more of them may have put them.
    pub(super) fn places(&self, known: impl Fn(&str) -> Option<u32>) -> HashMap<Arc<str>, u32> {
        let mut names: Vec<_> = self.runs.union(&self.gone).cloned().collect();
        names.sort_by(|one, other| by_name(one, other));
        let mut next = 0;
        let place = |name: Arc<str>| {
            let known = known(&name).filter(|_| self.runs.contains(&name));
            let place = known.map_or(next, |known| known.max(next));
            next = place.saturating_add(1);
            (name, place)
        };
        names.into_iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn the_runs_of_an_event_have_places_by_name_whenever_they_come() {
        let (mut events, now) = (WebhookEvents::default(), Instant::now());
        for (run, created) in [("job-10", 7), ("job-9", 8), ("job-1", 6)] {
            events.join(1, &name(run), created, now);
        }
        let event = events.of(1, "job-9").unwrap();
        assert_eq!(event.began, 6);
        let places = event.places(|_| None);
        assert_eq!(["job-1", "job-9", "job-10"].map(|run| places[run]), [0, 1, 2]);
    }

    #[test]
    fn a_run_that_is_gone_gives_its_place_to_nobody() {
        let (mut events, now) = (WebhookEvents::default(), Instant::now());
        ["a", "b", "c"].iter().for_each(|run| events.join(1, &name(run), 100, now));
        events.leave(1, "a");
        let places = |events: &WebhookEvents| events.of(1, "c").unwrap().places(|_| None);
        assert_eq!(["b", "c"].map(|run| places(&events)[run]), [1, 2]);
        events.join(1, &name("a"), 101, now);
        assert_eq!(["a", "b", "c"].map(|run| places(&events)[run]), [0, 1, 2], "one that comes again is the same");
    }

    #[test]
    fn places_are_behind_those_that_are_known_of_runs_before() {
        let (mut events, now) = (WebhookEvents::default(), Instant::now());
        ["a", "b", "c", "d"].iter().for_each(|run| events.join(1, &name(run), 100, now));
        // Others were before them that this process never saw.
        let known = |run: &str| HashMap::from([("a", 7), ("c", 9)]).get(run).copied();
        let places = events.of(1, "a").unwrap().places(known);
        assert_eq!(["a", "b", "c", "d"].map(|run| places[run]), [7, 8, 9, 10]);
        let behind = |run: &str| (run == "c").then_some(1);
        let places = events.of(1, "a").unwrap().places(behind);
        assert_eq!(["a", "b", "c", "d"].map(|run| places[run]), [0, 1, 2, 3]);
    }

    #[test]
    fn an_event_began_no_later_than_the_store_says_of_its_runs() {
        let (mut events, now) = (WebhookEvents::default(), Instant::now());
        events.join(1, &name("b"), 103, now);
        let began = |events: &WebhookEvents| events.of(1, "b").unwrap().began;
        for (stored, expected) in [(104, 103), (100, 100), (100 - EVENT_LASTS_SECONDS - 1, 100), (i64::MIN, 100)] {
            events.note_stored(1, "b", stored);
            assert_eq!(began(&events), expected);
        }
    }

    #[test]
    fn the_same_commit_built_again_later_is_another_event() {
        let (mut events, now) = (WebhookEvents::default(), Instant::now());
        events.join(1, &name("a"), 100, now);
        events.join(1, &name("b"), 100 + EVENT_LASTS_SECONDS, now);
        events.join(1, &name("c"), 101 + EVENT_LASTS_SECONDS, now);
        let began = |run: &str| events.of(1, run).unwrap().began;
        assert_eq!((began("a"), began("b"), began("c")), (100, 100, 101 + EVENT_LASTS_SECONDS));
        assert!(events.of(2, "a").is_none());
    }

    #[test]
    fn where_no_order_comes_the_first_that_is_queued_tells_that_all_are_under_way() {
        let (mut events, now) = (WebhookEvents::default(), Instant::now());
        events.join(1, &name("a"), 100, now);
        let all_created = |events: &WebhookEvents, orders_come| events.of(1, "a").unwrap().all_created_at(orders_come);
        assert_eq!(all_created(&events, false), now + ALL_CREATED_AFTER, "others may not have been asked for yet");
        events.note_queued(1, "a", now);
        events.note_queued(1, "a", now + ALL_CREATED_AFTER);
        assert_eq!(all_created(&events, false), now + UNDER_WAY_FOR);
        assert_eq!(all_created(&events, true), now + ALL_CREATED_AFTER);
        let later = now + Duration::from_millis(300);
        events.join(1, &name("b"), 100, later);
        assert_eq!(all_created(&events, false), later + UNDER_WAY_FOR);
    }

    #[test]
    fn an_event_is_there_as_long_as_one_of_its_runs() {
        let (mut events, now) = (WebhookEvents::default(), Instant::now());
        events.join(1, &name("a"), 100, now);
        events.join(1, &name("b"), 103, now);
        events.note_ordered(1, "b");
        events.leave(1, "a");
        let left = events.of(1, "b").unwrap();
        assert_eq!((left.began, left.is_ordered), (100, true), "its beginning outlives its first run");
        events.leave(1, "b");
        assert!(events.0.is_empty());
    }
}
