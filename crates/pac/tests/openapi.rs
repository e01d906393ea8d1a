//! The admin port is as its description says: every path, every answer, every field, and none that isn't described.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod described;
#[allow(dead_code, reason = "the rest of it is for recordings")]
#[path = "recorded/scene.rs"]
mod scene;
mod support;

use std::collections::BTreeSet;

use described::Description;
use pac_devcluster::{FaultAction, FaultRule};
use serde_json::{Value, json};
use support::process::ask;
use support::{Watcher, World, eventually};

/// Fields that this scene doesn't bring about: what shadow mode finds where PAC's own queue is at work.
const ELSEWHERE: [&str; 3] =
    ["/components/schemas/Drift/", "/components/schemas/RepositoryShadow/", "/components/schemas/DayShadow/"];

fn check(description: &mut Description, watcher: &Watcher, paths: &[&str]) {
    for path in paths {
        description.check(path, ask(watcher.admin_port, path).unwrap());
    }
}

const ALL: [&str; 14] = [
    "/debug/queue/summary",
    "/debug/queue",
    "/debug/queue?repository=team-0/repo-0",
    "/debug/queue?repository=team-9/repo-9",
    "/debug/queue?repository=9",
    "/debug/queue/explain?run=team-0/two-3",
    "/debug/queue/explain?run=9",
    "/debug/queue/plot",
    "/debug/queue/plot?repository=9",
    "/debug/queue/times?repository=team-0/repo-0",
    "/debug/queue/times?repository=team-9/repo-9",
    "/debug/queue/times?repository=9",
    "/debug/shadow",
    "/openapi.yaml",
];

#[test]
fn every_answer_is_as_described_and_all_that_is_described_is_answered() {
    let mut description = Description::read();
    let asked = ALL.map(|path| path.split('?').next().unwrap().to_owned());
    assert_eq!(description.paths(), BTreeSet::from(asked));

    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    let mut watcher = world.watcher("first");
    watcher.becomes_ready(true);
    scene::what_happens_to_runs(&world, &watcher);
    scene::what_operators_do(&world, &watcher);
    check(&mut description, &watcher, &ALL);
    check(&mut description, &watcher, &["/debug/queue/times?repository=team-1/repo-1"]);

    // A run whose start is refused, and others that wait for as long as the last ones took.
    let webhook = FaultAction::Error { status: 403, reason: "Forbidden".into(), message: "not yet".into() };
    world.cluster.faults().add(FaultRule::new(webhook).verb("patch").resource("pipelineruns").name("two-0").times(1));
    world.finish(0, "one-3", true);
    eventually("it is refused, and the others wait", || {
        let told = Watcher::get(watcher.admin_port, "/debug/queue?repository=team-0/repo-0");
        told.contains("its start was refused") && told.contains("earliest_seconds")
    });
    check(&mut description, &watcher, &ALL);

    // A pause whose end nobody can read, and a run whose Repository is gone.
    world.pause_until_text(1, "the registry moves", "tomorrow");
    world.queue_run(2, "left");
    world.is_started(2, "left");
    world.delete_repository(2);
    eventually("it is known", || {
        let told: Value = serde_json::from_str(&Watcher::get(watcher.admin_port, "/debug/queue/summary")).unwrap();
        let told = told["repositories"].as_array().unwrap();
        told.iter().any(|one| one["limit"]["why"].is_string())
            && told.iter().any(|one| one["paused"]["complaint"].is_string())
    });
    check(&mut description, &watcher, &ALL);
    world.settings(&json!({"concurrency-driver": "memory", "concurrency-enabled": "false"}));
    eventually("it is off, and knows who waits", || {
        let summary = Watcher::get(watcher.admin_port, "/debug/queue/summary");
        summary.contains("waiting_while_off")
    });
    check(&mut description, &watcher, &["/debug/queue/summary"]);
    watcher.stop();

    let (mut watcher, _way) = world.remote_watcher("shadow", &["--mode", "shadow"]);
    watcher.becomes_ready(true);
    check(&mut description, &watcher, &["/debug/shadow", "/debug/queue"]);
    watcher.stop();

    let unseen = description.unseen();
    let missing: Vec<&String> =
        unseen.iter().filter(|place| !ELSEWHERE.iter().any(|elsewhere| place.starts_with(elsewhere))).collect();
    assert!(missing.is_empty(), "described, and never answered: {missing:#?}");
}
