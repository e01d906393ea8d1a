//! Who is told, when, and once.

use pac_kube::convert::FinalState;
use pac_kube::hold::Hold;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1000 + second).unwrap()
}

fn view(name: &str, phase: Phase) -> RunView {
    RunView {
        key: RunKey::new("ns", name, name).unwrap(),
        repository: repository(),
        created: 1000,
        phase,
        begun: None,
        release_reason: None,
        event: None,
        place: None,
        awaits_secret: false,
        has_pacs_order: false,
        hold: Hold::None,
        notice: None,
        complaint: None,
    }
}

fn repository() -> RepositoryKey {
    RepositoryKey::new("ns", "repo").unwrap()
}

fn run(name: &str) -> RunKey {
    view(name, Phase::Waiting).key
}

/// Those of these names wait, since second 0 and in the queue.
fn waiting(names: &[&str]) -> Waits {
    let mut waits = Waits::default();
    for (name, place) in names.iter().zip(1..) {
        assert_eq!(saw(&mut waits, name, Phase::Waiting, 5), None);
        waits.joined(&repository(), &run(name), place, at(5));
    }
    waits
}

fn saw(waits: &mut Waits, name: &str, phase: Phase, second: i64) -> Option<Wait> {
    waits.saw(&view(name, phase), Traced::default, true, at(second))
}

fn told(wait: Option<Wait>) -> (Outcome, i64, i64) {
    let wait = wait.unwrap();
    (wait.outcome, wait.began.as_second() - 1000, wait.ended.as_second() - 1000)
}

#[test]
fn a_run_that_is_started_is_told_once_however_late_the_watch_is() {
    let mut waits = waiting(&["a"]);
    waits.wait_for(&repository(), Reason::Slot, at(6));
    waits.happened(&repository(), &run("a"), Event::Refused, at(7));
    let wait = waits.started(&repository(), &run("a"), at(9)).unwrap();
    assert_eq!((wait.place, &wait.reasons[..]), (Some(1), &[Reason::Slot, Reason::Refused][..]));
    assert_eq!(wait.events, [(at(5), Event::Queued), (at(7), Event::Refused)]);
    assert_eq!(told(Some(wait)), (Outcome::Started, 0, 9));
    assert_eq!(waits.started(&repository(), &run("a"), at(9)), None);
    for (phase, second) in [(Phase::Waiting, 10), (Phase::Running, 11), (Phase::Waiting, 100)] {
        assert_eq!(saw(&mut waits, "a", phase, second), None);
        assert_eq!(waits.forget_gone(true, at(second + 40)), []);
    }
    assert_eq!(waits.released(&repository(), &run("a"), &End::Done(FinalState::Completed), at(200)), None);
    waits.gone(&repository(), "a", at(200));
    assert_eq!(waits.forget_gone(true, at(231)), []);
    assert!(waits.queues.is_empty(), "nothing is kept of who is gone");
}

#[test]
fn a_run_that_is_cancelled_waited_until_that_was_seen() {
    let mut waits = waiting(&["a", "b"]);
    assert_eq!(saw(&mut waits, "a", Phase::Withdrawn, 7), None, "whoever frees its place tells");
    let withdrawn = waits.released(&repository(), &run("a"), &End::Withdrawn, at(8));
    assert_eq!(told(withdrawn), (Outcome::Withdrawn, 0, 7));
    waits.gone(&repository(), "b", at(9));
    assert_eq!(told(waits.released(&repository(), &run("b"), &End::Gone, at(10))), (Outcome::Gone, 0, 9));
}

#[test]
fn of_a_run_that_never_had_a_place_the_watch_alone_tells() {
    let mut waits = Waits::default();
    for name in ["a", "b", "c"] {
        saw(&mut waits, name, Phase::Arriving, 1);
    }
    assert_eq!(told(saw(&mut waits, "a", Phase::Withdrawn, 2)), (Outcome::Withdrawn, 0, 2));
    waits.gone(&repository(), "b", at(3));
    waits.gone(&repository(), "c", at(3));
    assert_eq!(saw(&mut waits, "c", Phase::Arriving, 4), None, "a list was behind");
    assert_eq!(waits.forget_gone(true, at(32)), []);
    let gone = waits.forget_gone(true, at(33));
    assert_eq!(gone.into_iter().map(|wait| (wait.run, wait.ended)).collect::<Vec<_>>(), [(run("b"), at(3))]);
    assert!(waits.started(&repository(), &run("c"), at(40)).is_some());
}

