//! A system that is switched off while runs wait for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::json;
use support::World;

#[tokio::test(flavor = "multi_thread")]
async fn off_while_runs_wait_is_told_and_over_once_it_is_on() {
    let mut world = World::without_watcher().await;
    world.settings(json!({"concurrency-enabled": "false"})).await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["cancelled", "a", "b"]).await;
    // It says that it is queued as long as nobody writes its final state.
    world.cancel("cancelled").await;
    world.report("cancelled", "False").await;
    world.start_watcher();
    let watcher = world.watcher();
    watcher.log_says("nobody starts PipelineRuns that wait, 2 of them: the concurrency system is switched off").await;
    watcher.log_says(&format!("The oldest is {}/a, created at 2", world.namespace)).await;
    watcher.metrics_have("pac_concurrency_waiting_while_off_runs 2\n", true).await;
    watcher.metrics_have("pac_concurrency_enabled 0\n", true).await;
    watcher.shows(watcher.admin_addr, "/debug/queue/summary", "\"waiting_while_off\":2", true).await;
    // Nothing is wrong with the watcher itself, which will be ready to lead.
    watcher.ready(true).await;

    world.settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory"})).await;
    world.running(&["a"]).await;
    watcher.metrics_have("pac_concurrency_enabled 1\n", true).await;
    watcher.metrics_have("pac_concurrency_waiting_while_off_runs 2\n", false).await;
    assert_eq!(watcher.log_count("nobody starts PipelineRuns"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn off_where_nobody_waits_is_quiet() {
    let mut world = World::without_watcher().await;
    world.settings(json!({"concurrency-enabled": "false"})).await;
    world.repository("repo", None).await;
    // Another holds it, Kueue for one: Pipelines-as-Code gives no order to runs without a limit.
    world.run("repo", "held").await;
    world.start_watcher();
    world.watcher().metrics_have("pac_concurrency_waiting_while_off_runs 0\n", true).await;
    assert_eq!(world.watcher().log_count("nobody starts"), 0);
}
