//! `pac-watcher queue`, as people use it: through the API server's port-forward, and straight to the admin port.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use pac_devservers::process::Child;
use serde_json::{Value, json};
use support::{Store, Watcher, World, eventually, json_of, queue, run, said};

const IDENTITY: &str = "pac-watcher-0";

/// A watcher with a pod to be found by, and a Repository whose one slot a run has that never ends.
fn stuck() -> (World, Watcher) {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    let mut watcher = world.watcher(IDENTITY);
    world.pod(IDENTITY, &watcher);
    world.repository(0, 1);
    world.running(0, "stuck", std::time::Duration::from_secs(3600));
    world.more_work(0, 0..3);
    watcher.becomes_ready(true);
    // Before it leads there is nobody to be found.
    eventually("the watcher leads", || run(&world, &["list", "-A"]).code == 0);
    eventually("the run is counted", || json_of(&world, &["list", "-A"])["repositories"][0]["running"] == 1);
    (world, watcher)
}

#[test]
fn a_laptop_sees_the_queue_and_takes_the_slot_of_a_run_that_never_ends() {
    let (world, mut watcher) = stuck();
    let list = run(&world, &["list", "-A"]);
    assert!(list.out.starts_with("REPOSITORY     LIMIT  RUNNING  WAITING"), "{}", list.out);
    assert!(list.out.contains("team-0/repo-0      1        1        3"), "{}", list.out);
    let show = run(&world, &["show", "team-0/repo-0"]);
    for part in ["limit 1, 1 running, 3 waiting", "team-0/stuck", "pac-watcher-0", "1  team-0/run-000", "WHAT HAPPENED"]
    {
        assert!(show.out.contains(part), "no {part:?} in:\n{}", show.out);
    }
    let explain = run(&world, &["explain", "team-0/run-001"]);
    assert!(explain.out.contains("the one slot, which is taken; one run is before it"), "{}", explain.out);
    assert!(explain.out.contains("Before it: team-0/run-000"), "{}", explain.out);
    assert!(!explain.out.contains('\u{1b}'), "a pipe gets no colours");
    let coloured = said(queue(&world, &["list", "-A"]).env("CLICOLOR_FORCE", "1"));
    assert!(coloured.out.contains("\u{1b}[1mREPOSITORY"), "{:?}", coloured.out);

    let release = ["release", "team-0/stuck", "--reason", "its node is gone"];
    let refused = run(&world, &release);
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(refused.err.contains("still runs") && refused.err.contains("--force"), "{}", refused.err);
    let waits = run(&world, &["release", "team-0/run-001", "--reason", "x", "--force"]);
    assert_eq!(waits.code, 4, "{}", waits.err);
    let forced = run(&world, &[&release[..], &["--force"]].concat());
    assert_eq!(forced.code, 0, "{}", forced.err);
    world.until_done(3);
    let told = json_of(&world, &["explain", "team-0/stuck"]);
    assert_eq!(told["answer"], "released");
    assert!(told["because"].as_str().unwrap().contains("its node is gone"));
    assert_eq!(run(&world, &release).code, 4, "it was released before");
    assert!(watcher.log().contains("an operator released"), "recorded in the log");
    watcher.stop();
}

#[test]
fn a_pause_holds_everybody_up_and_says_why() {
    let (world, mut watcher) = stuck();
    let repository = "team-0/repo-0";
    let paused = run(&world, &["pause", repository, "--reason", "the registry moves", "--for", "2h"]);
    assert!(paused.code == 0 && paused.out.contains("until 20"), "{}{}", paused.out, paused.err);
    eventually("it is shown", || run(&world, &["list", "-A"]).out.contains("the registry moves"));
    assert!(run(&world, &["show", repository]).out.contains("the registry moves"));
    let told = json_of(&world, &["explain", "team-0/run-000"]);
    assert_eq!(told["answer"], "paused");
    let resume = ["resume", repository, "--reason", "it has moved"];
    assert_eq!(run(&world, &resume).code, 0);
    eventually("it waits again", || json_of(&world, &["explain", "team-0/run-000"])["answer"] == "waiting");
    assert_eq!(run(&world, &resume).code, 4, "there is nothing to resume");
    let history = run(&world, &["show", repository]).out;
    assert!(history.contains("resumed: it has moved"), "{history}");
    watcher.stop();
}

