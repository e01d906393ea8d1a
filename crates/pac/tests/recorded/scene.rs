//! What watchers and users do in a recording: something of everything that a watcher writes down.
//!
//! Three watchers, one after the other. The last is killed, and leaves
//!
//! - in the first Repository, limit 2: [`RUNNING`] running, [`GRANTED`] with a slot and not started, and [`WAITING`] in the queue;
//! - in the second, which is paused: one run running and two waiting;
//! - in the third nothing but its history.

use std::time::Duration;

use jiff::Timestamp;
use pac_devcluster::{FaultAction, FaultRule};
use serde_json::Value;

use crate::support::{Watcher, World, eventually};

pub(crate) const RUNNING: &str = "one-3";
pub(crate) const GRANTED: &str = "two-0";
pub(crate) const WAITING: [&str; 3] = ["two-1", "two-2", "two-3"];
/// What the operator said who paused the second Repository.
pub(crate) const PAUSED: &str = "the registry moves";

/// What a watcher tells of a Repository.
pub(crate) fn told(watcher: &Watcher, repository: usize) -> Value {
    let path = format!("/debug/queue?repository=team-{repository}/repo-{repository}");
    let told: Value = serde_json::from_str(&Watcher::get(watcher.admin_port, &path)).unwrap_or_default();
    told["repositories"][0].clone()
}

/// Waits until a watcher tells that so many records of this kind are in a Repository's history.
fn until_told(watcher: &Watcher, repository: usize, what: &str, times: usize) {
    eventually(&format!("{what} in the history of Repository {repository}"), || {
        let told = told(watcher, repository);
        let records = told["history"].as_array().into_iter().flatten();
        records.filter(|record| record["what"] == what).count() == times
    });
}

/// Plays it, in a cluster where the test says what becomes of runs. `start` starts a watcher.
pub(crate) fn play(world: &World, start: impl Fn(&str) -> Watcher) {
    let mut first = start("first");
    first.becomes_ready(true);
    what_happens_to_runs(world, &first);
    what_operators_do(world, &first);
    first.stop();
    // Nobody but a watcher that ends in order, or has led for two minutes, writes the history down.
    let mut second = start("second");
    until_told(&second, 0, "taken-over", 2);
    second.stop();
    let mut third = start("third");
    until_told(&third, 0, "taken-over", 4);
    let lost = FaultRule::new(FaultAction::DropBefore).verb("patch").resource("pipelineruns");
    world.cluster.faults().add(lost);
    world.finish(0, "one-1", true);
    eventually("the last is granted", || {
        third.log().contains(&format!("acquired concurrency slot for team-0/{GRANTED}"))
    });
    third.kill();
    world.cluster.faults().clear();
}

/// Adopted, queued, admitted, started, refused, given back, passed over, released.
pub(crate) fn what_happens_to_runs(world: &World, watcher: &Watcher) {
    world.repository(0, 1);
    world.running(0, "found", Duration::ZERO);
    until_told(watcher, 0, "adopted", 1);
    world.queue_event(0, &["one-0", "one-1", "one-2", "one-3"]);
    until_told(watcher, 0, "queued", 4);
    world.set_limit(0, Some(2));
    world.is_started(0, "one-0");
    let webhook = FaultAction::Error { status: 403, reason: "Forbidden".into(), message: "not yet".into() };
    world.cluster.faults().add(FaultRule::new(webhook).verb("patch").resource("pipelineruns").name("one-1").times(1));
    world.finish(0, "one-0", true);
    world.is_started(0, "one-2");
    until_told(watcher, 0, "passed-over", 1);
    world.release(0, "found", "its node is gone");
    world.is_started(0, RUNNING);
    world.finish(0, "one-2", false);
    world.is_started(0, "one-1");
    world.queue_event(0, &[&[GRANTED], &WAITING[..]].concat());
    until_told(watcher, 0, "queued", 8);
}

/// Paused and resumed, by their word and by itself; a run that waits is deleted.
pub(crate) fn what_operators_do(world: &World, watcher: &Watcher) {
    world.repository(1, 1);
    world.queue_event(1, &["run-0", "run-1", "run-2", "run-3"]);
    world.is_started(1, "run-0");
    world.pause(1, Some("the node is drained"));
    until_told(watcher, 1, "paused", 1);
    world.resume(1, "it is back");
    until_told(watcher, 1, "resumed", 1);
    world.pause(1, Some(PAUSED));
    until_told(watcher, 1, "paused", 2);
    world.delete_run(1, "run-3");
    until_told(watcher, 1, "released", 1);
    world.repository(2, 1);
    world.queue_event(2, &["run"]);
    world.is_started(2, "run");
    world.pause_until(2, "for a moment", Timestamp::now() + Duration::from_secs(2));
    until_told(watcher, 2, "paused", 1);
    until_told(watcher, 2, "resumed", 1);
    world.finish(2, "run", true);
    until_told(watcher, 2, "released", 1);
}
