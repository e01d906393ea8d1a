//! A store that a watcher of the version before wrote, and watchers of that version beside today's.
//!
//! What is recorded (see `recorded`) is opened in every run. Where a test of it fails, so would a rolling upgrade, or the way
//! back: that is for docs/upgrade.md and the changelog to say, and for a new recording. The tests of `beside` need the other version's program, which
//! `cargo xtask beside REVISION` builds; in other runs they are ignored.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod beside;
mod recorded;
mod support;

use std::collections::BTreeSet;

use recorded::scene::{self, GRANTED, PAUSED, RUNNING, WAITING, told};
use recorded::shape::{schema, shapes};
use serde_json::{Value, json};
use support::{Store, Watcher, World, eventually};

/// Of each record of a Repository's history: what happened, and to which run.
fn history(watcher: &Watcher, repository: usize) -> Vec<(String, Value)> {
    let told = told(watcher, repository);
    let records = told["history"].as_array().into_iter().flatten();
    records.map(|record| (record["what"].as_str().unwrap().to_owned(), record["run"].clone())).collect()
}

fn slots_order_pause_and_history_are_taken_over(store: &Store) {
    let world = World::by_hand(&store.settings());
    recorded::bring_back(store, &world);
    let (schema_before, shapes_before) = (schema(store), shapes(store));
    recorded::lease_runs_out(store);
    let mut watcher = world.watcher("today");
    for run in [RUNNING, GRANTED].map(|run| format!("team-0/{run}")).into_iter().chain(["team-1/run-0".to_owned()]) {
        eventually(&format!("{run} has a slot of the new holder's"), || {
            watcher.log().contains(&format!("took over the slot of {run}"))
        });
    }
    world.is_started(0, GRANTED);
    assert_eq!(world.pending_names(0), WAITING, "P1: both slots are taken");
    assert_eq!(world.pending_names(1), ["run-1", "run-2"]);
    let [last, second, first] = WAITING;
    for (run, next) in [(RUNNING, first), (GRANTED, second)] {
        world.finish(0, run, true);
        world.is_started(0, next);
    }
    assert_eq!(world.pending_names(0), [last]);
    assert_eq!(told(&watcher, 1)["paused"]["reason"], PAUSED);

    // What is kept for people goes on where it broke off.
    let has = |repository, what: &str, run: Value| history(&watcher, repository).contains(&(what.to_owned(), run));
    eventually("the history is told", || {
        has(0, "adopted", json!("team-0/found")) && has(0, "queued", json!("team-0/two-0"))
    });
    eventually("the operators' words are told", || {
        has(1, "resumed", Value::Null) && has(2, "released", json!("team-2/run"))
    });
    assert_eq!(told(&watcher, 2)["times_known"], 1, "how long runs took");

    // What is written now is written as before.
    world.resume(1, "all is there");
    world.finish(1, "run-0", true);
    world.is_started(1, "run-1");
    world.repository(3, 1);
    world.queue_event(3, &["run-0", "run-1"]);
    world.is_started(3, "run-0");
    assert_eq!(new_ones(&shapes(store), &shapes_before), BTreeSet::new());
    finish_all(&world);
    watcher.stop();
    assert_eq!(new_ones(&shapes(store), &shapes_before), BTreeSet::new());
    assert_eq!(schema(store), schema_before);

    let starts = world.starts().into_iter().filter(|run| run.starts_with("two-"));
    assert_eq!(starts.collect::<Vec<_>>(), [GRANTED, first, second, last], "P3");
    let verdict = world.verdict(std::time::Duration::ZERO);
    for promise in ["P1", "P2", "P4"] {
        assert!(verdict.promise(promise).is_some_and(|promise| promise.held), "{verdict:#?}");
    }
}

/// What of `now` wasn't there before.
fn new_ones<'a>(now: &'a BTreeSet<String>, before: &'a BTreeSet<String>) -> BTreeSet<&'a String> {
    now.difference(before).collect()
}

/// Finishes whatever runs until nothing is left to be done.
fn finish_all(world: &World) {
    eventually("all is done", || {
        for repository in 0..4 {
            let pending = world.pending_names(repository);
            let unfinished = world.unfinished_names(repository);
            unfinished
                .iter()
                .filter(|name| !pending.contains(name))
                .for_each(|name| world.finish(repository, name, true));
        }
        world.unfinished() == 0
    });
}

fn todays_records_have_the_same_form(store: &Store) {
    let before = store.another();
    recorded::bring_back(&before, &World::by_hand(&before.settings()));
    let (schema_before, shapes_before) = (schema(&before), shapes(&before));
    let world = World::by_hand(&store.settings());
    scene::play(&world, |identity| world.watcher(identity));
    let shapes_now = shapes(store);
    assert_eq!(new_ones(&shapes_now, &shapes_before), BTreeSet::new());
    assert_eq!(new_ones(&shapes_before, &shapes_now), BTreeSet::new(), "written no more");
    assert_eq!(schema(store), schema_before);
}

/// The same for each kind of server.
macro_rules! of_both {
    ($($test:ident),*) => {
        mod postgresql {
            $(#[test] fn $test() { super::$test(&super::Store::postgresql()); })*
        }
        mod etcd {
            $(#[test] fn $test() { super::$test(&super::Store::etcd()); })*
        }
    };
}

of_both!(slots_order_pause_and_history_are_taken_over, todays_records_have_the_same_form);

/// No test: has the other version play the scene, and takes down what it leaves.
#[test]
#[ignore = "not a test: cargo xtask beside REVISION --record"]
fn record() {
    for store in [Store::postgresql(), Store::etcd()] {
        let world = World::by_hand(&store.settings());
        scene::play(&world, |identity| beside::other(&world, identity, &[]));
        recorded::record(&store, &world);
    }
}
