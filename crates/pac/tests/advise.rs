//! `queue advise` by what a watcher before left in the store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use pac_devcluster::{RunDuration, TektonPlayer};
use serde_json::Value;
use support::{Store, World, command, eventually, said};

const RUNS: usize = 40;
const LIMIT: u32 = 2;

/// Half of them are twice as long as the others.
fn duration(run: &Value) -> Duration {
    let name = run.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    Duration::from_millis(if name.ends_with(['1', '3', '5', '7', '9']) { 400 } else { 200 })
}

fn the_week_outlives_the_watcher(store: &Store) {
    let player = TektonPlayer { duration: RunDuration::By(Arc::new(duration)), ..TektonPlayer::default() };
    let world = World::played_by(player, &store.settings());
    let mut first = world.watcher("first");
    first.becomes_ready(true);
    world.work(1, RUNS, LIMIT);
    world.until_done(RUNS);
    eventually("all are over", || {
        let told = support::Watcher::get(first.admin_port, "/debug/queue/times?repository=team-0/repo-0");
        told.matches("\"done\"").count() == RUNS
    });
    first.stop();
    let mut second = world.watcher("second");
    second.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", second.admin_port);
    let advise = |arguments: &[&str]| {
        let all = [&["queue", "advise", "--admin-url", &url], arguments].concat();
        said(&mut command(&world, &all))
    };
    let known = || advise(&["team-0/repo-0"]).code == 0;
    eventually("the second has taken it up", known);

    let json = advise(&["team-0/repo-0", "-o", "json", "--limit", "1", "--limit", "4"]);
    let advice: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&advice["runs"], &advice["guessed"]), (&RUNS.into(), &0.into()), "{advice:#}");
    let limits = advice["limits"].as_array().unwrap();
    assert_eq!(limits.iter().map(|one| one["limit"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 4]);
    let p90 = |of: &Value| of["p90_seconds"].as_f64().unwrap();
    let [one, now, four] = [0, 1, 2].map(|number: usize| p90(&limits[number]["waits"]));
    // All arrive at once: half as many slots, twice the wait.
    assert!((1.6..2.6).contains(&(one / now)) && (1.6..2.6).contains(&(now / four)), "{advice:#}");
    assert!((p90(&advice["check"]) / p90(&advice["measured"]) - 1.0).abs() < 0.3, "{advice:#}");

    let table = advise(&["team-0/repo-0"]);
    for text in ["the limit is 2 now", "LIMIT", "Assumed: ", "How much weeks differ can't be said"] {
        assert!(table.out.contains(text), "{text}: {table:?}");
    }
    world.repository(1, LIMIT);
    let refused = |arguments: &[&str], code| {
        let said = advise(arguments);
        assert_eq!(said.code, code, "{said:?}");
        said.err
    };
    eventually("the other Repository is known", || advise(&["team-1/repo-1"]).code != 3);
    let why = refused(&["team-1/repo-1"], 4);
    assert!(why.contains("too little is known: 0 runs came to their end"), "{why}");
    refused(&["team-9/repo-9"], 3);
    refused(&["team-0/repo-0", "--limit", "0"], 2);
    second.stop();
}

#[test]
fn the_week_outlives_the_watcher_on_postgresql() {
    the_week_outlives_the_watcher(&Store::postgresql());
}

#[test]
fn the_week_outlives_the_watcher_on_etcd() {
    the_week_outlives_the_watcher(&Store::etcd());
}