#[test]
fn what_can_not_be_done_is_said_and_has_its_exit_code() {
    let (world, mut watcher) = stuck();
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    let straight = json_of(&world, &["list", "-A", "--admin-url", &url]);
    assert_eq!(straight["watcher"]["identity"], IDENTITY);
    let cases: [(&[&str], i32, &str); 9] = [
        (&["show", "team-0/none"], 3, "nothing is known of Repository team-0/none"),
        (&["explain", "team-0/none"], 3, "there is no PipelineRun none"),
        (&["release", "team-0/none", "--reason", "x"], 3, "there is no PipelineRun team-0/none"),
        (&["pause", "team-0/none", "--reason", "x"], 3, "there is no Repository"),
        (&["list", "--admin-url", "http://127.0.0.1:1"], 1, "the watcher at 127.0.0.1:1 can't be asked"),
        (&["list", "--admin-url", "https://127.0.0.1:1"], 2, "plain HTTP"),
        (&["list", "--pod", "none"], 1, "there is no pod none"),
        (&["explain", "a/b/c"], 2, "namespace/name"),
        (&["pause", "team-0/repo-0", "--reason", " "], 2, "say why"),
    ];
    for (arguments, code, part) in cases {
        let said = run(&world, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.err);
        assert!(said.err.contains(part), "{arguments:?}: {}", said.err);
    }
    watcher.stop();
    let nobody = run(&world, &["list", "-A"]);
    assert!(nobody.code == 1 && nobody.err.contains("no watcher leads"), "{}", nobody.err);
}

#[test]
fn to_watch_is_to_be_told_again_and_again() {
    let (world, mut watcher) = stuck();
    let mut watching = queue(&world, &["show", "team-0/repo-0", "--watch", "-o", "json"]);
    watching.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = Child::spawn("queue show --watch", watching).unwrap();
    let lines = BufReader::new(watching.output().unwrap()).lines();
    let told: Vec<Value> = lines.take(2).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(told[0]["watcher"]["at"].as_str() < told[1]["watcher"]["at"].as_str(), "{told:?}");
    drop(watching);
    watcher.stop();
}

/// What is told of the past of the first Repository, and by how many times estimates go.
fn past(world: &World, watcher: &Watcher) -> (Vec<Value>, u64) {
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    let told = json_of(world, &["show", "team-0/repo-0", "--admin-url", &url]);
    let repository = &told["repositories"][0];
    (repository["history"].as_array().unwrap().clone(), repository["times_known"].as_u64().unwrap())
}

fn what_happened_outlives_the_watcher(server: &Store) {
    let world = World::new(&server.settings());
    world.work(1, 4, 2);
    let mut first = world.watcher("first");
    world.until_done(4);
    eventually("all is told", || past(&world, &first).1 == 4);
    let before = past(&world, &first).0;
    first.stop();
    let mut second = world.watcher("second");
    second.becomes_ready(true);
    // One that waits to lead knows it from the store as well.
    let mut third = world.watcher("third");
    third.becomes_ready(true);
    for watcher in [&second, &third] {
        eventually("it is told again", || past(&world, watcher).1 == 4);
        assert_eq!(past(&world, watcher).0, before);
    }
    second.stop();
    third.stop();
}

#[test]
fn what_happened_outlives_the_watcher_with_postgresql() {
    what_happened_outlives_the_watcher(&Store::postgresql());
}

#[test]
fn what_happened_outlives_the_watcher_with_etcd() {
    what_happened_outlives_the_watcher(&Store::etcd());
}
