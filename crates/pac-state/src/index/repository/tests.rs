//! What is known of the runs of one repository, and what becomes of it.

use pac_concurrency::protocol::{FORMER_START_LASTS, LIVE_READ_STANDS, STOPPING_LASTS};
use pac_concurrency::{Entry, FIRST_KEPT, Holder, OrderKey, Version};
use pac_kube::convert::FinalState;
use pac_kube::execution_order::EventPlace;
use pac_kube::live_read::Confirmed;

use super::*;
use crate::index::tests::view;

/// A repository of which one run is shown, in `phase`.
pub(super) fn shown(phase: Phase) -> (RepositoryState, RunKey, Instant) {
    let (mut state, view, now) = (RepositoryState::new(true), view(phase), Instant::now());
    let run = view.key.clone();
    state.apply_run(view, now, Duration::ZERO);
    (state, run, now)
}

fn limit(number: u32) -> Limit {
    Limit::effective(Some(number.into()), None)
}

/// What is decided where the store has nothing but a slot for `run`.
fn decided(state: &mut RepositoryState, run: &RunKey, now: Instant) -> Plan {
    let entry = Entry::new(run.clone(), OrderKey::alone(0));
    let slot = Slot { entry, holder: Holder::new("us"), lapsed: false };
    let snapshot = Snapshot { version: Version::new(1), slots: [(run.clone(), slot)].into(), ..Snapshot::empty() };
    state.decide(limit(1), Scope::Head, &snapshot, &|_| SlotOwnership::Mine, now)
}

fn named(name: &str, uid: &str, phase: Phase) -> RunView {
    RunView { key: RunKey::new("ns", name, uid).unwrap(), ..view(phase) }
}

#[test]
fn a_namesake_replaced_is_over_and_its_slot_is_freed() {
    let (mut state, run, now) = shown(Phase::Running);
    state.apply(&Plan { adopted: vec![Entry::new(run.clone(), OrderKey::alone(0))], ..Plan::default() }, now);
    state.apply_run(named("run", "another", Phase::Waiting), now, Duration::ZERO);
    assert_eq!(decided(&mut state, &run, now).released, [run], "P5: a name is free once its object is gone");
}

#[test]
fn a_run_found_done_does_not_run_because_the_watch_is_behind() {
    let (mut state, run, now) = shown(Phase::Running);
    let done = RunView { phase: Phase::Done(FinalState::Completed), ..view(Phase::Running) };
    state.confirm(Confirmed::Is(done), now);
    // An older version, which was on its way.
    state.apply_run(RunView { begun: Some(3), ..view(Phase::Running) }, now, Duration::ZERO);
    let plan = decided(&mut state, &run, now);
    assert_eq!((plan.released, plan.adopted), (vec![run], vec![]));
    assert_eq!(state.tally(now).running, 0);
}

#[test]
fn a_run_that_was_only_not_to_run_counts_when_it_runs_after_all() {
    for phase in [Phase::Withdrawn, Phase::Stopping] {
        let (mut state, run, now) = shown(Phase::Waiting);
        state.confirm(Confirmed::Is(view(phase)), now);
        state.apply_run(view(phase), now, Duration::ZERO);
        let later = now + Duration::from_secs(60);
        state.confirm(Confirmed::Is(view(phase)), later);
        assert_eq!(decided(&mut state, &run, later).released, std::slice::from_ref(&run));
        state.apply_run(view(Phase::Running), later, Duration::ZERO);
        let plan = state.decide(limit(1), Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, later);
        assert_eq!(plan.adopted.len(), 1, "P1: {phase:?}");
    }
}

#[test]
fn a_waiting_run_is_passed_only_once_it_was_found_unreadable_and_until_it_can_be_read() {
    let (mut state, run, now) = shown(Phase::Waiting);
    let first = named("first", "uid-of-first", Phase::Waiting);
    let (head, tail) =
        (Entry::new(first.key.clone(), OrderKey::alone(-1)), Entry::new(run.clone(), OrderKey::alone(0)));
    let waiting = [head, tail.clone()].into();
    let snapshot = Snapshot { version: Version::new(1), waiting, waiting_count: 2, ..Snapshot::empty() };
    // By then nobody may still be told to go first.
    let later = now + Duration::from_secs(60);
    let granted = |state: &mut RepositoryState| {
        state.decide(limit(1), Scope::Head, &snapshot, &|_| SlotOwnership::Mine, later).granted
    };
    assert_eq!(granted(&mut state), [], "P3: it is yet to be read");
    state.note_unreadable(&first.key);
    assert_eq!(granted(&mut state), std::slice::from_ref(&tail), "P10");
    state.confirm(Confirmed::Is(first), later);
    assert!(!granted(&mut state).contains(&tail), "P3: it is the first of them again");
}

