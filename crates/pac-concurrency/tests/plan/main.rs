//! The rule, case by case. Each test name is the behaviour; the promises it keeps are named beside it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod over_limit;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use pac_concurrency::RunState::{
    self, AwaitingSecret, BackingOff, Cancelled, Finished, NotCached, Pending, Running, Starting, Stopping, Unreadable,
};
use pac_concurrency::{
    Entry, Holder, Limit, Observation, OrderKey, Plan, RunKey, Slot, SlotOwnership, Snapshot, Version, plan,
};

/// One repository, described by what each side says of each run.
struct Scene {
    limit: Limit,
    snapshot: Snapshot,
    cluster: BTreeMap<RunKey, RunState>,
    ownership: SlotOwnership,
    /// Of those slots of which it is another one.
    ownerships: BTreeMap<RunKey, SlotOwnership>,
    unsettled_from: Option<OrderKey>,
    moved: Vec<Entry>,
    departed: Vec<RunKey>,
}

fn entry(number: i64) -> Entry {
    Entry::new(RunKey::new("ns", &format!("run-{number}"), &format!("uid-{number}")).unwrap(), OrderKey::alone(number))
}

impl Scene {
    fn new(limit: u32) -> Self {
        Self {
            limit: NonZeroU32::new(limit).map_or(Limit::Unlimited, Limit::AtMost),
            snapshot: Snapshot { version: Version::new(1), ..Snapshot::empty() },
            cluster: BTreeMap::new(),
            ownership: SlotOwnership::Mine,
            ownerships: BTreeMap::new(),
            unsettled_from: None,
            moved: Vec::new(),
            departed: Vec::new(),
        }
    }

    fn slot(mut self, number: i64, seen: RunState) -> Self {
        let slot = Slot { entry: entry(number), holder: Holder::parse("a:1").unwrap(), lapsed: false };
        self.snapshot.slots.insert(entry(number).run, slot);
        self.seen(number, seen)
    }

    fn slot_of(mut self, number: i64, seen: RunState, ownership: SlotOwnership) -> Self {
        self.ownerships.insert(entry(number).run, ownership);
        self.slot(number, seen)
    }

    fn queued(mut self, number: i64, seen: RunState) -> Self {
        self.snapshot.waiting.insert(entry(number));
        self.snapshot.waiting_count += 1;
        self.seen(number, seen)
    }

    fn seen(mut self, number: i64, seen: RunState) -> Self {
        self.cluster.insert(entry(number).run, seen);
        self
    }

    fn plan(&self) -> Plan {
        let of = |wanted: RunState| {
            let all = self.cluster.iter().filter(move |(_, seen)| **seen == wanted);
            all.map(|(run, _)| entry(run.name()[4..].parse().unwrap())).collect::<Vec<_>>()
        };
        plan(
            &self.snapshot,
            &Observation {
                limit: self.limit,
                running: [of(Running), of(Starting)].concat(),
                waiting: [of(Pending), of(AwaitingSecret)].concat(),
                moved: self.moved.clone(),
                departed: self.departed.clone(),
                settled: &|entry| self.unsettled_from.is_none_or(|from| entry.order < from),
                state: &|run| self.cluster.get(run).copied().unwrap_or(NotCached),
                ownership: &|slot| *self.ownerships.get(&slot.entry.run).unwrap_or(&self.ownership),
            },
        )
    }
}

fn runs(numbers: &[i64]) -> Vec<RunKey> {
    numbers.iter().map(|number| entry(*number).run).collect()
}

fn entries(numbers: &[i64]) -> Vec<Entry> {
    numbers.iter().map(|number| entry(*number)).collect()
}

#[test]
fn admits_up_to_the_limit_and_no_further() {
    let plan = Scene::new(2).seen(1, Pending).seen(2, Pending).seen(3, Pending).plan();
    assert_eq!(plan.granted, entries(&[1, 2]), "P1");
    assert_eq!(plan.enqueued, entries(&[1, 2, 3]));
    assert!(plan.at_limit);
    assert_eq!(plan.held, 2);
}

#[test]
fn admits_the_oldest_first() {
    let plan = Scene::new(1).queued(3, Pending).queued(1, Pending).queued(2, Pending).plan();
    assert_eq!(plan.granted, entries(&[1]), "P3");
}

