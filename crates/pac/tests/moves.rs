//! The driver is changed in the ConfigMap of a busy watcher: everything moves over, nobody is admitted above the limit,
//! nobody loses its place, and the watcher is not restarted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devservers::free_port;
use serde_json::json;
use support::{Store, World, eventually, postgresql_settings};

const REPOSITORIES: usize = 20;
const RUNS: usize = 40;
const ALL: usize = REPOSITORIES * RUNS;

#[test]
fn a_busy_watcher_moves_from_any_driver_to_any_other() {
    let (postgresql, etcd) = (Store::postgresql(), Store::etcd());
    let memory = || ("memory", json!({"concurrency-driver": "memory"}));
    let (postgresql, etcd) = (|| ("postgresql", postgresql.settings()), || ("etcd", etcd.settings()));
    // Every one of the six ways from one to another.
    let stores = [memory(), postgresql(), etcd(), memory(), etcd(), postgresql(), memory()];
    let world = World::new(&stores[0].1);
    world.work(REPOSITORIES, RUNS, 3);
    let mut watcher = world.watcher("watcher");
    for (moves, (name, settings)) in stores.iter().enumerate() {
        world.until_done(moves * 100);
        world.settings(settings);
        let line = format!("Initialized concurrency system with driver: {name}");
        let times = stores[..=moves].iter().filter(|(other, _)| other == name).count();
        eventually(&line, || watcher.log().matches(&line).count() == times);
    }
    assert!(world.done() < ALL, "the last move came too late to matter");
    world.all_is_well(ALL, Duration::ZERO);
    watcher.stop();
}

#[test]
fn a_driver_that_can_not_be_reached_is_not_moved_to() {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    world.work(5, RUNS, 3);
    let mut watcher = world.watcher("watcher");
    world.until_done(20);
    world.settings(&postgresql_settings(free_port().unwrap()));
    eventually("it says so", || {
        let log = watcher.log();
        log.contains("the former one stays in use") && log.contains("connection refused")
    });
    world.all_is_well(5 * RUNS, Duration::ZERO);
    watcher.stop();
}
