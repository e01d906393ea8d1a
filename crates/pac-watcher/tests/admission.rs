//! Who is admitted, and when: limits, order, and what changes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
use serde_json::json;
use support::World;

#[tokio::test(flavor = "multi_thread")]
async fn admits_up_to_the_limit_and_the_next_when_one_is_done() {
    let world = World::new().await;
    world.repository("repo", Some(2)).await;
    world.event("repo", &["a", "b", "c", "d"]).await;
    world.running(&["a", "b"]).await;
    world.settled().await;
    world.running(&["a", "b"]).await;
    world.finish("a").await;
    world.running(&["b", "c"]).await;
    world.state_is("a", "completed").await;
    world.report("b", "False").await;
    world.state_is("b", "failed").await;
    world.running(&["c", "d"]).await;
    assert_eq!(world.recorder.start_order().iter().filter(|name| name.len() == 1).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_repositories_of_one_namespace_have_limits_of_their_own() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.repository("repo-2", Some(2)).await;
    world.event("repo", &["a", "b"]).await;
    world.event("repo-2", &["x", "y", "z"]).await;
    world.running(&["a", "x", "y"]).await;
    world.finish("x").await;
    world.running(&["a", "y", "z"]).await;
    world.finish("a").await;
    world.running(&["b", "y", "z"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_global_limit_applies_where_a_repository_has_none() {
    let world = World::new().await;
    world.repository_in("pipelines-as-code", "pipelines-as-code", Some(1)).await;
    world.repository("repo", None).await;
    world.event("repo", &["a", "b", "c", "d"]).await;
    world.running(&["a"]).await;
    world.set_limit_in("pipelines-as-code", "pipelines-as-code", Some(2)).await;
    world.running(&["a", "b"]).await;
    world.set_limit("repo", Some(3)).await;
    world.running(&["a", "b", "c"]).await;
    world.set_limit_in("pipelines-as-code", "pipelines-as-code", None).await;
    world.set_limit("repo", None).await;
    world.running(&["a", "b", "c", "d"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_removed_and_put_back_counts_those_that_run() {
    let world = World::new().await;
    world.repository("repo", Some(2)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a", "b"]).await;
    world.set_limit("repo", None).await;
    world.running(&["a", "b", "c"]).await;
    world.set_limit("repo", Some(1)).await;
    world.settled().await;
    world.event("repo", &["d"]).await;
    world.finish("a").await;
    world.state_is("a", "completed").await;
    world.finish("b").await;
    world.state_is("b", "completed").await;
    world.settled().await;
    world.running(&["c"]).await;
    world.finish("c").await;
    world.running(&["d"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_run_already_are_counted_when_a_limit_is_first_set() {
    let world = World::new().await;
    world.repository("repo", None).await;
    for name in ["x", "y"] {
        let started = json!({
            "metadata": {"annotations": {"pipelinesascode.tekton.dev/state": "started"},
                "labels": {"pipelinesascode.tekton.dev/state": "started"}},
            "spec": {"status": null},
        });
        world.run_with("repo", name, started).await;
    }
    world.running(&["x", "y"]).await;
    world.set_limit("repo", Some(1)).await;
    world.settled().await;
    world.event("repo", &["a"]).await;
    world.finish("x").await;
    world.state_is("x", "completed").await;
    world.settled().await;
    world.running(&["y"]).await;
    world.finish("y").await;
    world.running(&["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_wait_for_a_repository_that_appears_later() {
    let world = World::new().await;
    world.event("repo", &["a", "b"]).await;
    world.settled().await;
    world.running(&[]).await;
    world.repository("repo", Some(1)).await;
    world.running(&["a"]).await;
    world.delete_repository("repo").await;
    world.settled().await;
    world.finish("a").await;
    world.state_is("a", "completed").await;
    world.settled().await;
    world.running(&[]).await;
    world.repository("repo", Some(1)).await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_maximal_length_are_admitted() {
    let namespace = "n".repeat(63);
    let mut world = World::with_namespace(namespace).await;
    world.start_watcher();
    let (repository, first, second) = ("r".repeat(253), "a".repeat(253), "b".repeat(253));
    world.repository(&repository, Some(1)).await;
    world.event(&repository, &[&first, &second]).await;
    world.running(&[&first]).await;
    world.finish(&first).await;
    world.running(&[&second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_runs_created_within_one_second_are_admitted_in_order() {
    let world = World::new().await;
    world.repository("repo", Some(3)).await;
    // Not in the order of their names, so that only the annotation can tell.
    let names: Vec<String> = (0..20).map(|number| format!("run-{:02}", (number * 7) % 20)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.event("repo", &names).await;
    assert_eq!(world.drain(&names).await, names);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_start_that_an_api_server_short_of_time_answers_late_is_not_overtaken() {
    let world = World::new().await;
    world.repository("repo", Some(2)).await;
    let late = FaultRule::new(FaultAction::Latency(Duration::from_millis(2500))).verb("patch").resource("pipelineruns");
    world.cluster.faults().add(late.name("a").times(1));
    world.event("repo", &["a", "b"]).await;
    world.running(&["a", "b"]).await;
    assert_eq!(world.recorder.start_order(), ["a", "b"], "P3");
}

/// The API server answers so slowly that the proof of a slot is too old before its run's turn to be started comes.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn starts_that_are_too_late_are_asked_for_again_in_their_order() {
    let world = World::new().await;
    world.repository("repo", Some(20)).await;
    let late = FaultRule::new(FaultAction::Latency(Duration::from_millis(700))).verb("patch").resource("pipelineruns");
    world.cluster.faults().add(late);
    let first = ["a-0", "a-1", "a-2", "a-3", "a-4", "a-5", "a-6", "a-7", "a-8"];
    let second = ["b-0", "b-1"];
    world.event("repo", &first).await;
    world.started("a-2").await;
    world.event("repo", &second).await;
    world.running(&[&first[..], &second].concat()).await;
    assert_eq!(world.recorder.start_order(), [&first[..], &second].concat(), "P3");
}

/// For one to two seconds after its start an API server doesn't know who has which rights, and says so in these words.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn an_api_server_that_does_not_know_its_roles_yet_is_waited_for_in_order() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let message = "pipelineruns.tekton.dev \"a\" is forbidden: User \"system:serviceaccount:pipelines-as-code:watcher\" cannot \
                   patch resource \"pipelineruns\" in API group \"tekton.dev\" in the namespace \"ns\"";
    let refusal = FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message: message.to_owned() };
    let rule = FaultRule::new(refusal).verb("patch").resource("pipelineruns").name("a").times(2);
    let rule = world.cluster.faults().add(rule);
    world.event("repo", &["a", "b"]).await;
    world.struck(rule).await;
    world.running(&["a"]).await;
    assert!(world.recorder.now()["b"].is_pending(), "P3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_limit_and_order() {
    let mut world = World::new().await;
    world.repository("repo", Some(3)).await;
    let names: Vec<String> = (0..23).map(|number| format!("run-{:02}", (number * 5) % 23)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.event("repo", &names).await;
    world.running(&names[..3]).await;
    world.kill_watcher();
    world.start_watcher();
    world.settled().await;
    world.running(&names[..3]).await;
    world.stop_watcher();
    world.finish(names[0]).await;
    world.start_watcher();
    world.running(&names[1..4]).await;
    let order: Vec<String> = world.drain(&names).await.into_iter().filter(|name| name.starts_with("run-")).collect();
    assert_eq!(order, names);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "Tekton's CRD allows no status that can't be read")]
async fn a_run_that_can_not_be_read_keeps_its_place_and_holds_nobody_up() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c", "d"]).await;
    world.running(&["a"]).await;
    world.patch_run_status("b", json!({"status": {"conditions": "?"}})).await;
    world.finish("a").await;
    world.running(&["c"]).await;
    world.patch_run_status("b", json!({"status": {"conditions": []}})).await;
    assert_eq!(world.drain(&["a", "b", "c", "d"]).await, ["a", "c", "b", "d"], "P6, P10");
}
