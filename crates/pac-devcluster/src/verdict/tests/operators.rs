//! What an operator does breaks no promise, and what is done against his will does.

use serde_json::json;

use super::{Story, assert_broken, run, with_condition};
use crate::history::Change;

const GROUP: &str = "concurrency.pipelinesascode.tekton.dev";

fn paused() -> serde_json::Value {
    json!({ format!("{GROUP}/paused"): "the registry moves" })
}

#[test]
fn a_run_that_was_released_counts_no_more() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(300, "a");
    let mut released = run("a", "started", None);
    released["metadata"]["annotations"][format!("{GROUP}/released")] = json!("a");
    story.run(400, released);
    story.starts(500, "b");
    story.ends(600, "b");
    assert!(story.judge().held(), "{:#?}", story.judge());
}

#[test]
fn a_release_that_names_another_uid_is_none() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(300, "a");
    let mut released = run("a", "started", None);
    released["metadata"]["annotations"][format!("{GROUP}/released")] = json!("true");
    story.run(400, released);
    story.starts(500, "b");
    story.ends(600, "a");
    story.ends(600, "b");
    assert_broken(&story, "P1", "number 2 of at most 1");
}

#[test]
fn a_pause_leaves_slots_free_and_runs_waiting() {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(300, "a");
    story.repository(400, 1, paused());
    story.ends(500, "a");
    story.repository(30_000, 1, json!({}));
    story.starts(30_010, "b");
    story.ends(30_100, "b");
    assert!(story.judge().held(), "{:#?}", story.judge());
}

#[test]
fn while_all_is_switched_off_nobody_waits_in_vain() {
    let settings = |enabled: &str| {
        let metadata = json!({ "name": "pipelines-as-code", "namespace": "pipelines-as-code", "uid": "settings" });
        json!({ "metadata": metadata, "data": { "concurrency-enabled": enabled } })
    };
    let mut story = Story::begin(1, &["a"]);
    story.add(300, "configmaps", Change::Updated, settings("false"));
    story.add(30_000, "configmaps", Change::Updated, settings("true"));
    story.starts(30_010, "a");
    story.ends(30_100, "a");
    assert!(story.judge().held(), "{:#?}", story.judge());
    let mut story = Story::begin(1, &["a"]);
    story.add(300, "configmaps", Change::Updated, settings("true"));
    story.starts(30_010, "a");
    story.ends(30_100, "a");
    assert_broken(&story, "P4", "was free for ");
}

#[test]
fn a_start_during_a_pause_breaks_it() {
    let mut story = Story::begin(1, &["a"]);
    story.repository(400, 1, paused());
    story.starts(800, "a");
    story.ends(900, "a");
    assert_broken(&story, "P1", "ci/a (revision 4, 0.800 s) was started while ci/repo was paused");
}

#[test]
fn a_start_on_its_way_when_the_pause_came_does_not() {
    let mut story = Story::begin(1, &["a"]);
    story.repository(400, 1, paused());
    story.starts(420, "a");
    story.ends(900, "a");
    assert!(story.judge().held(), "{:#?}", story.judge());
}

#[test]
fn when_a_pause_for_a_while_is_over_is_not_in_the_history() {
    let mut story = Story::begin(1, &["a"]);
    let mut annotations = paused();
    annotations[format!("{GROUP}/paused-until")] = json!("2026-01-01T00:00:10Z");
    story.repository(400, 1, annotations);
    story.starts(30_000, "a");
    story.ends(30_100, "a");
    assert!(story.judge().held(), "{:#?}", story.judge());
}

#[test]
fn the_last_tasks_of_a_stopped_run_count_once_they_run() {
    for (at, held) in [(650, true), (900, false)] {
        let mut story = Story::begin(1, &["a", "b", "c"]);
        story.starts(300, "a");
        story.run(400, run("b", "queued", Some("StoppedRunFinally")));
        story.ends(500, "a");
        story.run(600, with_condition(run("b", "queued", Some("StoppedRunFinally")), "Unknown"));
        story.starts(at, "c");
        story.run(1_000, with_condition(run("b", "queued", Some("StoppedRunFinally")), "False"));
        story.ends(1_000, "c");
        assert_eq!(story.judge().promise("P1").unwrap().held, held, "{:#?}", story.judge());
    }
}

#[test]
fn the_last_tasks_of_a_stopped_run_take_no_slot_from_those_admitted_with_another_before_they_run() {
    for (at, held) in [(650, true), (900, false)] {
        let mut story = Story::begin(2, &["a", "b", "c"]);
        story.run(400, run("c", "queued", Some("StoppedRunFinally")));
        story.run(600, with_condition(run("c", "queued", Some("StoppedRunFinally")), "Unknown"));
        story.starts(at, "b");
        story.starts(at + 5, "a");
        story.run(1_000, with_condition(run("c", "queued", Some("StoppedRunFinally")), "False"));
        story.ends(1_000, "b");
        story.ends(1_001, "a");
        assert_eq!(story.judge().promise("P3").unwrap().held, held, "{:#?}", story.judge());
    }
}
