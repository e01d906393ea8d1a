//! Beside Kueue, and others who hold runs: nobody starts what another holds, and both limits hold by handing over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::verdict::VerdictOptions;
use pac_devcluster::{Options, RunDuration, TektonPlayer};
use pac_queue::view::{Answer, Explanation};
use serde_json::{Value, json};
use support::World;
use support::kueue::{Kueue, QUEUE_NAME};

const KUEUE_QUEUE: &str = "concurrency.pipelinesascode.tekton.dev/kueue-queue";
/// Where a run waits for us.
const WAITING_QUEUE: &str = "pac-concurrency";

fn held_by(queue: &str) -> Value {
    json!({"metadata": {"labels": {QUEUE_NAME: queue}}})
}

/// As tekton-kueue's webhook leaves a run when it is set up as docs/companion.md says.
fn waiting_for_both(queue: &str) -> Value {
    json!({"metadata": {"labels": {QUEUE_NAME: WAITING_QUEUE}, "annotations": {KUEUE_QUEUE: queue}}})
}

async fn explained(world: &World, run: &str, answer: Answer, words: &str) {
    let path = format!("/debug/queue/explain?run={}/{run}", world.namespace);
    let (_, body) = world.watcher().get(world.watcher().admin_addr, &path).await;
    let told: Explanation = serde_json::from_str(&body).unwrap();
    assert_eq!(told.answer, answer, "{told:?}");
    assert!(told.because.contains(words), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_holds_is_not_started_and_says_by_whom() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.run_with("repo", "of-kueue", held_by("team")).await;
    world.run_with("repo", "of-multikueue", json!({"spec": {"managedBy": "kueue.x-k8s.io/multikueue"}})).await;
    world.run_with("repo", "nowhere", held_by(WAITING_QUEUE)).await;
    world.run("repo", "ours").await;
    // It holds up nobody behind it.
    world.running(&["ours"]).await;
    explained(&world, "of-kueue", Answer::Foreign, "Kueue holds it (label kueue.x-k8s.io/queue-name: team)").await;
    explained(&world, "of-multikueue", Answer::Foreign, "kueue.x-k8s.io/multikueue manages it").await;
    explained(&world, "nowhere", Answer::Foreign, KUEUE_QUEUE).await;
    // Whoever held it lets it go: it runs, and it counts.
    world.run("repo", "next").await;
    world.patch_run("of-kueue", json!({"spec": {"status": null}})).await;
    world.running(&["of-kueue", "ours"]).await;
    world.finish("ours").await;
    world.settled().await;
    assert!(world.recorder.now()["next"].is_pending(), "P1: the one that another started has the slot");
    world.finish("of-kueue").await;
    world.started("next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_comes_to_be_held_while_it_waits_is_left_to_its_holder() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["first", "second", "third"]).await;
    world.running(&["first"]).await;
    world.settled().await;
    world.patch_run("second", held_by("team")).await;
    world.settled().await;
    world.finish("first").await;
    world.started("third").await;
    assert!(world.recorder.now()["second"].is_pending());
    // And back.
    world.patch_run("second", json!({"metadata": {"labels": {QUEUE_NAME: null}}})).await;
    world.finish("third").await;
    world.started("second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_handed_over_keeps_its_slot_until_it_is_done_whoever_watches() {
    let mut world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.run_with("repo", "first", waiting_for_both("team")).await;
    world.state_is("first", "started").await;
    let first = world.runs().get("first").await.unwrap();
    assert_eq!(first.metadata.labels.unwrap()[QUEUE_NAME], "team");
    assert!(world.recorder.now()["first"].is_pending(), "that is Kueue's to change");
    world.run_with("repo", "second", waiting_for_both("team")).await;
    world.settled().await;
    // Another watcher, which knows nothing but what the cluster tells.
    world.stop_watcher();
    world.start_watcher();
    world.settled().await;
    assert_eq!(world.recorder.now()["second"].state, "queued", "P1");
    world.patch_run("first", json!({"spec": {"status": null}})).await;
    world.running(&["first"]).await;
    world.finish("first").await;
    world.state_is("second", "started").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_a_run_is_handed_over_at_once() {
    let world = World::new().await;
    world.repository("unlimited", None).await;
    let mut run = waiting_for_both("team");
    run["metadata"]["annotations"]["pipelinesascode.tekton.dev/state"] = "started".into();
    world.run_with("unlimited", "a", run).await;
    world.recorder.until("it is handed over", |runs| runs.contains_key("a")).await;
    loop {
        let run = world.runs().get("a").await.unwrap();
        if run.metadata.labels.unwrap()[QUEUE_NAME] == "team" {
            break;
        }
        // Polled, since the recorder doesn't keep this label.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `count` runs of three repositories with a limit of 3 each, under a quota of 5: neither is ever exceeded, and all are done.
async fn both_limits_hold(count: usize, patience: Duration) {
    let tekton = TektonPlayer { duration: RunDuration::Fixed(Duration::from_millis(20)), ..TektonPlayer::default() };
    let world = World::beside_pac(Options { tekton: Some(tekton), ..Options::default() }).await;
    let kueue = Kueue::start(world.runs(), "team", 5);
    for repository in 0..3 {
        world.repository(&format!("repo-{repository}"), Some(3)).await;
    }
    for number in 0..count {
        world.run_with(&format!("repo-{}", number % 3), &format!("run-{number}"), waiting_for_both("team")).await;
    }
    let done = world.recorder.until_within(patience, "all are done", |runs| {
        runs.len() == count && runs.values().all(|run| run.succeeded == "True")
    });
    done.await;
    assert_eq!(kueue.stopped(), [""; 0], "nobody but Kueue started one");
    assert_eq!(kueue.most_at_once(), 5, "Kueue's quota was used, and mattered");
    let verdict = world.cluster.development().verdict(&VerdictOptions {
        ended: true,
        // How long Kueue keeps a run that has its slot is Kueue's.
        longest_gap: patience,
        ..VerdictOptions::default()
    });
    for promise in verdict.promises.iter().filter(|promise| ["P1", "P2"].contains(&promise.id)) {
        assert!(promise.held, "{promise:#?}");
    }
    assert_eq!(verdict.done, count);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "plays Tekton and Kueue")]
async fn neither_our_limit_nor_kueues_is_exceeded() {
    both_limits_hold(150, support::PATIENCE).await;
}

/// Takes minutes: `cargo test -p pac-watcher --test kueue -- --ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn neither_limit_is_exceeded_by_ten_thousand_runs() {
    both_limits_hold(10_000, Duration::from_mins(30)).await;
}
