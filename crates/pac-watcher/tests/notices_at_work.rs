//! What many runs say of their wait while slots turn over: how true it is, how much is written, and what a hand-off pays for it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use pac_devcluster::verdict::{LatencySummary, VerdictOptions};
use pac_devcluster::{Change, HistoryLimit, Options, RunDuration, TektonPlayer, Version};
use pac_kube::notice::{NOTICE, NoticeMark};
use pac_watcher::Pace;
use serde_json::{Value, json};
use support::{Cluster, World};

const LIMIT: usize = 2;
/// Two of each run from the beginning.
const RUNS: usize = 22;

/// A minute is two seconds.
const PACE: Pace = Pace {
    settles: Duration::from_millis(200),
    rests: Duration::from_secs(2),
    rate: 300,
    off_by: Duration::from_secs(2),
    round: Duration::from_millis(50),
    looks: (Duration::from_millis(200), Duration::from_secs(2)),
    looking: 1,
};

/// A minute is ten seconds: as many writes as a thousand runs take are within what a busy machine does.
const SLOWER: Pace = Pace {
    settles: Duration::from_secs(1),
    rests: Duration::from_secs(10),
    rate: 60,
    off_by: Duration::from_secs(3),
    looks: (Duration::from_secs(1), Duration::from_secs(10)),
    ..PACE
};

/// So many Repositories full of runs that take so long, and a watcher that is yet to be started.
async fn crowded(repositories: usize, duration: RunDuration) -> World {
    let tekton = TektonPlayer { duration, ..TektonPlayer::default() };
    let options = Options { tekton: Some(tekton), history: HistoryLimit::All, ..Options::default() };
    let world = World::of(Cluster::play(options).await, "crowd".to_owned()).await;
    for repository in 0..repositories {
        world.repository(&format!("repo-{repository:02}"), Some(LIMIT as i64)).await;
        let names: Vec<String> = (0..RUNS).map(|run| name(repository, run)).collect();
        let order: Vec<String> = names.iter().map(|name| format!("crowd/{name}")).collect();
        for name in names {
            let run = run_of(repository, &name, &order.join(","));
            world.cluster.development().store().create("pipelineruns", "crowd", run).unwrap();
        }
    }
    world
}

fn name(repository: usize, run: usize) -> String {
    format!("run-{repository:02}-{run:02}")
}

/// As PAC leaves it.
fn run_of(repository: usize, name: &str, order: &str) -> Value {
    let repository = format!("repo-{repository:02}");
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {
            "name": name,
            "labels": {"pipelinesascode.tekton.dev/state": "queued", "pipelinesascode.tekton.dev/repository": repository},
            "annotations": {
                "pipelinesascode.tekton.dev/state": "queued",
                "pipelinesascode.tekton.dev/repository": repository,
                "pipelinesascode.tekton.dev/execution-order": order,
            },
        },
        "spec": {"status": "PipelineRunPending", "pipelineSpec": {"tasks": []}},
    })
}

/// What a run says, as far as it can be compared.
fn says(run: &Value) -> Option<NoticeMark> {
    let [place, reason, start] = NOTICE.map(|name| run["metadata"]["annotations"].get(name).and_then(Value::as_str));
    let start = start.map(|start| start.parse::<Timestamp>().unwrap().as_second());
    reason.map(|reason| {
        assert_eq!(reason, "it waits for one of 2 slots of its Repository");
        NoticeMark::new(place.map(|place| place.parse().unwrap()), 1, start)
    })
}

fn is_pending(run: &Value) -> bool {
    run["spec"]["status"] == "PipelineRunPending"
}

/// The runs that wait and their true places, as the API server has them just now.
fn waiting(world: &World, repositories: usize) -> Vec<(String, u32, Option<NoticeMark>)> {
    let mut all = Vec::new();
    for repository in 0..repositories {
        let runs = (0..RUNS).map(|run| name(repository, run));
        let get = |name: String| {
            let run = world.cluster.development().store().get("pipelineruns", "crowd", &name).unwrap();
            (name, run)
        };
        let pending = runs.map(get).filter(|(_, run)| is_pending(run));
        all.extend((1..).zip(pending).map(|(place, (name, run))| (name, place, says(&run))));
    }
    all
}

/// When something was written that a run says, for each run.
fn writes(history: &[Version]) -> HashMap<&str, Vec<Duration>> {
    let mut said: HashMap<&str, Option<NoticeMark>> = HashMap::new();
    let mut writes: HashMap<&str, Vec<Duration>> = HashMap::new();
    for version in history.iter().filter(|version| version.resource == "pipelineruns") {
        let now = says(&version.object);
        let before = said.insert(&version.name, now).flatten();
        if before != now && version.change == Change::Updated && is_pending(&version.object) {
            writes.entry(&version.name).or_default().push(version.at);
        }
    }
    writes
}

