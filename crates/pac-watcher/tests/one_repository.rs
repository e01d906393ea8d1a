//! A store that is good for all repositories but one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::json;
use support::{BROKEN, TREACHEROUS, World};

/// The worker that had it in hand goes on, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_panics_is_tried_again_and_stops_nobody_else() {
    let world = World::new().await;
    world.repository(TREACHEROUS, Some(1)).await;
    world.repository("repo", Some(1)).await;
    world.event(TREACHEROUS, &["a", "b"]).await;
    world.event("repo", &["c", "d"]).await;
    world.running(&["a", "c"]).await;
    assert_eq!(world.watcher().log_count("a pass panicked"), 3);
    world.finish("a").await;
    world.finish("c").await;
    world.running(&["b", "d"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_can_not_be_read_in_the_store_is_nobody_elses_trouble() {
    let world = World::new().await;
    // What runs say of their wait is looked up in the store, too.
    let quiet =
        json!({"concurrency-enabled": "true", "concurrency-driver": "memory", "concurrency-annotations": "false"});
    world.settings(quiet).await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    let (watcher, broken) = (world.watcher(), format!("{}/{BROKEN}", world.namespace));
    world.settled().await;
    let load = |repository: &str| format!("load of {repository}");
    let loads = watcher.log_count(&load(&format!("{}/repo", world.namespace)));
    world.repository(BROKEN, Some(1)).await;
    world.event(BROKEN, &["c"]).await;
    watcher.log_says_times(&load(&broken), 8).await;
    watcher.log_says(&format!("none of {broken} is admitted, and no slot of it freed")).await;
    assert_eq!(watcher.log_count(&load(&format!("{}/repo", world.namespace))), loads, "P10");
    assert_eq!(watcher.log_count("store: fine again") + watcher.log_count("its rows are locked part="), 0);
    assert_eq!(watcher.log_count(&format!("none of {broken} is admitted")), 1);
    assert_eq!(watcher.get(watcher.probe_addr, "/ready").await.0, 200);
    world.finish("a").await;
    world.running(&["b"]).await;
}