#[test]
fn a_newcomer_waits_behind_older_runs() {
    let plan = Scene::new(1).queued(5, Pending).seen(9, Pending).plan();
    assert_eq!(plan.granted, entries(&[5]), "P3");
    assert_eq!(plan.enqueued, entries(&[9]));
}

#[test]
fn a_late_run_that_belongs_before_others_goes_first() {
    let plan = Scene::new(1).queued(5, Pending).seen(3, Pending).plan();
    assert_eq!(plan.granted, entries(&[3]));
}

#[test]
fn a_free_slot_goes_to_the_next_in_the_same_commit() {
    let plan = Scene::new(1).slot(1, Finished).queued(2, Pending).plan();
    assert_eq!((plan.released, plan.granted), (runs(&[1]), entries(&[2])), "P4, P5");
}

#[test]
fn running_without_a_slot_is_adopted_over_the_limit() {
    let plan = Scene::new(1).slot(1, Running).seen(2, Running).seen(3, Running).plan();
    assert_eq!(plan.adopted, entries(&[2, 3]));
    assert_eq!(plan.held, 3);
}

#[test]
fn those_over_a_lowered_limit_drain_before_anyone_is_admitted() {
    let scene = Scene::new(1).slot(1, Running).slot(2, Finished).slot(3, Running).queued(4, Pending);
    assert!(scene.plan().granted.is_empty(), "P1");
}

#[test]
fn a_run_missing_from_the_cluster_keeps_its_slot_until_confirmed() {
    let plan = Scene::new(1).slot(1, NotCached).queued(2, Pending).plan();
    assert_eq!(plan.confirm, runs(&[1]), "P5");
    assert!(plan.removed().count() == 0 && plan.granted.is_empty());
}

#[test]
fn a_withdrawn_run_with_a_slot_is_confirmed_first_and_without_one_leaves_at_once() {
    let plan = Scene::new(1).slot(1, Cancelled).queued(2, Cancelled).plan();
    assert_eq!((plan.confirm, plan.dequeued), (runs(&[1]), runs(&[2])));
}

#[test]
fn a_withdrawn_run_is_left_to_the_living_watcher_that_may_be_starting_it() {
    let mut scene = Scene::new(1).slot(1, Cancelled);
    scene.ownership = SlotOwnership::Foreign;
    let plan = scene.plan();
    assert!(plan.confirm.is_empty() && plan.foreign_pending, "P7");
}

#[test]
fn a_waiting_run_missing_from_the_cluster_is_neither_admitted_nor_dropped_nor_passed() {
    let plan = Scene::new(3).queued(1, Pending).queued(2, NotCached).queued(3, Pending).plan();
    assert!(plan.removed().count() == 0, "P6");
    assert_eq!((plan.confirm, plan.granted), (runs(&[2]), entries(&[1])), "P3: it may wait, unseen so far");
    assert!(plan.unsettled);
    let plan = Scene::new(2).slot(1, Unreadable).queued(2, Unreadable).queued(3, Pending).plan();
    assert_eq!((plan.removed().count(), plan.confirm, plan.granted), (0, runs(&[1, 2]), entries(&[3])), "P10");
}

#[test]
fn a_granted_run_still_pending_is_started_again_by_its_holder_alone() {
    let mut scene = Scene::new(1).slot(1, Pending);
    assert_eq!(scene.plan().resume, runs(&[1]), "P4");
    scene.ownership = SlotOwnership::Foreign;
    let plan = scene.plan();
    assert!(plan.resume.is_empty() && plan.claimed.is_empty() && plan.foreign_pending, "P7");
}

#[test]
fn a_run_with_a_slot_is_neither_enqueued_nor_granted_again() {
    let mut scene = Scene::new(2).slot(1, Pending);
    for ownership in [SlotOwnership::Mine, SlotOwnership::Foreign, SlotOwnership::Stalled, SlotOwnership::Lapsed] {
        scene.ownership = ownership;
        let plan = scene.plan();
        assert_eq!((plan.enqueued, plan.granted), (vec![], vec![]), "P1, P2: {ownership:?}");
    }
}

#[test]
fn a_run_named_twice_takes_one_slot() {
    let twice = Observation {
        limit: Limit::AtMost(NonZeroU32::new(2).unwrap()),
        running: Vec::new(),
        waiting: entries(&[1, 1, 2]),
        moved: Vec::new(),
        departed: Vec::new(),
        settled: &|_| true,
        state: &|_| Pending,
        ownership: &|_| SlotOwnership::Mine,
    };
    let plan = plan(&Snapshot::empty(), &twice);
    assert_eq!((plan.enqueued, plan.granted), (entries(&[1, 2]), entries(&[1, 2])));
}

