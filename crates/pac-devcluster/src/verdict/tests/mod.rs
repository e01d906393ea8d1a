//! Histories written by hand: one clean, and for each promise some that break it.

mod lost;
mod operators;
mod pac;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{LostSlots, Verdict, VerdictOptions, judge};
use crate::history::{Change, Version};

#[derive(Default)]
struct Story(Vec<Version>);

fn run(name: &str, state: &str, status: Option<&str>) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "ci", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {
                "pipelinesascode.tekton.dev/state": state,
                "pipelinesascode.tekton.dev/repository": "repo",
                "pipelinesascode.tekton.dev/execution-order": "ci/a,ci/b,ci/c,ci/d",
            },
        },
        "spec": { "status": status },
    })
}

fn with_condition(mut run: Value, succeeded: &str) -> Value {
    run["status"] = json!({ "startTime": "x", "conditions": [{ "type": "Succeeded", "status": succeeded }] });
    run
}

impl Story {
    /// A repository with a limit, and runs that wait.
    fn begin(limit: u64, names: &[&str]) -> Self {
        let mut story = Self::default();
        story.limit(0, limit);
        for name in names {
            story.waits(0, name);
        }
        story
    }

    fn add(&mut self, at: u64, resource: &'static str, change: Change, object: Value) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        self.0.push(Version {
            revision: self.0.len() as u64 + 1,
            at: Duration::from_millis(at),
            resource,
            namespace: text("namespace"),
            name: text("name"),
            uid: text("uid"),
            change,
            object: Arc::new(object),
        });
    }

    fn run(&mut self, at: u64, object: Value) {
        let change = if self.0.iter().any(|version| version.uid == object["metadata"]["uid"].as_str().unwrap()) {
            Change::Updated
        } else {
            Change::Created
        };
        self.add(at, "pipelineruns", change, object);
    }

    fn limit(&mut self, at: u64, limit: u64) {
        self.repository(at, limit, json!({}));
    }

    fn repository(&mut self, at: u64, limit: u64, annotations: Value) {
        let metadata = json!({ "name": "repo", "namespace": "ci", "uid": "repo", "annotations": annotations });
        let repository = json!({ "metadata": metadata, "spec": { "concurrency_limit": limit } });
        self.add(at, "repositories", Change::Updated, repository);
    }

    fn waits(&mut self, at: u64, name: &str) {
        self.run(at, run(name, "queued", Some("PipelineRunPending")));
    }

    fn starts(&mut self, at: u64, name: &str) {
        self.run(at, run(name, "started", None));
    }

    fn ends(&mut self, at: u64, name: &str) {
        self.run(at, with_condition(run(name, "started", None), "True"));
    }

    fn judge(&self) -> Verdict {
        judge(&self.0, &VerdictOptions::default())
    }
}

fn assert_broken(story: &Story, id: &str, part: &str) {
    let verdict = story.judge();
    for promise in &verdict.promises {
        assert_eq!(promise.held, promise.id != id, "{verdict:#?}");
    }
    let violations = &verdict.promise(id).unwrap().violations;
    assert!(violations.iter().any(|violation| violation.contains(part)), "{violations:?}");
}

#[test]
fn a_clean_history_holds_every_promise() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(1000, "a");
    story.ends(2000, "a");
    story.starts(2010, "b");
    story.ends(3000, "b");
    let verdict = story.judge();
    assert!(verdict.held(), "{verdict:#?}");
    assert_eq!((verdict.repositories, verdict.runs, verdict.started, verdict.done), (1, 2, 2, 2));
    assert_eq!((verdict.hand_off.count, verdict.hand_off.median), (1, 10.0));
    assert_eq!(verdict.makespan, 3000.0);
}

#[test]
fn one_start_too_many_breaks_the_limit() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(1000, "a");
    story.starts(1500, "b");
    story.ends(2000, "a");
    story.ends(2000, "b");
    assert_broken(&story, "P1", "ci/b (revision 5, 1.500 s) started as number 2 of at most 1, beside a");
}

