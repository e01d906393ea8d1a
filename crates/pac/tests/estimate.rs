//! Whether runs start when the watcher says they will.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use pac_devcluster::{RunDuration, TektonPlayer};
use serde_json::{Value, json};
use support::{Watcher, World, eventually};

const REPOSITORIES: usize = 12;
const RUNS: usize = 24;
const LIMIT: u32 = 2;

/// Between a third of a second and two seconds, one in four of them long; always the same for the same run.
fn duration(run: &Value) -> Duration {
    let mut hasher = DefaultHasher::new();
    run.pointer("/metadata/namespace").zip(run.pointer("/metadata/name")).hash(&mut hasher);
    let lot = hasher.finish();
    let base = if lot.is_multiple_of(4) { 1400 } else { 350 };
    Duration::from_millis(base + lot / 4 % 600)
}

/// What was said of one run: when, and between which times it would start; in seconds of the API server's clock.
struct Said {
    run: String,
    earliest: f64,
    latest: f64,
}

/// What the watcher says now of every run that waits.
fn ask(world: &World, watcher: &Watcher, number: usize) -> Vec<Said> {
    let marker = format!("marker-{number}");
    world.cluster.store().create("configmaps", "pipelines-as-code", json!({"metadata": {"name": marker}})).unwrap();
    let made = world.cluster.history().into_iter().find(|version| version.name == marker).unwrap();
    let mut said = Vec::new();
    for repository in 0..REPOSITORIES {
        let path = format!("/debug/queue?repository=team-{repository}/repo-{repository}");
        let told: Value = serde_json::from_str(&Watcher::get(watcher.admin_port, &path)).unwrap();
        for run in told["repositories"][0]["waiting"].as_array().unwrap() {
            let Some(earliest) = run["estimate"]["earliest_seconds"].as_f64() else { continue };
            let latest = run["estimate"]["latest_seconds"].as_f64().unwrap();
            let at = made.at.as_secs_f64();
            said.push(Said {
                run: run["run"].as_str().unwrap().to_owned(),
                earliest: at + earliest,
                latest: at + latest,
            });
        }
    }
    said
}

/// When each run was started, by the API server's clock.
fn starts(world: &World) -> HashMap<String, f64> {
    let mut starts = HashMap::new();
    for version in world.cluster.history() {
        let is_pending = version.object.pointer("/spec/status") == Some(&"PipelineRunPending".into());
        if version.resource == "pipelineruns" && !is_pending {
            let run = format!("{}/{}", version.namespace, version.name);
            starts.entry(run).or_insert(version.at.as_secs_f64());
        }
    }
    starts
}

#[test]
fn nine_of_ten_runs_start_when_the_watcher_said_they_would() {
    let player = TektonPlayer { duration: RunDuration::By(Arc::new(duration)), ..TektonPlayer::default() };
    let world = World::played_by(player, &json!({"concurrency-driver": "memory"}));
    world.work(REPOSITORIES, RUNS, LIMIT);
    let mut watcher = world.watcher("watcher");
    let mut said = Vec::new();
    for (number, done) in [RUNS / 3, RUNS / 2, RUNS * 2 / 3].into_iter().enumerate() {
        eventually("some are done", || world.done() >= done * REPOSITORIES);
        said.extend(ask(&world, &watcher, number));
    }
    world.until_done(REPOSITORIES * RUNS);
    let starts = starts(&world);
    let (mut early, mut late) = (0, 0);
    for said in &said {
        let start = starts[&said.run];
        early += usize::from(start < said.earliest);
        late += usize::from(start > said.latest);
    }
    let width = said.iter().map(|said| said.latest - said.earliest).sum::<f64>() / said.len() as f64;
    println!("{} asked, {early} started earlier, {late} later; the range is {width:.1} s wide on average", said.len());
    assert!(said.len() > REPOSITORIES * RUNS / 2, "only {} were told of", said.len());
    assert!((early + late) * 10 <= said.len(), "of {} {early} started earlier, {late} later", said.len());
    // A range so wide that it always holds would say nothing.
    assert!(width < 6.0, "{width} s");
    watcher.stop();
}
