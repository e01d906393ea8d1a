//! Events are known by what PAC writes onto runs at creation, before it writes their order; and Secrets come late.

use serde_json::{Value, json};

use super::{Change, Story, Verdict, VerdictOptions, assert_broken, judge, run};
use std::time::Duration;

const GROUP: &str = "pipelinesascode.tekton.dev";

/// A run of a commit, created at a second, without its order.
fn of_commit(name: &str, sha: &str, second: u32, state: &str, status: Option<&str>) -> Value {
    let mut object = run(name, state, status);
    object["metadata"]["creationTimestamp"] = json!(format!("2026-01-01T00:00:{second:02}Z"));
    let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove(&format!("{GROUP}/execution-order"));
    annotations.insert(format!("{GROUP}/sha"), json!(sha));
    annotations.insert(format!("{GROUP}/event-type"), json!("push"));
    object
}

/// Two runs that wait, of which the second is started first.
fn passed(one: &Value, other: &Value) -> Verdict {
    let mut story = Story::begin(1, &[]);
    story.run(0, one.clone());
    story.run(0, other.clone());
    let started = |run: &Value| {
        let mut run = run.clone();
        run["spec"]["status"] = Value::Null;
        run
    };
    let done = |run: &Value| super::with_condition(started(run), "True");
    for (at, run) in [(1_000, started(other)), (1_100, done(other)), (1_110, started(one)), (1_200, done(one))] {
        story.run(at, run);
    }
    story.judge()
}

fn waiting(name: &str, sha: &str, second: u32) -> Value {
    of_commit(name, sha, second, "queued", Some("PipelineRunPending"))
}

fn holds_order(verdict: &Verdict) -> bool {
    verdict.promise("P3").unwrap().held
}

#[test]
fn runs_of_one_commit_go_by_name_before_they_have_their_order() {
    assert!(!holds_order(&passed(&waiting("run-9", "s1", 1), &waiting("run-10", "s1", 0))));
    assert!(holds_order(&passed(&waiting("run-10", "s1", 0), &waiting("run-9", "s1", 1))));
}

#[test]
fn an_older_event_goes_first_whichever_run_of_it_was_created_when() {
    let mut story = Story::begin(1, &[]);
    // The first of the older event is long done.
    story.run(0, of_commit("old-1", "s1", 0, "started", None));
    story.run(0, super::with_condition(of_commit("old-1", "s1", 0, "started", None), "True"));
    story.run(10, waiting("old-2", "s1", 3));
    story.run(10, waiting("young", "s2", 2));
    story.run(1_000, of_commit("young", "s2", 2, "started", None));
    story.run(1_100, super::with_condition(of_commit("young", "s2", 2, "started", None), "True"));
    assert!(!holds_order(&story.judge()));
}

#[test]
fn the_same_commit_built_again_later_is_another_event() {
    assert!(holds_order(&passed(&waiting("a", "s1", 30), &waiting("b", "s1", 0))));
}

#[test]
fn of_events_that_began_within_a_second_neither_is_first() {
    assert!(holds_order(&passed(&waiting("a", "s1", 0), &waiting("b", "s2", 0))));
}

#[test]
fn the_order_of_one_run_tells_of_those_it_names() {
    let mut ordered = waiting("b", "s1", 0);
    ordered["metadata"]["annotations"][format!("{GROUP}/execution-order")] = json!("ci/b,ci/a");
    assert!(holds_order(&passed(&waiting("a", "s1", 0), &ordered)), "an order that isn't by name");
    ordered["metadata"]["annotations"][format!("{GROUP}/execution-order")] = json!("ci/a,ci/b");
    let mut unmarked = waiting("a", "s1", 0);
    unmarked["metadata"]["annotations"].as_object_mut().unwrap().remove(&format!("{GROUP}/sha"));
    assert!(holds_order(&passed(&unmarked, &ordered)), "it isn't settled yet");
}

