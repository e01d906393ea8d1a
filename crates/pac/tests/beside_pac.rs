//! Beside PAC as it is in a burst: its orders are seconds late, and so are the Secrets that it makes for runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::verdict::VerdictOptions;
use serde_json::json;

use support::{World, event};

const REPOSITORIES: usize = 3;
const RUNS: usize = 25;
const LIMIT: u32 = 5;

#[test]
fn in_a_burst_runs_start_by_name_and_with_their_secrets() {
    let world = World::with_pac(&json!({"concurrency-driver": "memory"}));
    let mut watcher = world.watcher_with("one", &["--mode", "companion"]);
    watcher.becomes_ready(true);
    let pac = world.cluster.pac().unwrap();
    let names: Vec<String> = (0..RUNS).map(|number| format!("run-{number}")).collect();
    for repository in 0..REPOSITORIES {
        world.repository(repository, LIMIT);
        pac.push(event(repository, &names));
    }
    let secret_wait = Some(Duration::from_secs(10));
    let options = VerdictOptions { secret_wait, ..world.verdict_options(Duration::ZERO) };
    world.all_is_judged_well(REPOSITORIES * RUNS, options);
    watcher.stop();
}
