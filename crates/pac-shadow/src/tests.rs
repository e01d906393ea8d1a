//! Stories of one Repository: what is said of them.

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Entry, OrderKey, RepositoryKey, RunKey};
use pac_queue::shadow::DriftKind;

use super::*;

/// So many seconds after the beginning.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Run `run-NUMBER`, created at that second, as an event of its own.
pub(crate) fn entry(number: i64) -> Entry {
    let name = format!("run-{number}");
    Entry::new(RunKey::new("ns", &name, &format!("uid-{number}")).unwrap(), OrderKey::alone(number))
}

struct Story {
    shadow: Shadow,
    repository: RepositoryKey,
}

impl Story {
    /// It is watched from 0 on.
    fn new(name: &str, limit: u32) -> Self {
        let story = Self { shadow: Shadow::new(at(0)), repository: RepositoryKey::new("ns", name).unwrap() };
        story.shadow.limit(&story.repository, Some(limit), at(0));
        story.shadow.sees(at(0));
        story
    }

    fn is(&self, number: i64, stage: Stage, second: i64) {
        self.shadow.run(&self.repository, &entry(number), None, stage, at(second));
    }

    fn waits(&self, number: i64, second: i64) {
        self.is(number, Stage::Waiting, second);
    }

    fn runs(&self, number: i64, from: i64, to: i64) {
        self.starts(number, from);
        self.ends(number, to);
    }

    fn starts(&self, number: i64, second: i64) {
        self.is(number, Stage::Running, second);
    }

    fn ends(&self, number: i64, second: i64) {
        self.is(number, Stage::Over, second);
        // PAC writes its final state, and it is no longer watched.
        self.shadow.gone(&self.repository, entry(number).run.name(), at(second));
    }

    fn report(&self, second: i64) -> ShadowReport {
        self.shadow.report("shadow", at(second))
    }
}

fn name(number: i64) -> String {
    entry(number).run.path().to_owned()
}

#[test]
fn a_slow_queue_is_measured_beside_what_ours_would_have_done() {
    let story = Story::new("slow", 1);
    (1..=3).for_each(|number| story.waits(number, number));
    story.runs(1, 3, 13);
    story.runs(2, 18, 28);
    story.runs(3, 33, 43);
    let report = story.report(43);
    let total = report.total;
    assert_eq!((total.started, total.waits.longest_seconds, total.waits.total_seconds), (3, 30.0, 48.0));
    assert_eq!((total.would_have.count, total.would_have.total_seconds), (3, 27.0), "from 1, 11 and 21 on");
    assert_eq!((total.hand_offs.count, total.hand_offs.longest_seconds), (2, 5.0));
    // Of 43 s all but the 30 it was taken, and the first, in which nobody waited.
    assert_eq!(total.idle_slot_seconds, 12.0);
    assert_eq!((total.times_over, total.forgotten, total.passed, total.assumed), (0, 0, 0, 0));
    assert_eq!(report.drift, []);
    assert_eq!((report.repositories.len(), report.limited_repositories), (1, 1));
    assert_eq!((report.repositories[0].total, report.days[0].total), (total, total));
}

#[test]
fn a_run_that_waits_beside_a_free_slot_is_forgotten_and_named_once() {
    let story = Story::new("forgetful", 2);
    story.waits(1, 10);
    assert_eq!(story.report(39).drift, []);
    story.waits(2, 50);
    story.runs(2, 51, 60);
    let [drift] = &story.report(100).drift[..] else { panic!("{:?}", story.report(100).drift) };
    assert_eq!(drift.what, DriftKind::Forgotten { run: name(1), passed_by: 1 });
    assert_eq!((drift.since, drift.until), (at(10), None));
    story.starts(1, 200);
    let report = story.report(200);
    assert_eq!(report.drift[0].until, Some(at(200)));
    assert_eq!((report.total.forgotten, report.drift.len()), (1, 1));
}

#[test]
fn where_no_slot_is_free_nobody_is_forgotten() {
    let story = Story::new("full", 1);
    story.starts(1, 0);
    story.waits(2, 5);
    assert_eq!(story.report(1000).drift, []);
    story.ends(1, 1000);
    assert_eq!(story.report(1029).drift, [], "from then on it counts");
    assert_eq!(story.report(1030).drift.len(), 1);
}

#[test]
fn a_run_that_others_pass_is_named_unless_it_follows_at_once() {
    let story = Story::new("unordered", 1);
    (1..=4).for_each(|number| story.waits(number, number));
    story.starts(2, 5);
    story.starts(1, 8); // side by side: over the limit, but hardly passed
    assert_eq!(story.report(9).total.passed, 0);
    story.ends(1, 10);
    story.ends(2, 10);
    story.runs(4, 11, 20);
    let drift = story.report(20).drift;
    let passed = DriftKind::Passed { run: name(3), first_by: name(4), passed_by: 1 };
    assert_eq!(drift.iter().filter(|drift| drift.what == passed).count(), 1, "{drift:?}");
    assert_eq!(drift.len(), 2, "{drift:?}");
}