#[test]
fn a_run_made_again_under_its_name_is_not_of_the_event_that_names_it() {
    let mut first = waiting("b", "s1", 0);
    first["metadata"]["annotations"][format!("{GROUP}/execution-order")] = json!("ci/a,ci/b");
    let mut again = waiting("a", "s2", 17);
    assert!(holds_order(&passed(&again, &first)), "it has another commit");
    again["metadata"]["annotations"][format!("{GROUP}/execution-order")] = json!("ci/a");
    assert!(holds_order(&passed(&again, &first)), "and an order of its own");
}

#[test]
fn a_run_started_before_its_secret_is_there_breaks_a_promise_unless_pacs_queue_starts_it() {
    let judged = |secret_at: u64, patience: Option<u64>, by_pac: bool| {
        let mut story = Story::begin(1, &[]);
        let awaiting = |state: &str, status: Option<&str>| {
            let mut object = run("a", state, status);
            object["metadata"]["annotations"][format!("{GROUP}/git-auth-secret")] = json!("auth");
            object["metadata"]["annotations"][format!("{GROUP}/secret-created")] = json!("false");
            object
        };
        story.run(0, awaiting("queued", Some("PipelineRunPending")));
        let mut started = awaiting("started", None);
        if by_pac {
            started["metadata"]["annotations"][format!("{GROUP}/scm-reporting-plr-started")] = json!("true");
        }
        story.run(320, started);
        let secret = json!({ "metadata": { "name": "auth", "namespace": "ci", "uid": "auth" } });
        story.add(secret_at, "secrets", Change::Created, secret);
        story.run(900, super::with_condition(awaiting("started", None), "True"));
        story.0.sort_by_key(|version| version.at);
        let secret_wait = patience.map(Duration::from_millis);
        judge(&story.0, &VerdictOptions { secret_wait, ..VerdictOptions::default() })
    };
    let verdict = judged(600, Some(10_000), false);
    let violations = &verdict.promise("P2").unwrap().violations;
    assert!(
        violations[0].contains("was started 320 ms after it was made, before its Secret auth was"),
        "{violations:?}"
    );
    assert!(judged(100, Some(10_000), false).held(), "it was there");
    assert!(judged(600, Some(300), false).held(), "it was waited for long enough");
    assert!(judged(600, None, false).held(), "nobody asks");
    assert!(judged(600, Some(10_000), true).held(), "PAC's queue looks at nothing");
}

#[test]
fn an_order_that_comes_does_not_set_the_clock_back() {
    let mut story = Story::begin(1, &[]);
    story.run(0, waiting("a", "s1", 0));
    story.run(0, waiting("b", "s1", 0));
    let mut ordered = waiting("a", "s1", 0);
    ordered["metadata"]["annotations"][format!("{GROUP}/execution-order")] = json!("ci/a,ci/b");
    story.run(950, ordered);
    story.run(1_000, of_commit("b", "s1", 0, "started", None));
    story.run(1_100, super::with_condition(of_commit("b", "s1", 0, "started", None), "True"));
    story.run(1_110, of_commit("a", "s1", 0, "started", None));
    story.run(1_200, super::with_condition(of_commit("a", "s1", 0, "started", None), "True"));
    assert_broken(&story, "P3", "was started before a");
}

/// A run without an order waits in a Repository without a limit.
fn without_an_order() -> Story {
    let mut story = Story::begin(0, &[]);
    story.run(0, waiting("a", "abc", 0));
    story
}

#[test]
fn a_run_that_has_no_limit_waits_for_its_order() {
    for (started_at, held) in [(30_010, true), (60_000, false)] {
        let mut story = without_an_order();
        story.waits(30_000, "a");
        story.starts(started_at, "a");
        story.ends(started_at + 10, "a");
        if held {
            assert!(story.judge().held(), "{:#?}", story.judge());
        } else {
            assert_broken(&story, "P4", "was free for 30000 ms");
        }
    }
}

#[test]
fn a_run_without_an_order_is_the_systems_once_there_is_a_limit() {
    let mut story = without_an_order();
    story.limit(30_000, 1);
    story.starts(60_000, "a");
    story.ends(60_010, "a");
    assert_broken(&story, "P4", "was free for 30000 ms");
}