#[test]
fn a_run_that_moved_to_another_repository_and_back_is_not_over() {
    let (mut state, run, now) = shown(Phase::Running);
    state.apply(&Plan { adopted: vec![Entry::new(run.clone(), OrderKey::alone(0))], ..Plan::default() }, now);
    // It was away when it was read, and is back before the answer is taken in.
    state.confirm(Confirmed::Elsewhere(run.clone()), now);
    assert!(decided(&mut state, &run, now).removed().count() == 0, "P1");
    // It goes, the slot is asked about, and it comes back.
    state.remove_run("ns/run");
    state.confirm(Confirmed::Elsewhere(run.clone()), now);
    assert_eq!(decided(&mut state, &run, now).released, std::slice::from_ref(&run));
    state.apply_run(view(Phase::Running), now, Duration::ZERO);
    assert!(decided(&mut state, &run, now).removed().count() == 0);
}

#[test]
fn a_run_with_a_slot_is_started_unless_it_is_found_started() {
    for (phase, starts) in [(Phase::Waiting, true), (Phase::Running, false), (Phase::Stopping, false)] {
        let (mut state, run, now) = shown(Phase::Waiting);
        state.confirm(Confirmed::Is(view(phase)), now);
        let plan = decided(&mut state, &run, now);
        assert_eq!((plan.resume.contains(&run), plan.removed().count()), (starts, 0), "{phase:?}");
    }
}

#[test]
fn a_run_found_stopping_counts_as_long_as_its_last_tasks_may_begin() {
    let instant = Duration::from_millis(1);
    for (after, counts) in [(STOPPING_LASTS - instant, true), (STOPPING_LASTS, false)] {
        let (mut state, run, now) = shown(Phase::Waiting);
        state.confirm(Confirmed::Is(view(Phase::Stopping)), now);
        state.confirm(Confirmed::Is(view(Phase::Stopping)), now + after);
        assert_eq!(decided(&mut state, &run, now + after).released.is_empty(), counts, "P1, P5: {after:?}");
    }
}

/// Another watcher may have a start of it under way, and Tekton be away: it may begin with its last tasks.
#[test]
fn a_run_found_stopping_and_not_shown_counts_as_long_as_its_last_tasks_may_begin() {
    let instant = Duration::from_millis(1);
    for (after, counts) in [(Duration::ZERO, true), (STOPPING_LASTS - instant, true), (STOPPING_LASTS, false)] {
        let (mut state, run, now) = (RepositoryState::new(true), view(Phase::Stopping).key, Instant::now());
        state.confirm(Confirmed::Is(view(Phase::Stopping)), now);
        assert!(decided(&mut state, &run, now).released.is_empty(), "P1: {after:?}");
        assert_eq!(state.next_look(), Some(now + STOPPING_LASTS), "P4");
        // The pass at that time asks again.
        let _ = decided(&mut state, &run, now + after);
        state.confirm(Confirmed::Is(view(Phase::Stopping)), now + after);
        assert_eq!(decided(&mut state, &run, now + after).released.is_empty(), counts, "P1, P5: {after:?}");
    }
}

#[test]
fn a_run_whose_last_tasks_begin_late_counts_though_the_watch_does_not_show_it() {
    for first in [view(Phase::Stopping), view(Phase::Waiting)] {
        let (mut state, run, now) = (RepositoryState::new(true), first.key.clone(), Instant::now());
        state.confirm(Confirmed::Is(first), now);
        state.confirm(Confirmed::Is(view(Phase::Stopping)), now);
        let later = now + STOPPING_LASTS;
        let _ = decided(&mut state, &run, later);
        state.confirm(Confirmed::Is(view(Phase::Running)), later);
        let plan = decided(&mut state, &run, later);
        assert_eq!((plan.released, plan.confirm, plan.held), (vec![], vec![], 1));
    }
}

/// Forgotten with what was found before, it would be found stopping for the first time again and again.
#[test]
fn a_run_not_shown_that_comes_to_stop_is_over_when_its_last_tasks_can_not_begin_any_more() {
    let (first, between) = (LIVE_READ_STANDS / 3, LIVE_READ_STANDS);
    for before in [Phase::Waiting, Phase::Stopping] {
        let (mut state, run, now) = (RepositoryState::new(true), view(before).key, Instant::now());
        state.confirm(Confirmed::Is(view(before)), now);
        let stops_at = if before == Phase::Stopping { now } else { now + first };
        let reads = [now + first, now + between, stops_at + STOPPING_LASTS];
        for at in reads {
            let _ = decided(&mut state, &run, at);
            state.confirm(Confirmed::Is(view(Phase::Stopping)), at);
        }
        assert_eq!(decided(&mut state, &run, reads[2]).released, [run], "P4: {before:?}");
    }
}