#[test]
fn creation_within_one_second_is_no_order() {
    let story = Story::new("tied", 1);
    let tied = |name: &str, position| {
        let order = OrderKey { position, ..OrderKey::alone(1) };
        Entry::new(RunKey::new("ns", name, name).unwrap(), order)
    };
    let is = |entry: &Entry, event, stage, second| {
        story.shadow.run(&story.repository, entry, Some(event), stage, at(second));
    };
    let (a, b, c) = (tied("a", 0), tied("b", 1), tied("c", 2));
    is(&a, 1, Stage::Waiting, 1);
    is(&b, 2, Stage::Waiting, 1);
    is(&c, 2, Stage::Waiting, 1);
    is(&c, 2, Stage::Running, 2);
    let drift = story.report(20).drift;
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert!(matches!(&drift[0].what, DriftKind::Passed { run, .. } if run == "ns/b"), "of its own event: {drift:?}");
}

#[test]
fn runs_over_the_limit_are_named_with_the_time_they_took() {
    let story = Story::new("over", 2);
    (1..=4).for_each(|number| story.waits(number, number));
    (1..=4).for_each(|number| story.starts(number, 10));
    story.ends(1, 20);
    story.ends(2, 30);
    let report = story.report(100);
    let what = DriftKind::OverLimit { limit: 2, most: 4, started: vec![name(3), name(4)] };
    assert_eq!(report.drift.iter().map(|drift| &drift.what).collect::<Vec<_>>(), [&what]);
    assert_eq!((report.drift[0].since, report.drift[0].until), (at(10), Some(at(30))));
    assert_eq!((report.total.times_over, report.total.over_run_seconds), (1, 30.0));
}

#[test]
fn who_ran_when_the_limit_was_set_or_the_watch_began_is_not_over_it() {
    let story = Story { shadow: Shadow::new(at(0)), repository: RepositoryKey::new("ns", "draining").unwrap() };
    (1..=3).for_each(|number| story.starts(number, 0));
    story.shadow.limit(&story.repository, Some(2), at(0));
    story.shadow.sees(at(1));
    assert_eq!(story.report(10).total.times_over, 0);
    story.shadow.limit(&story.repository, Some(1), at(10));
    assert_eq!(story.report(20).total.times_over, 0);
    story.waits(4, 21);
    story.starts(4, 22);
    assert_eq!(story.report(30).total.times_over, 1, "this one was started on top");
}

#[test]
fn what_nobody_saw_is_not_measured() {
    let story = Story::new("unseen", 1);
    story.waits(1, 10);
    story.shadow.is_blind(at(20));
    story.shadow.sees(at(500));
    let report = story.report(520);
    assert_eq!((report.unseen_seconds, report.total.idle_slot_seconds), (480.0, 30.0));
    assert_eq!(report.drift, [], "it may have been started and stopped meanwhile");
    assert_eq!(story.report(530).drift.len(), 1, "but not since");
}

#[test]
fn another_run_of_the_same_name_is_another_run() {
    let story = Story::new("again", 1);
    story.waits(1, 1);
    let again = Entry::new(RunKey::new("ns", "run-1", "another").unwrap(), OrderKey::alone(100));
    story.shadow.run(&story.repository, &again, None, Stage::Waiting, at(20));
    story.shadow.run(&story.repository, &again, None, Stage::Running, at(25));
    let report = story.report(100);
    assert_eq!((report.total.started, report.total.waits.longest_seconds), (1, 5.0));
    assert_eq!(report.drift, []);
}

#[test]
fn a_repository_without_a_limit_is_not_measured_and_leaves_nothing_behind() {
    let shadow = Shadow::new(at(0));
    shadow.sees(at(0));
    let repository = RepositoryKey::new("ns", "unlimited").unwrap();
    for number in 0..100 {
        shadow.run(&repository, &entry(number), None, Stage::Running, at(number));
        shadow.run(&repository, &entry(number), None, Stage::Over, at(number + 1));
    }
    assert!(shadow.state().repositories.is_empty());
    let report = shadow.report("shadow", at(200));
    assert_eq!((report.total.started, report.repositories.len(), report.limited_repositories), (0, 0, 0));
}

#[test]
fn what_waits_when_the_watch_begins_is_judged_from_then_on() {
    let story = Story { shadow: Shadow::new(at(0)), repository: RepositoryKey::new("ns", "begun").unwrap() };
    story.shadow.limit(&story.repository, Some(1), at(0));
    story.waits(1, 0);
    story.shadow.sees(at(40));
    assert_eq!(story.report(60).drift, []);
    assert_eq!(story.report(70).drift.len(), 1);
    assert_eq!(story.report(70).total.idle_slot_seconds, 30.0);
}

#[test]
fn a_run_that_is_shown_again_waits_on_and_one_that_moves_keeps_its_time() {
    let story = Story::new("shown-again", 1);
    story.starts(0, 0);
    (1..=2).for_each(|number| story.waits(number, number));
    story.waits(1, 5);
    let first = Entry::new(entry(2).run, OrderKey::alone(0));
    story.shadow.run(&story.repository, &first, None, Stage::Waiting, at(6));
    story.ends(0, 10);
    story.shadow.run(&story.repository, &first, None, Stage::Running, at(11));
    assert_eq!(story.report(30).total.passed, 0, "it has come to be the first");
    assert_eq!(story.report(30).total.waits.total_seconds, 9.0);
    story.shadow.gone(&story.repository, first.run.name(), at(31));
    story.starts(1, 31);
    assert_eq!(story.report(31).total.waits.total_seconds, 39.0);
}
