//! Who leads, and watchers that all do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
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

/// Longer than a watcher that is stopped waits for what it has in hand.
const SLOW: Duration = Duration::from_secs(8);

/// A start that is slow, as with a webhook, may take effect when its watcher has ended, and so may one whose connection broke. Who leads
/// next with a memory of its own knows nothing of it, and must not lead before (P1).
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn leadership_runs_out_where_a_start_is_in_the_memory_of_one_that_ended() {
    let faults = [(Some(FaultAction::Latency(SLOW)), "one"), (Some(FaultAction::DropBefore), "one"), (None, "")];
    for (fault, holder) in faults {
        let world = World::without_watcher().await;
        world.settings(switched_on(json!({"concurrency-driver": "memory"}))).await;
        world.repository("repo", Some(1)).await;
        let is_fine = fault.is_none();
        if let Some(fault) = fault {
            world.cluster.faults().add(FaultRule::new(fault).verb("patch").resource("pipelineruns").name("a"));
        }
        let watcher = Watcher::start_as(world.cluster.kubeconfig_file(), "one");
        watcher.log_says("admitting PipelineRuns").await;
        world.event("repo", &["a"]).await;
        watcher.log_says(&format!("acquired concurrency slot for {}/a", world.namespace)).await;
        if is_fine {
            world.running(&["a"]).await;
        }
        tokio::task::spawn_blocking(|| watcher.stop()).await.unwrap();
        let lease =
            world.cluster.development().store().get("leases", "pipelines-as-code", "pac-concurrency-watcher").unwrap();
        let holds = lease.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(holds, holder, "{lease}");
    }
}