#[test]
fn one_that_does_not_lead_tells_nothing_and_knows_all_when_it_comes_to_lead() {
    let mut waits = Waits::default();
    let saw = |waits: &mut Waits, name, phase| waits.saw(&view(name, phase), Traced::default, false, at(60));
    for name in ["started", "cancelled", "gone", "waits"] {
        saw(&mut waits, name, Phase::Waiting);
    }
    assert_eq!(saw(&mut waits, "started", Phase::Running), None);
    assert_eq!(saw(&mut waits, "cancelled", Phase::Withdrawn), None);
    waits.gone(&repository(), "cancelled", at(61));
    waits.gone(&repository(), "gone", at(61));
    assert_eq!(waits.forget_gone(false, at(120)), []);
    assert_eq!(waits.queues[&repository()].runs.len(), 1);
    let wait = waits.started(&repository(), &run("waits"), at(121)).unwrap();
    assert_eq!((wait.place, told(Some(wait))), (None, (Outcome::Started, 0, 121)), "it waited since it was created");
}

#[test]
fn who_was_started_by_somebody_else_is_told_apart_from_a_start_under_way() {
    let mut waits = waiting(&["a", "b"]);
    assert_eq!(waits.adopted(&repository(), &run("a"), at(6)), None, "ours may be about to be answered");
    assert_eq!(saw(&mut waits, "b", Phase::Running, 7), None);
    assert_eq!(told(waits.adopted(&repository(), &run("b"), at(8))), (Outcome::StartedElsewhere, 0, 7));
}

#[test]
fn another_run_under_its_name_is_another_wait() {
    let mut waits = waiting(&["a"]);
    let again = RunView { key: RunKey::new("ns", "a", "2").unwrap(), created: 1010, ..view("a", Phase::Waiting) };
    let former = waits.saw(&again, Traced::default, true, at(12));
    assert_eq!(told(former), (Outcome::Gone, 0, 12));
    assert_eq!(waits.started(&repository(), &run("a"), at(13)), None);
    assert_eq!(told(waits.started(&repository(), &again.key, at(14))), (Outcome::Started, 10, 14));
}

#[test]
fn who_got_a_slot_at_once_waited_for_none() {
    let mut waits = Waits::default();
    saw(&mut waits, "a", Phase::Waiting, 1);
    waits.wait_for(&repository(), Reason::Slot, at(0));
    waits.happened(&repository(), &run("a"), Event::Admitted, at(2));
    assert_eq!(waits.waited_for(at(3)), []);
    assert_eq!(waits.waited_for(at(10)), [repository()], "it is in a queue that another watcher made");
    assert_eq!(waits.started(&repository(), &run("a"), at(3)).unwrap().reasons, []);
}

#[test]
fn much_that_happens_is_counted_and_not_kept() {
    let mut waits = waiting(&["a"]);
    (0..100).for_each(|second| waits.happened(&repository(), &run("a"), Event::Unanswered, at(second)));
    let wait = waits.started(&repository(), &run("a"), at(100)).unwrap();
    assert_eq!((wait.events.len(), wait.events_dropped), (EVENTS, 100 + 1 - EVENTS as u32));
    assert_eq!(wait.reasons, [Reason::Unanswered]);
}

#[test]
fn a_wait_begins_when_its_run_was_created_and_never_ends_before() {
    let precise = Timestamp::from_millisecond(1_000_400).unwrap();
    assert_eq!(began(1000, precise), precise, "seen within that second");
    assert_eq!((began(1000, at(1)), began(1000, at(-1))), (at(0), at(0)));
    let mut waits = waiting(&["a"]);
    let wait = waits.started(&repository(), &run("a"), at(-50));
    assert_eq!(told(wait), (Outcome::Started, 0, 0), "two machines' clocks differ");
}
