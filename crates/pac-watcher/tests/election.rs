//! Watchers that all lead.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Watcher, World};

fn switched_on(more: Value) -> Value {
    let mut settings = json!({"concurrency-enabled": "true"});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

/// Two that don't know of each other would each admit up to the limit. (P1)
async fn refuse_memory(from: Value, says: &str) {
    let world = World::without_watcher().await;
    world.settings(from.clone()).await;
    let watchers = ["one", "two"].map(|name| Watcher::start_without_election(world.cluster.kubeconfig_file(), name));
    for watcher in &watchers {
        watcher.log_says(says).await;
    }
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    for (memory, setting) in [
        (json!({"concurrency-driver": "memory"}), "concurrency-driver: memory"),
        (json!({"concurrency-driver": "etcd", "etcd-mode": "memory"}), "etcd-mode: memory"),
        (json!({"concurrency-driver": "etcd", "etcd-mode": "mock"}), "etcd-mode: mock"),
    ] {
        world.settings(switched_on(memory)).await;
        for watcher in &watchers {
            watcher.log_says(&format!("{setting} needs leader election")).await;
        }
    }
    world.settings(from).await;
    for watcher in &watchers {
        assert_eq!(watcher.log_count("Initialized concurrency system"), 0, "{}", watcher.log_text());
    }
    assert!(world.recorder.now().values().all(support::Run::is_pending));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_of_ones_own_is_not_switched_on_without_election() {
    refuse_memory(json!({"concurrency-enabled": "false"}), "switched off").await;
}

/// Whose server is yet to be reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_memory_of_ones_own_does_not_replace_a_server_without_election() {
    let server = json!({"concurrency-driver": "postgresql", "postgresql-password": "x"});
    refuse_memory(switched_on(server), "db.example.com:5432 is away").await;
}