#[test]
fn runs_above_a_lowered_limit_drain() {
    let mut story = Story::begin(2, &["a", "b", "c"]);
    story.starts(500, "a");
    story.starts(500, "b");
    story.limit(600, 1);
    story.ends(700, "a");
    story.ends(800, "b");
    story.starts(801, "c");
    story.ends(900, "c");
    let verdict = story.judge();
    assert!(verdict.held(), "{verdict:#?}");
    assert_eq!(verdict.hand_off.count, 1);
}

#[test]
fn a_start_above_a_lowered_limit_breaks_it() {
    let mut story = Story::begin(2, &["a", "b", "c"]);
    story.starts(500, "a");
    story.starts(500, "b");
    story.limit(600, 1);
    story.ends(700, "a");
    story.starts(701, "c");
    story.ends(900, "b");
    story.ends(900, "c");
    assert_broken(&story, "P1", "number 2 of at most 1");
}

#[test]
fn nothing_may_start_without_its_repository() {
    let mut story = Story::default();
    story.waits(0, "a");
    story.starts(10, "a");
    story.ends(20, "a");
    assert_broken(&story, "P1", "of at most 0");
}

#[test]
fn a_run_created_running_counts_but_is_not_to_blame() {
    let created_running = |started| {
        let mut story = Story::begin(1, &["b"]);
        story.starts(100, "a");
        story.starts(started, "b");
        story.ends(900, "a");
        story.ends(900, "b");
        story
    };
    assert_broken(&created_running(500), "P1", "ci/b");
    // PAC saw no limit, and nobody can know of it yet.
    assert!(created_running(300).judge().held());
}

#[test]
fn an_unset_limit_comes_from_the_global_repository() {
    let mut story = Story::default();
    let repository = |name: &str, namespace: &str, limit: Value| {
        let metadata = json!({ "name": name, "namespace": namespace, "uid": name });
        json!({ "metadata": metadata, "spec": { "concurrency_limit": limit } })
    };
    let global = "pipelines-as-code";
    story.add(0, "repositories", Change::Created, repository(global, global, json!(1)));
    story.add(0, "repositories", Change::Created, repository("repo", "ci", Value::Null));
    story.waits(0, "a");
    story.waits(0, "b");
    story.starts(500, "a");
    story.starts(600, "b");
    story.ends(700, "a");
    story.ends(700, "b");
    assert_broken(&story, "P1", "of at most 1");
}

#[test]
fn a_second_start_breaks_the_promise_of_one() {
    let mut story = Story::begin(1, &["a"]);
    story.starts(100, "a");
    story.waits(200, "a");
    story.starts(300, "a");
    story.ends(400, "a");
    assert_broken(&story, "P2", "started 2 times");
}

#[test]
fn an_undone_cancellation_breaks_it_too() {
    let mut story = Story::begin(1, &["a"]);
    story.run(100, run("a", "queued", Some("Cancelled")));
    story.starts(200, "a");
    story.ends(400, "a");
    assert_broken(&story, "P2", "lost its spec.status Cancelled");
}

#[test]
fn a_start_while_deleting_breaks_it_too() {
    let mut story = Story::begin(1, &["a"]);
    let deleting = |mut run: Value| {
        run["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:01Z");
        run
    };
    story.run(100, deleting(run("a", "queued", Some("PipelineRunPending"))));
    story.run(1200, deleting(run("a", "started", None)));
    story.run(1300, deleting(with_condition(run("a", "started", None), "True")));
    assert_broken(&story, "P2", "while it was being deleted");
}

#[test]
fn a_run_cancelled_while_waiting_takes_no_slot() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.run(100, run("a", "queued", Some("Cancelled")));
    story.starts(200, "b");
    story.ends(300, "b");
    assert!(story.judge().held(), "{:#?}", story.judge());
}

