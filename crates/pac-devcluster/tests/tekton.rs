//! Runs go as Tekton would take them, and the recorder sees it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use futures::TryStreamExt;
use kube::{
    Api,
    api::{DynamicObject, WatchEvent, WatchParams},
};
use pac_devcluster::{Change, DevCluster, Options, Outcome, TektonPlayer, verdict::VerdictOptions};
use serde_json::{Value, json};
use support::{STATE, client, pending_run_json, runs};

async fn cluster() -> DevCluster {
    let tekton = TektonPlayer { duration: Duration::from_millis(20).into(), ..TektonPlayer::default() };
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

#[tokio::test]
async fn a_run_waits_runs_and_ends() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    support::create(&cluster, "one");
    start(&cluster, "one");
    until(&runs, &cluster, "Succeeded", 1).await;
    let reasons: Vec<String> = cluster
        .history()
        .iter()
        .filter(|version| version.resource == "pipelineruns")
        .map(|version| reason(&version.object).to_owned())
        .collect();
    assert_eq!(reasons, ["", "", "Running", "Succeeded"]);
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
async fn a_cancelled_run_ends_at_once() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    support::create(&cluster, "one");
    let cancel = json!({ "spec": { "status": "Cancelled" } });
    cluster.store().patch("pipelineruns", "ci", "one", &cancel).unwrap();
    until(&runs, &cluster, "Cancelled", 1).await;
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
