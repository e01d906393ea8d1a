//! Runs go as Tekton would take them, and the recorder sees it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use futures::TryStreamExt;
use kube::{
    Api,
    api::{DynamicObject, ListParams, WatchEvent, WatchParams},
};
use pac_devcluster::{Change, DevCluster, Options, Outcome, TektonPlayer, verdict::VerdictOptions};
use serde_json::{Value, json};
use support::{STATE, client, pending_run_json, runs};

fn tekton() -> TektonPlayer {
    TektonPlayer { duration: Duration::from_millis(20).into(), ..TektonPlayer::default() }
}

async fn cluster() -> DevCluster {
    cluster_of(tekton()).await
}

async fn cluster_of(tekton: TektonPlayer) -> DevCluster {
    let namespaces = vec!["ci".to_owned()];
    DevCluster::start(Options { namespaces, tekton: Some(tekton), ..Options::default() }).await.unwrap()
}

fn start(cluster: &DevCluster, name: &str) {
    let patch = json!({ "spec": { "status": null }, "metadata": { "annotations": { STATE: "started" } } });
    cluster.store().patch("pipelineruns", "ci", name, &patch).unwrap();
}

fn reason(run: &Value) -> &str {
    run.pointer("/status/conditions/0/reason").and_then(Value::as_str).unwrap_or_default()
}

/// Waits until so many runs have this reason.
async fn until(runs: &Api<DynamicObject>, cluster: &DevCluster, wanted: &str, count: usize) {
    let mut events = Box::pin(runs.watch(&WatchParams::default(), "0").await.unwrap());
    let reached = || {
        let all = cluster.store().list("pipelineruns", Some("ci"), "").unwrap();
        all.iter().filter(|run| reason(run) == wanted).count() >= count
    };
    while !reached() {
        assert!(!matches!(events.try_next().await.unwrap(), None | Some(WatchEvent::Error(_))));
    }
}