#[test]
fn passing_an_earlier_run_breaks_the_order() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(1000, "b");
    story.ends(2000, "b");
    story.starts(2010, "a");
    story.ends(3000, "a");
    assert_broken(&story, "P3", "ci/b (revision 4, 1.000 s) was started before a");
}

#[test]
fn runs_admitted_at_once_may_start_in_any_order() {
    for (at, held) in [(1005, true), (2000, false)] {
        let mut story = Story::begin(2, &["a", "b"]);
        story.starts(1000, "b");
        story.starts(at, "a");
        story.ends(3000, "a");
        story.ends(3000, "b");
        assert_eq!(story.judge().promise("P3").unwrap().held, held, "{:#?}", story.judge());
    }
}

#[test]
fn one_whose_slot_a_lower_limit_or_a_pause_took_waits_like_others() {
    let story = |change: &dyn Fn(&mut Story), later: bool| {
        let mut story = Story::begin(2, &["a", "b", "c"]);
        story.starts(300, "b");
        change(&mut story);
        story.ends(800, "b");
        if later {
            story.starts(900, "c");
            story.ends(1_000, "c");
        }
        story.limit(1_100, 2);
        story.starts(1_200, "a");
        story.ends(1_300, "a");
        if !later {
            story.starts(1_400, "c");
            story.ends(1_500, "c");
        }
        story.judge()
    };
    let paused = json!({ "concurrency.pipelinesascode.tekton.dev/paused": "true" });
    for changed in
        [&|story: &mut Story| story.limit(400, 1), &|story: &mut Story| story.repository(400, 2, paused.clone())]
            as [&dyn Fn(&mut Story); 2]
    {
        assert!(story(changed, false).held(), "{:#?}", story(changed, false));
    }
    assert!(!story(&|_| {}, false).promise("P3").unwrap().held);
    // Whoever passes it once there is no slot for both is to blame.
    assert!(!story(&|story| story.limit(400, 1), true).promise("P3").unwrap().held);
}

#[test]
fn a_run_without_its_order_is_waited_for_only_once_settled() {
    for (at, held) in [(1000, true), (6000, false)] {
        let mut story = Story::begin(1, &["b"]);
        let mut unordered = run("a", "queued", Some("PipelineRunPending"));
        let annotations = unordered["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("pipelinesascode.tekton.dev/execution-order");
        story.run(0, unordered);
        story.starts(at, "b");
        story.ends(at + 100, "b");
        story.starts(at + 200, "a");
        story.ends(at + 300, "a");
        assert_eq!(story.judge().promise("P3").unwrap().held, held, "{:#?}", story.judge());
    }
}

#[test]
fn a_run_left_waiting_breaks_the_last_promise() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(100, "a");
    story.ends(200, "a");
    assert_broken(&story, "P4", "ci/b is still waiting at the end");
    let excused = ["ci/b".to_owned()].into();
    let verdict = judge(&story.0, &VerdictOptions { excused, ..VerdictOptions::default() });
    assert!(verdict.held(), "{verdict:#?}");
}

#[test]
fn a_run_that_is_neither_waiting_nor_done_is_lost() {
    let mut story = Story::begin(1, &["a"]);
    story.run(100, run("a", "completed", Some("PipelineRunPending")));
    assert_broken(&story, "P4", "ci/a is lost");
}

#[test]
fn a_slot_free_for_too_long_breaks_it_too() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(100, "a");
    story.ends(200, "a");
    story.starts(20_000, "b");
    story.ends(20_100, "b");
    assert_broken(&story, "P4", "free for 19800 ms while b waited");
}

#[test]
fn a_deleted_run_frees_its_slot() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(300, "a");
    story.add(400, "pipelineruns", Change::Deleted, run("a", "started", None));
    story.starts(420, "b");
    story.ends(500, "b");
    let verdict = story.judge();
    assert!(verdict.held(), "{verdict:#?}");
    assert_eq!(verdict.hand_off.median, 20.0);
}
