//! Users change their minds while starts are on their way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
use serde_json::json;
use support::{Watcher, World, eventually};

const REPOSITORIES: usize = 10;
const RUNS: usize = 16;

#[test]
fn no_start_undoes_a_wish() {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    let slowly = FaultRule::new(FaultAction::Latency(Duration::from_millis(200))).verb("patch");
    world.cluster.faults().add(slowly.resource("pipelineruns"));
    world.work(REPOSITORIES, RUNS, 2);
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    let mut cancelled = 0;
    while world.unfinished() > 0 {
        for repository in 0..REPOSITORIES {
            // The first of those that wait: it has a slot, and its start is on its way.
            let (namespace, pending) = (format!("team-{repository}"), world.pending_names(repository));
            if let Some(name) = pending.first().filter(|_| pending.len() % 2 == 0) {
                let wish = json!({"spec": {"status": "Cancelled"}});
                world.cluster.store().patch("pipelineruns", &namespace, name, &wish).unwrap();
                cancelled += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(50)); // what is awaited is the next start
    }
    let verdict = world.verdict(Duration::ZERO);
    assert!(verdict.held(), "{verdict}{verdict:#?}");
    assert_eq!(verdict.done, REPOSITORIES * RUNS);
    assert!(cancelled > REPOSITORIES, "{cancelled} runs were cancelled");
    eventually("the watcher met one", || watcher.log().contains("it is over or was cancelled meanwhile"));
    Watcher::stop(&mut watcher);
}
