//! The driver is changed in the ConfigMap of a busy watcher: everything moves over, nobody is admitted above the limit,
//! nobody loses its place, and the watcher is not restarted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devservers::free_port;
use pac_devservers::postgres::{PASSWORD, Postgres};
use serde_json::{Value, json};
use support::{World, eventually};

const REPOSITORIES: usize = 20;
const RUNS: usize = 40;
const ALL: usize = REPOSITORIES * RUNS;

fn memory() -> Value {
    json!({"concurrency-driver": "memory"})
}

fn postgresql(port: u16) -> Value {
    json!({
        "concurrency-driver": "postgresql",
        "postgresql-host": "127.0.0.1",
        "postgresql-port": port.to_string(),
        "postgresql-ssl-mode": "disable",
        "postgresql-password": PASSWORD,
    })
}

#[test]
fn a_busy_watcher_moves_from_any_driver_to_any_other() {
    let server = Postgres::start().unwrap();
    let stores =
        [("postgresql", postgresql(server.port())), ("memory", memory()), ("postgresql", postgresql(server.port()))];
    let world = World::new(&memory());
    world.work(REPOSITORIES, RUNS, 3);
    let mut watcher = world.watcher("watcher");
    for (moves, (name, settings)) in (1..).zip(&stores) {
        world.until_done(moves * 150);
        world.settings(settings);
        let line = format!("Initialized concurrency system with driver: {name}");
        let times = stores[..moves].iter().filter(|(other, _)| other == name).count() + usize::from(*name == "memory");
        eventually(&line, || watcher.log().matches(&line).count() == times);
    }
    assert!(world.done() < ALL, "the last move came too late to matter");
    world.all_is_well(ALL, Duration::ZERO);
    watcher.stop();
}

#[test]
fn a_driver_that_can_not_be_reached_is_not_moved_to() {
    let world = World::new(&memory());
    world.work(5, RUNS, 3);
    let mut watcher = world.watcher("watcher");
    world.until_done(20);
    world.settings(&postgresql(free_port().unwrap()));
    eventually("it says so", || {
        let log = watcher.log();
        log.contains("still on the former connection") && log.contains("connection refused")
    });
    world.all_is_well(5 * RUNS, Duration::ZERO);
    watcher.stop();
}