/// The run's statuses in order, each once: `status/reason`, and `+` once it has a startTime.
fn phases(cluster: &DevCluster, name: &str) -> Vec<String> {
    let text = |run: &Value, field: &str| {
        let path = format!("/status/conditions/0/{field}");
        run.pointer(&path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let started = |run: &Value| if run.pointer("/status/startTime").is_some() { "+" } else { "" };
    let history = cluster.history();
    let versions = history.iter().filter(|version| version.resource == "pipelineruns" && version.name == name);
    let mut phases: Vec<String> = versions
        .map(|version| &version.object)
        .map(|run| format!("{}/{}{}", text(run, "status"), text(run, "reason"), started(run)))
        .filter(|phase| phase != "/")
        .collect();
    phases.dedup();
    phases
}

async fn until_phase(cluster: &DevCluster, name: &str, wanted: &str) {
    let runs = runs(&client(cluster));
    let mut events = Box::pin(runs.watch(&WatchParams::default(), "0").await.unwrap());
    while phases(cluster, name).last().is_none_or(|phase| phase != wanted) {
        assert!(!matches!(events.try_next().await.unwrap(), None | Some(WatchEvent::Error(_))));
    }
}

fn message(cluster: &DevCluster, name: &str) -> String {
    let run = cluster.store().get("pipelineruns", "ci", name).unwrap();
    run.pointer("/status/conditions/0/message").unwrap().as_str().unwrap().to_owned()
}

fn wish(cluster: &DevCluster, name: &str, status: &str) {
    cluster.store().patch("pipelineruns", "ci", name, &json!({ "spec": { "status": status } })).unwrap();
}

fn create_with(cluster: &DevCluster, name: &str, spec: &Value) {
    let mut run = pending_run_json(name);
    run["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    cluster.store().create("pipelineruns", "ci", run).unwrap();
}

/// A pipeline with two tasks and one that is run whatever comes.
fn with_finally() -> Value {
    json!({ "pipelineSpec": { "tasks": [{ "name": "a" }, { "name": "b" }], "finally": [{ "name": "c" }] } })
}

#[tokio::test]
async fn a_run_waits_runs_and_ends() {
    let cluster = cluster().await;
    support::create(&cluster, "one");
    until_phase(&cluster, "one", "Unknown/PipelineRunPending").await;
    assert_eq!(message(&cluster, "one"), "PipelineRun \"one\" is pending");
    start(&cluster, "one");
    until_phase(&cluster, "one", "True/Succeeded+").await;
    let wanted = ["Unknown/PipelineRunPending", "Unknown/Started+", "Unknown/Running+", "True/Succeeded+"];
    assert_eq!(phases(&cluster, "one"), wanted);
    let run = cluster.store().get("pipelineruns", "ci", "one").unwrap();
    assert_eq!(run["metadata"]["labels"]["tekton.dev/pipeline"], "one");
}

#[tokio::test]
async fn a_run_waits_for_its_pipeline_and_for_its_volume_claim() {
    let tekton = TektonPlayer { claim_delay: Duration::from_millis(1), ..tekton() };
    let cluster = cluster_of(tekton).await;
    let template = json!([{ "name": "source", "volumeClaimTemplate": {} }]);
    create_with(&cluster, "one", &json!({ "pipelineRef": { "resolver": "git" }, "workspaces": template }));
    start(&cluster, "one");
    until_phase(&cluster, "one", "True/Succeeded+").await;
    let phases = phases(&cluster, "one");
    let wanted = ["Started", "ResolvingPipelineRef", "PipelineRunPending", "Running"];
    assert_eq!(phases[phases.len() - 5..phases.len() - 1], wanted.map(|reason| format!("Unknown/{reason}+")));
}

#[tokio::test]
async fn a_run_cancelled_while_it_is_pending_is_done_with_its_start() {
    let cluster = cluster().await;
    support::create(&cluster, "one");
    until_phase(&cluster, "one", "Unknown/PipelineRunPending").await;
    wish(&cluster, "one", "Cancelled");
    until_phase(&cluster, "one", "False/Cancelled+").await;
    assert_eq!(phases(&cluster, "one"), ["Unknown/PipelineRunPending", "False/Cancelled+"]);
    assert_eq!(message(&cluster, "one"), "PipelineRun \"one\" was cancelled");
}

#[tokio::test]
async fn a_pending_run_that_is_stopped_starts_to_run_its_finally_tasks() {
    let cluster = cluster().await;
    for (name, status, reason) in
        [("a", "StoppedRunFinally", "StoppedRunningFinally"), ("b", "CancelledRunFinally", "CancelledRunningFinally")]
    {
        create_with(&cluster, name, &with_finally());
        until_phase(&cluster, name, "Unknown/PipelineRunPending").await;
        wish(&cluster, name, status);
        until_phase(&cluster, name, "False/Cancelled+").await;
        let finally = format!("Unknown/{reason}+");
        assert_eq!(phases(&cluster, name), ["Unknown/PipelineRunPending", &finally, "False/Cancelled+"]);
        // With no finally tasks there is nothing to run.
        let bare = format!("{name}-bare");
        support::create(&cluster, &bare);
        until_phase(&cluster, &bare, "Unknown/PipelineRunPending").await;
        wish(&cluster, &bare, status);
        until_phase(&cluster, &bare, "False/Cancelled+").await;
        assert_eq!(phases(&cluster, &bare), ["Unknown/PipelineRunPending", "False/Cancelled+"]);
    }
}

#[tokio::test]
async fn a_running_run_that_is_stopped_ends_its_tasks_first_and_a_cancelled_one_does_not() {
    let cluster = cluster_of(TektonPlayer { duration: Duration::from_millis(300).into(), ..tekton() }).await;
    for (name, status) in [("stopped", "StoppedRunFinally"), ("cancelled", "CancelledRunFinally")] {
        create_with(&cluster, name, &with_finally());
        start(&cluster, name);
        until_phase(&cluster, name, "Unknown/Running+").await;
        wish(&cluster, name, status);
    }
    until_phase(&cluster, "stopped", "False/Cancelled+").await;
    assert_eq!(phases(&cluster, "cancelled").last().unwrap(), "False/Cancelled+");
    let finally = |name: &str, reason: &str| {
        let history = cluster.history();
        let is_such = |run: &Value| run.pointer("/status/conditions/0/reason").is_some_and(|found| *found == reason);
        let mut versions = history.iter().filter(|version| version.name == name && is_such(&version.object));
        versions.next().unwrap().object.pointer("/status/finallyStartTime").is_some()
    };
    assert!(!finally("stopped", "StoppedRunningFinally"), "its tasks go on first");
    assert!(finally("cancelled", "CancelledRunningFinally"));
}

#[tokio::test]
async fn a_run_may_take_so_long_and_no_longer() {
    let cluster = cluster_of(TektonPlayer { duration: Duration::from_secs(600).into(), ..tekton() }).await;
    create_with(&cluster, "all", &json!({ "timeouts": { "pipeline": "20ms" } }));
    let mut tasks = with_finally();
    tasks["timeouts"] = json!({ "tasks": "20ms" });
    create_with(&cluster, "tasks", &tasks);
    for name in ["all", "tasks"] {
        start(&cluster, name);
        until_phase(&cluster, name, "False/PipelineRunTimeout+").await;
    }
    assert_eq!(message(&cluster, "all"), "PipelineRun \"all\" failed to finish within \"20ms\"");
    assert!(phases(&cluster, "tasks").contains(&"Unknown/PipelineRunTimeoutRunningFinally+".to_owned()));
}

#[tokio::test]
async fn a_task_that_is_retried_shows_only_in_how_long_its_run_takes() {
    let cluster = cluster_of(TektonPlayer { outcome: Outcome::Fail, ..tekton() }).await;
    create_with(&cluster, "one", &json!({ "pipelineSpec": { "tasks": [{ "name": "a", "retries": 3 }] } }));
    start(&cluster, "one");
    until_phase(&cluster, "one", "False/Failed+").await;
    let history = cluster.history();
    let first = |reason: &str| history.iter().find(|version| self::reason(&version.object) == reason).unwrap().at;
    assert!(first("Failed") - first("Running") >= Duration::from_millis(80), "four attempts");
}

#[tokio::test]
async fn what_tekton_can_not_read_another_controllers_run_and_one_being_deleted_are_left_alone() {
    let cluster = cluster().await;
    create_with(&cluster, "theirs", &json!({ "managedBy": "example.com/other" }));
    let mut kept = pending_run_json("deleted");
    kept["metadata"]["finalizers"] = json!(["example.com/keep"]);
    cluster.store().create("pipelineruns", "ci", kept).unwrap();
    cluster.store().delete("pipelineruns", "ci", "deleted").unwrap();
    wish(&cluster, "theirs", "Cancelled");
    // It has this status before Tekton can look at it: nothing else goes on in between.
    support::create(&cluster, "garbled");
    let garbled = json!({ "status": { "conditions": "?" } });
    cluster.store().patch_status("pipelineruns", "ci", "garbled", &garbled).unwrap();
    start(&cluster, "deleted");
    // What came after them has had its answer.
    support::create(&cluster, "ours");
    until_phase(&cluster, "ours", "Unknown/PipelineRunPending").await;
    for name in ["theirs", "garbled", "deleted"] {
        assert_eq!(phases(&cluster, name), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn while_tekton_is_away_nothing_happens_and_all_of_it_when_it_is_back() {
    let cluster = cluster_of(TektonPlayer { start_delay: Duration::ZERO, ..tekton() }).await;
    cluster.faults().tekton_leaves();
    support::create(&cluster, "one");
    support::create(&cluster, "two");
    // Whoever were there would have answered by the time the server has.
    runs(&client(&cluster)).list(&ListParams::default()).await.unwrap();
    wish(&cluster, "one", "Cancelled");
    assert_eq!(phases(&cluster, "one"), Vec::<String>::new());
    cluster.faults().tekton_returns();
    until_phase(&cluster, "two", "Unknown/PipelineRunPending").await;
    until_phase(&cluster, "one", "False/Cancelled+").await;
}

#[tokio::test]
async fn only_pending_runs_are_marked_if_that_is_asked_for() {
    let cluster = cluster_of(TektonPlayer { pending_only: true, ..tekton() }).await;
    for name in ["begun", "waiting"] {
        support::create(&cluster, name);
        until_phase(&cluster, name, "Unknown/PipelineRunPending").await;
        start(&cluster, "begun");
    }
    assert_eq!(phases(&cluster, "begun"), ["Unknown/PipelineRunPending"]);
}

#[tokio::test]
async fn a_run_whose_secret_is_missing_fails() {
    let cluster = cluster().await;
    for name in ["without", "with"] {
        let workspaces = json!([{ "name": "basic-auth", "secret": { "secretName": format!("auth-{name}") } }]);
        create_with(&cluster, name, &json!({ "workspaces": workspaces }));
    }
    cluster.store().create("secrets", "ci", json!({ "metadata": { "name": "auth-with" } })).unwrap();
    start(&cluster, "without");
    start(&cluster, "with");
    until_phase(&cluster, "without", "False/Failed+").await;
    until_phase(&cluster, "with", "True/Succeeded+").await;
}

#[tokio::test]
async fn the_webhook_refuses_to_change_what_has_started() {
    let cluster = cluster().await;
    support::create(&cluster, "one");
    let params = json!({ "spec": { "params": [{ "name": "a", "value": "b" }] } });
    let refused = |patch: &Value| cluster.store().patch("pipelineruns", "ci", "one", patch).unwrap_err().to_string();
    start(&cluster, "one");
    until_phase(&cluster, "one", "True/Succeeded+").await;
    assert!(refused(&params).contains("Once the PipelineRun is complete, no updates are allowed"));
    let pending = json!({ "spec": { "status": "PipelineRunPending" } });
    assert!(refused(&pending).contains("cannot be Pending after it is started"));
}

#[tokio::test]
async fn annotations_say_how_long_and_how() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    let mut run = pending_run_json("one");
    run["metadata"]["annotations"]["devcluster/outcome"] = json!("fail");
    run["metadata"]["annotations"]["devcluster/duration"] = json!("1ms");
    cluster.store().create("pipelineruns", "ci", run).unwrap();
    start(&cluster, "one");
    until(&runs, &cluster, "Failed", 1).await;
    assert_eq!(Outcome::default(), Outcome::Succeed);
}

#[tokio::test]
async fn no_run_is_lost_and_the_recorder_is_content() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    let repository =
        json!({ "metadata": { "name": "repo" }, "spec": { "url": "https://e.dev/r", "concurrency_limit": 500 } });
    cluster.store().create("repositories", "ci", repository).unwrap();
    for number in 0..500 {
        let name = format!("run-{number:03}");
        support::create(&cluster, &name);
        start(&cluster, &name);
    }
    until(&runs, &cluster, "Succeeded", 500).await;
    let verdict = cluster.verdict(&VerdictOptions::default());
    assert!(verdict.held(), "{verdict:#?}");
    assert_eq!((verdict.runs, verdict.started, verdict.done), (500, 500, 500));
    assert!(cluster.history().iter().all(|version| version.change != Change::Deleted));
    let too_many = json!({ "spec": { "concurrency_limit": 1 } });
    cluster.store().patch("repositories", "ci", "repo", &too_many).unwrap();
    for name in ["x", "y"] {
        support::create(&cluster, name);
        start(&cluster, name);
    }
    let verdict = cluster.verdict(&VerdictOptions { ended: false, ..VerdictOptions::default() });
    assert!(!verdict.promise("P1").unwrap().held, "{verdict:#?}");
}
