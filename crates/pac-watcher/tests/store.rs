//! A store that is away for a while, gives up the watcher's lease, or gives way to another.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{SILENT_PORT, World};

/// A watcher, and a Repository to which nothing happens any more; says how often that was loaded.
async fn quiet() -> (World, String, usize) {
    let mut world = World::without_watcher().await;
    let driver = json!({"concurrency-enabled": "true", "concurrency-driver": "memory", "memory-lease-ttl": "10s"});
    world.settings(driver).await;
    world.start_watcher();
    world.repository("quiet", Some(1)).await;
    let load = format!("load of {}/quiet", world.namespace);
    world.watcher().log_says(&load).await;
    world.settled().await;
    let loads = world.watcher().log_count(&load);
    (world, load, loads)
}

/// What others did meanwhile, or what failed, nothing else would tell of.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_looked_at_when_the_store_is_back() {
    let (world, load, loads) = quiet().await;
    world.watcher().store.away.store(true, Ordering::Relaxed);
    world.watcher().ready(false).await;
    assert_eq!(world.watcher().log_count(&load), loads);
    world.watcher().store.away.store(false, Ordering::Relaxed);
    world.watcher().log_says_times(&load, loads + 1).await;
    world.watcher().ready(true).await;
}

/// The slots of the former term may be another's by now.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_looked_at_when_a_new_term_begins() {
    let (world, load, loads) = quiet().await;
    world.watcher().store.lose_lease.store(true, Ordering::Relaxed);
    world.watcher().log_says("lost the lease behind this watcher's slots").await;
    world.watcher().log_says_times(&load, loads + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_lease_moves_over_without_losing_a_place() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["c", "a", "b"]).await;
    world.running(&["c"]).await;
    world.settings(json!({"concurrency-enabled": "true", "memory-lease-ttl": "45m"})).await;
    world.watcher().log_says("from driver memory to memory").await;
    assert_eq!(world.drain(&["a", "b", "c"]).await, ["c", "a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_store_that_never_answers_holds_up_neither_other_settings_nor_the_end() {
    let mut world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    let silent = json!({"concurrency-enabled": "true", "concurrency-driver": "postgresql",
        "postgresql-port": SILENT_PORT.to_string(), "postgresql-password": "x"});
    world.settings(silent.clone()).await;
    world.finish("a").await;
    world.running(&["b"]).await;
    world.settings(json!({"concurrency-enabled": "false"})).await;
    world.watcher().log_says("switched off").await;
    world.settings(json!({"concurrency-enabled": "true"})).await;
    world.finish("b").await;
    world.running(&["c"]).await;
    world.settings(silent).await;
    world.watcher().log_says("postgresql-password: is in plain text").await;
    let began = Instant::now();
    world.stop_watcher();
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}