#[test]
fn a_run_not_shown_whose_last_tasks_begin_is_adopted() {
    let (mut state, now) = (RepositoryState::new(true), Instant::now());
    state.confirm(Confirmed::Is(view(Phase::Stopping)), now);
    state.confirm(Confirmed::Is(view(Phase::Running)), now);
    let plan = state.decide(limit(1), Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, now);
    assert_eq!(plan.adopted.len(), 1, "P1");
}

#[test]
fn a_run_that_is_found_and_not_shown_counts_for_a_while() {
    for (after, adopted) in [(Duration::ZERO, 1), (LIVE_READ_STANDS, 0)] {
        let (mut state, now) = (RepositoryState::new(true), Instant::now());
        state.confirm(Confirmed::Is(view(Phase::Running)), now);
        let none = Snapshot::empty();
        let plan = state.decide(limit(1), Scope::Head, &none, &|_| SlotOwnership::Mine, now + after);
        assert_eq!(plan.adopted.len(), adopted, "P1: {after:?}");
    }
}

#[test]
fn an_event_whose_first_run_is_gone_began_with_the_oldest_left() {
    let mut state = RepositoryState::new(true);
    let now = Instant::now();
    let of_event = |name: &str, created: i64, position: u32| RunView {
        created,
        place: Some(EventPlace { event: 7, first: "gone".into(), position }),
        ..named(name, name, Phase::Waiting)
    };
    state.apply_run(of_event("b", 11, 1), now, Duration::ZERO);
    state.apply_run(of_event("c", 14, 2), now, Duration::ZERO);
    state.set_limit(limit(1));
    let plan = state.decide(limit(1), Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, now);
    let began: Vec<i64> = plan.enqueued.iter().map(|entry| entry.order.event_created).collect();
    assert_eq!(began, [11, 11], "P3");
}

/// As it does while the system is switched off.
#[test]
fn an_order_that_came_while_nobody_looked_corrects_a_place_at_the_first_whole_pass() {
    let now = Instant::now();
    let of_event = |name: &str, created: i64, position: u32| RunView {
        created,
        event: Some(7),
        place: Some(EventPlace { event: 7, first: "gone".into(), position }),
        ..named(name, name, Phase::Waiting)
    };
    let (second, last) = (of_event("b", 11, 1), of_event("c", 14, 5));
    let stored = |run: &RunView, position| {
        let order = OrderKey { event_created: 9, position, created: run.created };
        Entry::new(run.key.clone(), order)
    };
    // By names, as long as the others of its event weren't there, the last one was taken for the first.
    // One that stands farther behind stays there, and so does what an earlier implementation left.
    for (position, moved) in [(0, vec![stored(&last, 5)]), (5, vec![]), (6, vec![]), (FIRST_KEPT, vec![])] {
        let mut state = RepositoryState::new(true);
        state.apply_run(second.clone(), now, Duration::ZERO);
        state.apply_run(last.clone(), now, Duration::ZERO);
        let waiting = [stored(&second, 1), stored(&last, position)].into();
        let snapshot = Snapshot { version: Version::new(1), waiting, waiting_count: 2, ..Snapshot::empty() };
        let plan = state.decide(limit(1), Scope::Whole, &snapshot, &|_| SlotOwnership::Mine, now);
        assert_eq!((plan.granted, plan.moved), (vec![stored(&second, 1)], moved), "P3");
    }
}

/// PAC's order comes minutes late in a burst.
#[test]
fn the_next_of_an_event_is_behind_the_others_whether_the_first_ones_are_gone_or_were_never_seen() {
    let now = Instant::now();
    let of_event = |name: &str, created: i64| RunView { created, event: Some(7), ..named(name, name, Phase::Waiting) };
    let entry = |run: &RunView, position| {
        let order = OrderKey { event_created: 9, position, created: run.created };
        Entry::new(run.key.clone(), order)
    };
    let (second, third) = (of_event("b", 10), of_event("c", 11));
    let snapshot = Snapshot {
        version: Version::new(1),
        waiting: [entry(&second, 1)].into(),
        waiting_count: 1,
        ..Snapshot::empty()
    };
    for was_seen in [true, false] {
        let mut state = RepositoryState::new(true);
        let first = was_seen.then(|| of_event("a", 9));
        for run in first.into_iter().chain([second.clone(), third.clone()]) {
            state.apply_run(run, now, Duration::ZERO);
        }
        state.remove_run("ns/a");
        let later = now + Duration::from_secs(11);
        let plan = state.decide(limit(1), Scope::Whole, &snapshot, &|_| SlotOwnership::Mine, later);
        assert_eq!((plan.granted, plan.enqueued), (vec![entry(&second, 1)], vec![entry(&third, 2)]), "P3, {was_seen}");
    }
}

