//! What users do to runs meanwhile, and what they write into them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
use pac_state::audit::AUDIT_EVERY;
use serde_json::json;
use support::{RESYNCING, Watcher, World};

const STATE: &str = "pipelinesascode.tekton.dev/state";
const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
/// What the log says when a start was answered with no, because of what was done to the run meanwhile.
const NOT_STARTED: &str = "not started: it is over or was cancelled meanwhile";

/// The next patch of `name` takes so long that a user gets in between.
fn slow_patch_of(name: &str) -> FaultRule {
    FaultRule::new(FaultAction::Latency(std::time::Duration::from_secs(2)))
        .verb("patch")
        .resource("pipelineruns")
        .name(name)
        .times(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_that_is_cancelled_or_deleted_leaves_the_queue() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c", "d"]).await;
    world.running(&["a"]).await;
    world.cancel("b").await;
    world.delete_run("c").await;
    world.finish("a").await;
    world.running(&["d"]).await;
    assert_eq!(world.recorder.now()["b"].wish, "Cancelled");
}

/// Tekton writes a condition onto whatever is pending.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_that_tekton_calls_pending_leaves_the_queue_when_it_is_cancelled() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    let pending = json!([{"type": "Succeeded", "status": "Unknown", "reason": "PipelineRunPending"}]);
    for name in ["b", "c"] {
        world.patch_run_status(name, json!({"status": {"conditions": pending}})).await;
    }
    world.patch_run("b", json!({"spec": {"status": "CancelledRunFinally"}})).await;
    world.finish("a").await;
    world.started("c").await;
    assert_eq!(world.recorder.now()["b"].wish, "CancelledRunFinally");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_run_stopped_between_grant_and_start_counts_as_long_as_its_last_tasks_may_run() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let slow = world.cluster.faults().add(slow_patch_of("a"));
    world.event("repo", &["a", "b"]).await;
    world.struck(slow).await;
    world.patch_run("a", json!({"spec": {"status": "StoppedRunFinally"}})).await;
    world.watcher().log_says(NOT_STARTED).await;
    world.settled().await;
    assert!(world.recorder.now()["b"].is_pending(), "P1: Tekton may begin with the last tasks of a");
    world.patch_run_status("a", json!({"status": {"startTime": "2026-01-01T00:00:09Z"}})).await;
    world.report("a", "Unknown").await;
    world.settled().await;
    assert!(world.recorder.now()["b"].is_pending(), "P1: they run");
    world.report("a", "False").await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_run_stopped_before_its_start_that_never_begins_gives_way_and_counts_should_it_begin_after_all() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let slow = world.cluster.faults().add(slow_patch_of("a"));
    world.event("repo", &["a", "b", "c"]).await;
    world.struck(slow).await;
    world.patch_run("a", json!({"spec": {"status": "StoppedRunFinally"}})).await;
    world.started("b").await;
    world.patch_run_status("a", json!({"status": {"startTime": "2026-01-01T00:00:09Z"}})).await;
    world.watcher().log_says(&format!("counting {}/a, which runs without a slot", world.namespace)).await;
    world.finish("b").await;
    world.settled().await;
    assert!(world.recorder.now()["c"].is_pending(), "P1");
    world.report("a", "False").await;
    world.started("c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_run_that_is_cancelled_keeps_its_slot_until_it_is_done() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.report("a", "Unknown").await;
    world.cancel("a").await;
    world.settled().await;
    assert!(world.recorder.now()["b"].is_pending());
    world.report("a", "False").await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_moves_to_another_repository_frees_its_slot_here_and_counts_there() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.repository("other", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.annotate("a", "pipelinesascode.tekton.dev/repository", "other").await;
    world.running(&["a", "b"]).await;
    world.event("other", &["c"]).await;
    world.settled().await;
    assert!(world.recorder.now()["c"].is_pending(), "P1");
    world.finish("a").await;
    world.running(&["b", "c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_run_that_is_deleted_frees_its_slot_when_it_is_gone() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.run_with("repo", "a", json!({"metadata": {"finalizers": ["test.example.com/hold"]}})).await;
    world.started("a").await;
    world.event("repo", &["b"]).await;
    world.delete_run("a").await;
    world.settled().await;
    assert!(world.recorder.now()["b"].is_pending(), "its finalizer keeps it running");
    world.patch_run("a", json!({"metadata": {"finalizers": null}})).await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_kept_by_a_finalizer_leaves_the_queue_at_once() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a"]).await;
    let held = json!({"metadata": {"finalizers": ["test.example.com/hold"], "annotations": {EXECUTION_ORDER: world.order(&["b"])}}});
    world.run_with("repo", "b", held).await;
    world.event("repo", &["c"]).await;
    world.running(&["a"]).await;
    world.delete_run("b").await;
    world.finish("a").await;
    world.running(&["c"]).await;
    world.patch_run("b", json!({"metadata": {"finalizers": null}})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_deleted_and_created_again_is_another_run() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    let first = world.recorder.now()["b"].uid.clone();
    // Creation times have whole seconds, and runs of one second would be sorted by their place in their event.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    // One that waits, and one that runs: its slot goes to the next, not to its namesake.
    world.delete_run("b").await;
    world.delete_run("a").await;
    world.event("repo", &["b", "a"]).await;
    world.running(&["c"]).await;
    world.finish("c").await;
    world.running(&["b"]).await;
    world.finish("b").await;
    world.running(&["a"]).await;
    assert_eq!(world.recorder.starts_of(&first), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_run_cancelled_between_grant_and_start_stays_cancelled() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let slow = world.cluster.faults().add(slow_patch_of("a"));
    world.event("repo", &["a", "b"]).await;
    world.struck(slow).await;
    world.cancel("a").await;
    world.running(&["b"]).await;
    world.watcher().log_says(NOT_STARTED).await;
    world.running(&["b"]).await;
    let a = world.recorder.now()["a"].clone();
    assert_eq!((a.wish.as_str(), a.state.as_str()), ("Cancelled", "queued"), "P2");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_run_deleted_between_grant_and_start_is_not_started() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let slow = world.cluster.faults().add(slow_patch_of("a"));
    let held = json!({"metadata": {"finalizers": ["test.example.com/hold"]}});
    world.run_with("repo", "a", held).await;
    world.struck(slow).await;
    world.event("repo", &["b"]).await;
    world.delete_run("a").await;
    world.running(&["b"]).await;
    world.watcher().log_says(NOT_STARTED).await;
    world.running(&["b"]).await;
    assert!(world.recorder.now()["a"].is_pending(), "P2");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_start_does_not_reach_a_namesake_created_meanwhile() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let slow = world.cluster.faults().add(slow_patch_of("a"));
    world.event("repo", &["a", "b"]).await;
    world.struck(slow).await;
    world.delete_run("a").await;
    world.running(&["b"]).await;
    world.event("repo", &["a"]).await;
    world.watcher().log_says(NOT_STARTED).await;
    world.running(&["b"]).await;
    world.finish("b").await;
    world.running(&["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_final_state_is_not_written_onto_a_namesake_created_meanwhile() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a"]).await;
    world.running(&["a"]).await;
    faults.pause_watches();
    world.finish("a").await;
    let slow = faults.add(slow_patch_of("a"));
    faults.resume_watches();
    world.struck(slow).await;
    world.delete_run("a").await;
    world.event("repo", &["a"]).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await; // nothing tells when the slow patch was answered
    world.running(&["a"]).await;
    assert_eq!(world.recorder.now()["a"].state, "started");
    world.finish("a").await;
    world.state_is("a", "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_not_yet_queued_is_left_alone_until_it_is() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let order = world.order(&["a"]);
    // As PAC creates it: only the annotation tells, and doesn't say queued yet.
    let fresh =
        json!({"metadata": {"labels": {STATE: "started"}, "annotations": {STATE: null, EXECUTION_ORDER: order}}});
    world.run_with("repo", "a", fresh).await;
    world.settled().await;
    assert!(world.recorder.now()["a"].is_pending());
    world.patch_run("a", json!({"metadata": {"labels": {STATE: "queued"}, "annotations": {STATE: "queued"}}})).await;
    world.running(&["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_one_event_whose_order_comes_late_start_in_that_order() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let names = ["c", "a", "d", "b"];
    for name in ["a", "b", "c", "d"] {
        world.run("repo", name).await;
    }
    for name in ["a", "b", "c", "d"] {
        world.annotate(name, EXECUTION_ORDER, &world.order(&names)).await;
    }
    assert_eq!(world.drain(&names).await, names, "P3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_order_orders_nothing_and_keeps_nobody_waiting() {
    let world = World::new().await;
    world.repository("repo", Some(2)).await;
    let many: Vec<String> = (0..10_000).map(|number| format!("{}/m{number}", world.namespace)).collect();
    let orders = [
        ("empty", String::new()),
        ("letter", "x".to_owned()),
        ("slashes", "a/b/c".to_owned()),
        ("many", many.join(",") + &format!(",{}/many", world.namespace)),
        ("elsewhere", format!("other/elsewhere,{}/elsewhere", world.namespace)),
        ("others", world.order(&["letter", "slashes"])),
    ];
    for (name, order) in &orders {
        world.run_with("repo", name, json!({"metadata": {"annotations": {EXECUTION_ORDER: order}}})).await;
    }
    let names: Vec<&str> = orders.iter().map(|(name, _)| *name).collect();
    assert_eq!(world.drain(&names).await.len(), names.len(), "P10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_names_an_older_one_first_does_not_pass_others() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["old"]).await;
    world.running(&["old"]).await;
    // The old one has to be older by a second at least, for it to help.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await; // creationTimestamp has whole seconds
    world.event("repo", &["a"]).await;
    world
        .run_with("repo", "z", json!({"metadata": {"annotations": {EXECUTION_ORDER: world.order(&["old", "z"])}}}))
        .await;
    assert_eq!(world.drain(&["a", "z"]).await, ["old", "a", "z"], "P3");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_stop_nobody() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world
        .run_with(
            "../etc",
            "traversal",
            json!({"metadata": {"labels": {"pipelinesascode.tekton.dev/repository": "x"}}}),
        )
        .await;
    world
        .run_with(
            "repo",
            "nameless",
            json!({"metadata": {"annotations": {"pipelinesascode.tekton.dev/repository": null}}}),
        )
        .await;
    world.event("repo", &["a"]).await;
    world.running(&["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loses_its_repositorys_name_gives_its_slot_back_all_the_same() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    let name =
        |name: Option<&str>| json!({"metadata": {"annotations": {"pipelinesascode.tekton.dev/repository": name}}});
    world.patch_run("a", name(None)).await;
    world.finish("a").await;
    world.running(&["b"]).await;
    world.patch_run("b", name(Some("Not a name"))).await;
    world.finish("b").await;
    world.running(&["c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "Tekton's CRD allows no condition that isn't whole")]
async fn a_condition_that_is_not_whole_hides_no_other() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    let conditions = json!([{"type": "Other"}, {"status": "False"}, {"type": "Succeeded", "status": "True"}]);
    world.patch_run_status("a", json!({"status": {"conditions": conditions}})).await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_came_and_went_without_a_run_is_loaded_no_more() {
    let world = World::new().await;
    let path = |name: &str| format!("load of {}/{name}", world.namespace);
    let names: Vec<String> = (0..10).map(|number| format!("gone-{number}")).collect();
    world.repository(RESYNCING, Some(1)).await;
    world.repository("stays", Some(1)).await;
    for name in &names {
        world.repository(name, None).await;
        world.watcher().log_says(&path(name)).await;
        world.delete_repository(name).await;
    }
    world.settled().await;
    tokio::time::sleep(AUDIT_EVERY + Duration::from_secs(1)).await; // nothing tells of an audit
    let [gone, stays] = ["gone-", "stays"].map(|name| world.watcher().log_count(&path(name)));
    world.event(RESYNCING, &["a"]).await;
    world.running(&["a"]).await;
    world.watcher().log_says_times(&path("stays"), stays + 1).await;
    world.settled().await;
    assert_eq!(world.watcher().log_count(&path("gone-")), gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_tells_of_no_work() {
    let world = World::new().await;
    world.repository("before", Some(1)).await;
    world.event("before", &["a"]).await;
    world.running(&["a"]).await;
    let standby = Watcher::start_as(world.cluster.kubeconfig_file(), "watcher-1");
    standby.ready(true).await;
    world.repository("repo", Some(1)).await;
    let seen = format!("pac_concurrency_limit_runs{{namespace=\"{}\",repository=\"repo\"}} 1", world.namespace);
    standby.metrics_have(&seen, true).await;
    let (_, metrics) = standby.get(standby.metrics_addr, "/metrics").await;
    assert!(metrics.contains("pac_concurrency_leader 0"), "{metrics}");
    assert!(metrics.contains("pac_concurrency_work_queue_repositories 0"), "{metrics}");
}