#[test]
fn a_slot_of_a_dead_holder_is_claimed_and_counts_all_the_while() {
    for ownership in [SlotOwnership::Lapsed, SlotOwnership::Stalled] {
        let mut scene = Scene::new(1).slot(1, Pending).queued(2, Pending);
        scene.ownership = ownership;
        let plan = scene.plan();
        assert_eq!(plan.claimed, entries(&[1]));
        assert!(plan.granted.is_empty() && plan.resume.is_empty(), "P1");
    }
}

#[test]
fn a_running_slot_is_claimed_only_when_its_lease_lapsed() {
    let mut scene = Scene::new(1).slot(1, Running);
    scene.ownership = SlotOwnership::Stalled;
    assert!(scene.plan().claimed.is_empty());
    scene.ownership = SlotOwnership::Lapsed;
    assert_eq!(scene.plan().claimed, entries(&[1]));
}

#[test]
fn a_refused_run_keeps_its_place_and_the_next_goes() {
    let plan = Scene::new(1).slot(1, BackingOff).queued(2, Pending).plan();
    assert_eq!((plan.given_back, plan.granted), (runs(&[1]), entries(&[2])));
    let plan = Scene::new(1).queued(1, BackingOff).queued(2, Pending).plan();
    assert_eq!(plan.granted, entries(&[2]));
    assert!(plan.removed().count() == 0);
}

#[test]
fn a_refusal_does_not_give_back_another_watchers_slot() {
    let mut scene = Scene::new(1).slot(1, BackingOff).queued(2, Pending);
    scene.ownership = SlotOwnership::Foreign;
    let plan = scene.plan();
    assert!(plan.given_back.is_empty() && plan.granted.is_empty(), "P1");
    scene.ownership = SlotOwnership::Stalled;
    let plan = scene.plan();
    assert_eq!((plan.claimed, plan.given_back), (entries(&[1]), vec![]), "P1: it may have been started since");
}

#[test]
fn without_a_limit_all_are_admitted_and_none_adopted() {
    let plan = Scene::new(0).seen(1, Running).queued(2, Pending).queued(3, Pending).plan();
    assert_eq!(plan.granted, entries(&[2, 3]));
    assert!(plan.adopted.is_empty() && !plan.at_limit);
}

#[test]
fn without_a_limit_a_queued_run_that_runs_leaves_the_queue() {
    assert_eq!(Scene::new(0).queued(1, Running).plan().dequeued, runs(&[1]));
    let plan = Scene::new(1).queued(1, Running).plan();
    assert_eq!((plan.adopted, plan.dequeued), (entries(&[1]), vec![]), "with one it keeps its place, with a slot");
}

#[test]
fn a_held_repository_admits_nobody_and_still_releases() {
    let mut scene = Scene::new(1).slot(1, Finished).queued(2, Pending);
    scene.limit = Limit::Unknown;
    let plan = scene.plan();
    assert_eq!(plan.released, runs(&[1]));
    assert!(plan.granted.is_empty());
}

#[test]
fn nobody_passes_a_run_whose_place_is_still_to_come() {
    let mut scene = Scene::new(2).queued(4, Pending).queued(6, Pending);
    scene.unsettled_from = Some(OrderKey::alone(5));
    let plan = scene.plan();
    assert_eq!(plan.granted, entries(&[4]), "P3");
    assert!(plan.unsettled);
}

#[test]
fn a_partial_window_admits_only_those_known_to_be_next() {
    for (limit, too_small, newcomer) in [(3, true, true), (3, true, false), (2, false, true), (2, false, false)] {
        let mut scene = Scene::new(limit).queued(1, Pending).queued(2, Pending);
        scene = if newcomer { scene.seen(9, Pending) } else { scene };
        (scene.snapshot.whole, scene.snapshot.waiting_count) = (false, 7);
        let plan = scene.plan();
        assert_eq!(plan.granted, entries(&[1, 2]), "P3");
        assert_eq!((plan.window_too_small, plan.at_limit), (too_small, !too_small), "{limit} {newcomer}");
        scene.snapshot.whole = true;
        let plan = if newcomer { continue } else { scene.plan() };
        assert!(!plan.window_too_small && !plan.at_limit, "nobody else waits");
    }
}