/// It was queued and its order came, while that of the one behind it is still to come.
#[test]
fn the_next_of_an_event_is_behind_one_whose_order_tells_more_than_names() {
    let (mut state, now) = (RepositoryState::new(true), Instant::now());
    let of_event = |name: &str, place| RunView { event: Some(7), place, ..named(name, name, Phase::Waiting) };
    let place = EventPlace { event: 7, first: "gone".into(), position: 6 };
    state.apply_run(of_event("b", Some(place)), now, Duration::ZERO);
    state.apply_run(of_event("c", None), now, Duration::ZERO);
    let plan = state.decide(limit(1), Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, now);
    let positions = |entries: &[Entry]| entries.iter().map(|entry| entry.order.position).collect::<Vec<_>>();
    assert_eq!((positions(&plan.granted), positions(&plan.enqueued)), (vec![6], vec![6, 7]), "P3");
}

#[test]
fn what_gets_its_slot_back_keeps_the_place_that_the_store_has() {
    let (mut state, run, now) = shown(Phase::Waiting);
    assert!(state.begin_start(&run, now));
    // The store lost the slot, and has the run in the queue again, as it was before.
    let stored = Entry::new(run, OrderKey::alone(-1));
    let snapshot =
        Snapshot { version: Version::new(1), waiting: [stored.clone()].into(), waiting_count: 1, ..Snapshot::empty() };
    let plan = state.decide(limit(1), Scope::Whole, &snapshot, &|_| SlotOwnership::Mine, now);
    assert_eq!(plan.adopted, [stored]);
}

#[test]
fn a_final_state_that_could_not_be_written_is_looked_at_whatever_else_is() {
    let (mut state, run, now) = shown(Phase::Done(FinalState::Completed));
    state.decide(limit(1), Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, now);
    for _ in 0..9 {
        assert_eq!(state.take_done_runs(now + Duration::from_secs(60)).len(), 1);
        let until = state.unmark(&run, now).unwrap();
        // A pass for another reason, before it is due.
        state.decide(limit(1), Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, now);
        assert!(state.take_done_runs(now).is_empty());
        assert_eq!(state.next_look(), Some(until), "P4");
    }
}

#[test]
fn an_unknown_or_refused_start_is_not_sent_again_at_once() {
    let (mut state, run, now) = shown(Phase::Waiting);
    assert!(state.begin_start(&run, now));
    let until = state.doubt_start(&run, now).unwrap();
    assert!(!state.begin_start(&run, now));
    assert!(state.begin_start(&run, until));
    let until = state.refuse_start(&run, "no", until).unwrap();
    assert!(!state.begin_start(&run, until - Duration::from_millis(1)));
    assert!(state.begin_start(&run, until));
}

#[test]
fn what_is_being_started_counts_though_the_store_has_no_slot_for_it() {
    let (mut state, run, now) = shown(Phase::Waiting);
    state.set_limit(limit(1));
    assert!(state.begin_start(&run, now));
    state.apply_run(named("other", "other", Phase::Waiting), now - Duration::from_secs(10), Duration::ZERO);
    let forgotten = |state: &mut RepositoryState, now| {
        let plan = state.decide(limit(1), Scope::Head, &Snapshot::empty(), &|_| SlotOwnership::Mine, now);
        (plan.adopted.into_iter().map(|entry| entry.run).collect::<Vec<_>>(), plan.granted.len())
    };
    assert_eq!(forgotten(&mut state, now), (vec![run.clone()], 0), "P1");
    // Nobody knows what became of it, for however long.
    let until = state.doubt_start(&run, now).unwrap();
    assert_eq!(forgotten(&mut state, until + Duration::from_secs(1)), (vec![run], 0), "P1");
}

#[test]
fn a_refusal_after_a_claim_says_nothing_of_a_run_the_watch_does_not_show() {
    let mut state = RepositoryState::new(true);
    let (run, now) = (RunKey::new("ns", "unseen", "uid").unwrap(), Instant::now());
    let entry = Entry::new(run.clone(), OrderKey::alone(0));
    state.apply(&Plan { claimed: vec![entry], ..Plan::default() }, now);
    assert!(state.may_yet_be_started(&run, now), "P1");
    assert!(!state.may_yet_be_started(&run, now + FORMER_START_LASTS));
}
