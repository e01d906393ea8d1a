//! Beside Pipelines-as-Code at work: what it writes late, what it makes meanwhile, what its own queue might do, and runs that
//! somebody else holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::verdict::VerdictOptions;
use pac_devcluster::{Options, PacEvent, PacPlayer, PacRun, TektonPlayer};
use serde_json::{Value, json};
use support::{World, pending_only};

const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
const EXECUTION_ORDER_KEPT: &str = "concurrency.pipelinesascode.tekton.dev/execution-order";
const SECRET_CREATED: &str = "pipelinesascode.tekton.dev/secret-created";
const STATE: &str = "pipelinesascode.tekton.dev/state";

/// What PAC writes onto a run of the push of `commit` when it creates it.
fn of_push(commit: &str) -> Value {
    let annotations = json!({
        "pipelinesascode.tekton.dev/sha": commit,
        "pipelinesascode.tekton.dev/event-type": "push",
    });
    json!({"metadata": {"annotations": annotations}})
}

fn annotated(annotation: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {annotation: value}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_an_event_start_by_name_though_their_order_never_comes() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(1)).await;
    for name in ["job-10", "job-9", "job-2"] {
        world.run_with("repo", name, of_push("c0ffee")).await;
    }
    world.running(&["job-2"]).await;
    assert_eq!(world.drain(&["job-2", "job-9", "job-10"]).await, ["job-2", "job-9", "job-10"], "as PAC sorts them, P3");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_its_order_holds_up_nobody_of_an_older_event() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(2)).await;
    let ordered = |name: &str| {
        let mut run = of_push("01d");
        run["metadata"]["annotations"][EXECUTION_ORDER_KEPT] = world.order(&["a", "b"]).into();
        (name.to_owned(), run)
    };
    for (name, run) in ["a", "b"].map(ordered) {
        world.run_with("repo", &name, run).await;
    }
    // Nothing tells yet whether others of its event come before it.
    let mut arriving = of_push("0e3");
    arriving["metadata"]["annotations"][STATE] = "started".into();
    world.run_with("repo", "newcomer", arriving).await;
    world.running(&["a", "b"]).await;
    assert!(world.recorder.now()["newcomer"].is_pending());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_comes_before_the_start_corrects_the_place() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["first"]).await;
    world.running(&["first"]).await;
    // Nothing but the order tells that these are of one event: without it they are queued by their creation.
    for name in ["a", "b"] {
        world.run("repo", name).await;
    }
    let admin = world.watcher().admin_addr;
    world.watcher().shows(admin, "/debug/queue", &format!("{}/b", world.namespace), true).await;
    world.watcher().shows(admin, "/debug/queue", "is still to come", false).await;
    for name in ["a", "b"] {
        world.annotate(name, EXECUTION_ORDER, &world.order(&["b", "a"])).await;
    }
    world.settled().await;
    let order = world.drain(&["first", "a", "b"]).await;
    let order: Vec<_> = order.iter().filter(|name| !name.starts_with("sentinel")).collect();
    assert_eq!(order, ["first", "b", "a"], "P3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_not_started_before_its_secret_is_there() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(2)).await;
    let mut awaiting = of_push("c0ffee");
    awaiting["metadata"]["annotations"][SECRET_CREATED] = "false".into();
    world.run_with("repo", "a", awaiting.clone()).await;
    let other = annotated(SECRET_CREATED, "true");
    world.repository("other", Some(1)).await;
    world.run_with("other", "x", other).await;
    world.running(&["x"]).await;
    assert!(world.recorder.now()["a"].is_pending(), "Tekton would fail its tasks");
    world.annotate("a", SECRET_CREATED, "true").await;
    world.running(&["a", "x"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_never_comes_is_waited_for_a_while() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(1)).await;
    world.run_with("repo", "a", annotated(SECRET_CREATED, "false")).await;
    world.running(&["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_pac_makes_no_secrets_none_is_waited_for() {
    let world = World::beside_pac_with(pending_only(), json!({"secret-auto-create": "false"})).await;
    world.repository("repo", Some(2)).await;
    world.run_with("repo", "a", annotated(SECRET_CREATED, "false")).await;
    let asked = std::time::Instant::now();
    world.running(&["a"]).await;
    assert!(asked.elapsed() < Duration::from_secs(14), "it would have been waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_holds_where_there_is_no_limit_is_left_alone() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("unlimited", None).await;
    world.run("unlimited", "of-kueue").await;
    world.run_with("unlimited", "of-pac", annotated(EXECUTION_ORDER_KEPT, &world.order(&["of-pac"]))).await;
    world.running(&["of-pac"]).await;
    // Long after its place would have been taken for granted.
    world.repository("repo", Some(1)).await;
    world.run("repo", "later").await;
    world.running(&["later", "of-pac"]).await;
    assert!(world.recorder.now()["of-kueue"].is_pending());
    world.set_limit("unlimited", Some(5)).await;
    world.running(&["later", "of-kueue", "of-pac"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_which_pacs_queue_may_start_runs_is_held() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(2)).await;
    world.repository("other", Some(1)).await;
    world.run_with("repo", "a", annotated(EXECUTION_ORDER, &world.order(&["a"]))).await;
    world.run_with("other", "x", annotated(EXECUTION_ORDER_KEPT, &world.order(&["x"]))).await;
    world.running(&["x"]).await;
    let watcher = world.watcher();
    let why = "PAC's own queue still has 1 run from before";
    watcher.log_says(why).await;
    watcher.shows(watcher.probe_addr, "/ready", why, true).await;
    watcher.ready(true).await;
    watcher
        .metrics_have(
            "pac_concurrency_open_to_pacs_queue_runs{namespace=\"test-beside-pac\",repository=\"repo\"} 1\n",
            true,
        )
        .await;
    watcher.metrics_have("pac_concurrency_gate_holds 1\n", true).await;
    watcher.shows(watcher.admin_addr, &format!("/debug/queue/explain?run={}/a", world.namespace), why, true).await;
    assert!(world.recorder.now()["a"].is_pending(), "P1: PAC may start it, and another one");
    let order =
        json!({"metadata": {"annotations": {EXECUTION_ORDER: null, EXECUTION_ORDER_KEPT: world.order(&["a"])}}});
    world.patch_run("a", order).await;
    world.running(&["a", "x"]).await;
    watcher.shows(watcher.probe_addr, "/ready", why, false).await;
    watcher.log_says("PAC's own queue has no runs left from before").await;
    assert_eq!(watcher.log_count(why), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_name_its_own_run_leaves_the_run_to_us_and_holds_nobody() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(1)).await;
    for (name, order) in [("a", "nonsense"), ("b", "")] {
        world.run_with("repo", name, annotated(EXECUTION_ORDER, order)).await;
    }
    world.run_with("repo", "c", annotated(EXECUTION_ORDER_KEPT, &world.order(&["c"]))).await;
    world.drain(&["a", "b", "c"]).await;
}

/// As PAC's controller does it, at so few requests a second that the order comes seconds after the runs.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_burst_runs_start_in_order_with_their_secrets_and_no_slot_stays_idle() {
    let pac = PacPlayer { requests_per_second: 20, burst: 10, ..PacPlayer::default() };
    let world = World::beside_pac(Options {
        pac: Some(pac),
        tekton: Some(TektonPlayer::default()),
        verdict: VerdictOptions { secret_wait: Some(Duration::from_secs(15)), ..VerdictOptions::default() },
        ..Options::default()
    })
    .await;
    world.repository("repo", Some(5)).await;
    let cluster = world.cluster.development();
    let jobs = || (0..12).map(|job| PacRun { name: format!("job-{job}"), ..PacRun::default() });
    let pushes: Vec<_> =
        (0..2).map(|_| cluster.pac().unwrap().push(PacEvent::new(&world.namespace, "repo", jobs()))).collect();
    for push in pushes {
        assert_eq!(push.await.unwrap().len(), 12);
    }
    world
        .recorder
        .until("all are done", |runs| runs.len() == 24 && runs.values().all(|run| run.state == "completed"))
        .await;
    let verdict = cluster.verdict(&VerdictOptions {
        ended: true,
        secret_wait: Some(Duration::from_secs(15)),
        ..VerdictOptions::default()
    });
    assert!(verdict.promises.iter().all(|promise| promise.held), "{verdict:#?}");
}