/// Looks again and again at what the runs of so many Repositories say while slots turn over, and counts what was written.
async fn look_while_slots_turn_over(repositories: usize, pace: Pace, lasts: Duration) {
    let duration = RunDuration::Between(pace.rests * 3 / 2, pace.rests * 3);
    let mut world = crowded(repositories, duration).await;
    world.start_watcher_at(pace);
    world.watcher().ready(true).await;
    let began = Instant::now();
    // Since when each run has said nothing, or what is too far from the truth.
    let mut wrong: BTreeMap<String, Instant> = BTreeMap::new();
    let (mut longest, mut looks, mut seen, mut right) = (Duration::ZERO, 0, 0, 0);
    while began.elapsed() < lasts {
        let (now, seconds) = (Instant::now(), Timestamp::now().as_second());
        let waiting = waiting(&world, repositories);
        wrong.retain(|name, _| waiting.iter().any(|(other, ..)| other == name));
        for (name, place, says) in waiting {
            // The true start isn't known; one that is past is none.
            let start = says.and_then(NoticeMark::expected_start).map(|start| start.max(seconds - 1));
            let is = Some(NoticeMark::new(Some(place), 1, start));
            seen += 1;
            if pace.differs(says, is, seconds) {
                let since = *wrong.entry(name).or_insert(now);
                longest = longest.max(now - since);
            } else {
                wrong.remove(&name);
                right += 1;
            }
        }
        looks += 1;
        tokio::time::sleep(Duration::from_millis(200)).await; // as somebody with kubectl would look again
    }
    let elapsed = began.elapsed();
    let history = world.cluster.development().history();
    let writes = writes(&history);
    let count: usize = writes.values().map(Vec::len).sum();
    let closest = writes.values().flat_map(|of| of.windows(2).map(|pair| pair[1] - pair[0])).min().unwrap_or_default();
    let mut times: Vec<Duration> = writes.values().flatten().copied().collect();
    times.sort_unstable();
    let busiest = times
        .iter()
        .enumerate()
        .map(|(at, first)| times[at..].iter().take_while(|other| **other < *first + Duration::from_secs(1)).count());
    let busiest = busiest.max().unwrap_or_default();
    let started = history.iter().filter(|version| version.resource == "pipelineruns" && !is_pending(&version.object));
    let started_that_say = started.filter(|version| says(&version.object).is_some()).count();
    let hand_off = world.cluster.development().verdict(&VerdictOptions::default()).hand_off;
    println!(
        "{looks} looks at {} runs each, {right} of {seen} within a step; wrong for {longest:?} at most; {count} writes in \
         {elapsed:?}, the busiest second {busiest}, the closest of one run {closest:?}; {} hand-offs, median {:.1} ms, p99 {:.1} ms",
        seen / looks,
        hand_off.count,
        hand_off.median,
        hand_off.p99
    );
    assert!(hand_off.count > repositories, "slots turn over");
    assert_eq!(started_that_say, 0, "the start takes it away");
    // Its minute, what it takes to settle, a write of everybody else, and what a slow machine takes longer.
    let everybody = Duration::from_secs_f64((repositories * RUNS) as f64 / f64::from(pace.rate));
    let bound = pace.rests + pace.settles + everybody + Duration::from_secs(5);
    assert!(longest <= bound && bound < lasts, "{longest:?} of {bound:?}");
    // Our clock and the server's are one, but a write is counted here when the server has made it, there when it is answered.
    assert!(closest >= pace.rests * 9 / 10, "{closest:?}");
    assert!(busiest <= 2 * pace.rate as usize, "{busiest}");
    assert!(count as f64 <= (elapsed.as_secs_f64() + 1.0) * f64::from(pace.rate), "{count}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn runs_say_what_is_so_while_slots_turn_over() {
    look_while_slots_turn_over(5, PACE, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "much work: cargo test --release -p pac-watcher --test notices_at_work -- --ignored --nocapture thousand"]
async fn a_thousand_runs_say_what_is_so_while_slots_turn_over() {
    look_while_slots_turn_over(50, SLOWER, Duration::from_secs(90)).await;
}

/// Hand-offs while every run waits that says something of it, or none does.
async fn hand_offs(annotations: bool) -> (LatencySummary, usize) {
    let mut world = crowded(20, RunDuration::Fixed(Duration::from_secs(4))).await;
    let settings = json!({
        "concurrency-enabled": "true", "concurrency-driver": "memory", "concurrency-annotations": annotations.to_string(),
    });
    world.settings(settings).await;
    world.start_watcher_at(Pace::default());
    // Of hundreds of runs that take turns for half a minute nothing tells when they have.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let history = world.cluster.development().history();
    let hand_off = world.cluster.development().verdict(&VerdictOptions::default()).hand_off;
    (hand_off, writes(&history).values().map(Vec::len).sum())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "four minutes of measuring: cargo test --release -p pac-watcher --test notices_at_work -- --ignored --nocapture hand_off"]
async fn a_hand_off_with_and_without_side_by_side() {
    for round in 0..3 {
        for annotations in [false, true] {
            let (hand_off, writes) = hand_offs(annotations).await;
            println!(
                "round {round}, annotations {annotations}: {writes} writes; {} hand-offs, median {:.2} ms, p99 {:.2} ms, most {:.2} ms",
                hand_off.count, hand_off.median, hand_off.p99, hand_off.max
            );
            assert!(hand_off.count > 100 && annotations == (writes > 0), "{writes} writes, {hand_off:?}");
        }
    }
}
