//! What `pac-watcher queue` says of what it did and what it knows: no more than is true.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::json;
use support::{Watcher, World, eventually, json_of, run};

fn settled(world: &World) -> (Watcher, String) {
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    (watcher, url)
}

#[test]
fn a_pause_says_whether_it_holds_anybody_and_what_it_takes_the_place_of() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    for number in 0..2 {
        world.repository(number, 1);
    }
    world.set_limit(1, None);
    let (mut watcher, url) = settled(&world);
    let limit_of = |number: usize| {
        json_of(&world, &["list", "-A", "--all", "--admin-url", &url])["repositories"][number]["limit"]["text"].clone()
    };
    eventually("the limits are known", || limit_of(1) == "unlimited");
    let pause = |number: usize, more: &[&str]| {
        let name = format!("team-{number}/repo-{number}");
        run(&world, &[&["pause", &name, "--reason", "the registry moves", "--admin-url", &url], more].concat())
    };
    let refused = pause(1, &[]);
    let why = "has no limit: Pipelines-as-Code starts its runs itself";
    assert!(refused.code == 4 && refused.err.contains(why), "{refused:?}");
    let global = json!({"metadata": {"name": "pipelines-as-code"}, "spec": {"concurrency_limit": 3}});
    world.cluster.store().create("repositories", "pipelines-as-code", global).unwrap();
    eventually("it has the global limit", || limit_of(2) == "3");
    let paused = pause(1, &[]);
    assert!(paused.code == 0 && paused.out.contains("until it is resumed: none of its runs is admitted"), "{paused:?}");

    let first = pause(0, &["--for", "2h"]);
    assert!(first.code == 0 && first.out.lines().count() == 1, "{first:?}");
    let second = pause(0, &[]);
    assert!(second.out.contains("\nthis takes the place of a pause until 20"), "{second:?}");
    assert!(second.out.ends_with(": the registry moves\n"), "{second:?}");
    let resumed = run(&world, &["resume", "team-0/repo-0"]);
    assert!(resumed.code == 0, "{resumed:?}");
    eventually("it is resumed", || {
        json_of(&world, &["list", "-A", "--all", "--admin-url", &url])["repositories"][1]["paused"].is_null()
    });

    watcher.stop();
    let unknown = pause(1, &[]);
    assert!(
        unknown.code == 0 && unknown.out.contains("whether the global Repository has one isn't known"),
        "{unknown:?}"
    );
    assert!(!unknown.out.contains("none of its runs is admitted"), "{unknown:?}");
}

#[test]
fn what_can_not_be_told_yet_is_not_said_with_a_question_mark() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 4, 1);
    let (mut watcher, url) = settled(&world);
    let explained = |run_name: &str| run(&world, &["explain", run_name, "--admin-url", &url]).out;
    eventually("the second waits", || explained("team-0/run-001").contains("Place 1."));
    let waits = explained("team-0/run-001");
    let sentence = "Place 1. Starts can be estimated when 3 runs of this Repository have ended; so far 0 have.";
    assert!(waits.contains(sentence) && !waits.contains("nine times in ten"), "{waits}");
    for (name, next) in [("run-000", "run-001"), ("run-001", "run-002"), ("run-002", "run-003")] {
        world.is_started(0, name);
        world.finish(0, name, true);
        world.is_started(0, next);
    }
    world.queue_run(0, "last");
    eventually("it can be estimated", || explained("team-0/last").contains("Place 1; starts in "));
    watcher.stop();
}

#[test]
fn what_happened_to_a_run_is_told_when_it_is_done_too() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 1, 1);
    let (mut watcher, url) = settled(&world);
    let explain = |name: &str| json_of(&world, &["explain", &format!("team-0/{name}"), "--admin-url", &url]);
    let happened = || -> Vec<String> {
        let told = explain("run-000");
        let history = told["history"].as_array().unwrap().iter();
        history.map(|record| record["what"].as_str().unwrap().to_owned()).collect()
    };
    // The cluster has it started before the answer that says so is there; a run takes longer than that.
    eventually("its start is told", || happened() == ["admitted", "started"]);
    world.finish(0, "run-000", true);
    let completed = || {
        let run = world.cluster.store().get("pipelineruns", "team-0", "run-000").unwrap();
        run["metadata"]["labels"]["pipelinesascode.tekton.dev/state"] == "completed"
    };
    eventually("its final state is written", completed);
    // The watch shows one thing after the other: who knows the later run no longer sees the one that is done.
    world.queue_run(0, "later");
    eventually("the later run is seen", || explain("later")["answer"] != "foreign");
    // Its slot is freed by a pass, and its final state may be written by the one before.
    eventually("the release is told", || happened().len() > 2);
    assert_eq!(happened(), ["admitted", "started", "released"]);
    watcher.stop();
}

#[test]
fn of_a_system_that_is_switched_off_nothing_is_made_up() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 1, 1);
    world.settings(&json!({"concurrency-enabled": "false"}));
    let (mut watcher, url) = settled(&world);
    let asked = |what: &[&str]| run(&world, &[what, &["--admin-url", &url]].concat());
    let off = "The concurrency system is switched off (concurrency-enabled is false).\n";
    let counted = format!("{off}PipelineRuns that wait, and that nobody starts: 1.\n");
    eventually("who waits is counted", || asked(&["list", "-A"]).out == counted);
    let show = asked(&["show", "team-0/repo-0"]);
    assert!(show.code == 3 && show.err.contains("repo-0: the concurrency system is switched off"), "{show:?}");
    watcher.stop();
}