#[test]
fn a_window_of_runs_that_are_over_asks_for_more() {
    let mut scene = Scene::new(1).queued(1, Finished);
    scene.snapshot.whole = false;
    let plan = scene.plan();
    assert!(plan.window_too_small && plan.dequeued == runs(&[1]));
}

#[test]
fn runs_that_left_from_behind_the_window_are_released() {
    let mut scene = Scene::new(1).slot(1, Finished).seen(7, Finished).seen(8, Pending);
    scene.departed = runs(&[1, 7, 8, 9]);
    let plan = scene.plan();
    assert_eq!((plan.released, plan.dequeued, plan.confirm), (runs(&[1]), runs(&[7]), runs(&[9])));
}

#[test]
fn a_settled_repository_needs_no_commit() {
    let plan = Scene::new(1).slot(1, Running).queued(2, Pending).plan();
    assert!(plan.commits_nothing() && plan.delta().is_empty() && plan.at_limit);
}

#[test]
fn what_is_being_started_counts_though_the_store_has_lost_its_slot() {
    for forgotten in [Scene::new(1).seen(1, Starting), Scene::new(1).queued(1, Starting)] {
        let plan = forgotten.queued(2, Pending).plan();
        assert_eq!((plan.adopted, plan.granted), (entries(&[1]), vec![]), "P1: a fail-over lost the last commits");
    }
}

#[test]
fn a_run_asked_to_stop_keeps_its_slot_and_leaves_the_queue() {
    let plan = Scene::new(1).slot(1, Stopping).queued(2, Stopping).queued(3, Pending).plan();
    assert_eq!((plan.dequeued, plan.granted), (runs(&[2]), vec![]), "P1: its last tasks may still run");
    assert!(plan.confirm.is_empty());
}

#[test]
fn nobody_passes_a_run_that_waits_for_what_it_needs() {
    let plan = Scene::new(2).queued(1, Pending).queued(2, AwaitingSecret).queued(3, Pending).plan();
    assert_eq!(plan.granted, entries(&[1]), "P3");
    assert!(plan.unsettled);
    let plan = Scene::new(2).seen(4, AwaitingSecret).plan();
    assert_eq!((plan.enqueued, plan.granted), (entries(&[4]), vec![]), "it has its place all the same");
}

#[test]
fn a_run_whose_place_has_changed_is_moved_and_admitted_in_its_new_one() {
    let at = |number: i64, place: i64| Entry::new(entry(number).run, OrderKey::alone(place));
    let mut scene = Scene::new(1).slot(9, Running).queued(1, Pending).queued(2, Pending);
    scene.moved = vec![at(1, 5)];
    let plan = scene.plan();
    assert_eq!(plan.moved, [at(1, 5)]);
    let delta = plan.delta();
    assert_eq!((delta.release, delta.enqueue), (runs(&[1]), vec![at(1, 5)]));
    scene = Scene::new(1).queued(1, Pending).queued(2, Pending);
    scene.moved = vec![at(1, 5)];
    assert_eq!(scene.plan().granted, entries(&[2]), "P3");
    scene.moved = vec![at(2, 0)];
    let plan = scene.plan();
    assert_eq!(plan.granted, [at(2, 0)], "P3");
    assert!(plan.delta().release.is_empty(), "whoever gets a slot leaves the queue by that");
    scene.moved = entries(&[1]);
    assert!(scene.plan().moved.is_empty(), "it is there already");
}

#[test]
fn a_run_with_a_slot_is_not_moved() {
    let mut scene = Scene::new(1).slot(1, Pending);
    scene.moved = vec![Entry::new(entry(1).run, OrderKey::alone(7))];
    let plan = scene.plan();
    assert!(plan.moved.is_empty() && plan.commits_nothing());
}

#[test]
fn a_slot_whose_run_is_being_started_counts() {
    for ownership in [SlotOwnership::Mine, SlotOwnership::Foreign, SlotOwnership::Stalled, SlotOwnership::Lapsed] {
        let mut scene = Scene::new(1).slot(1, Starting).queued(2, Pending);
        scene.ownership = ownership;
        let plan = scene.plan();
        assert_eq!((plan.held, plan.granted), (1, vec![]), "P1: {ownership:?}");
    }
}
