//! PAC makes runs, their Secrets and their order as the real one does, and as late.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pac_devcluster::{
    DevCluster, Options, Pac, PacEvent, PacPlayer, PacRun, Secrets, TektonPlayer, Version, verdict::VerdictOptions,
};
use serde_json::{Value, json};
use support::STATE;

const ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
const SECRET: &str = "pipelinesascode.tekton.dev/git-auth-secret";
const SECRET_CREATED: &str = "pipelinesascode.tekton.dev/secret-created";

async fn cluster(pac: PacPlayer, limit: Option<u32>) -> DevCluster {
    let tekton = TektonPlayer { duration: Duration::from_millis(50).into(), ..TektonPlayer::default() };
    let namespaces = ["ci", "pipelines-as-code"].map(str::to_owned).to_vec();
    let options = Options { namespaces, tekton: Some(tekton), pac: Some(pac), ..Options::default() };
    let cluster = DevCluster::start(options).await.unwrap();
    let mut spec = json!({ "url": "https://git.example.com/ci/repo" });
    if let Some(limit) = limit {
        spec["concurrency_limit"] = limit.into();
    }
    cluster.store().create("repositories", "ci", json!({ "metadata": { "name": "repo" }, "spec": spec })).unwrap();
    cluster
}

fn pac(cluster: &DevCluster) -> &Pac {
    cluster.pac().unwrap()
}

fn event(names: &[&str]) -> PacEvent {
    PacEvent::new("ci", "repo", names.iter().map(|name| PacRun::exactly(name)))
}

fn annotation(run: &Value, name: &str) -> String {
    run["metadata"]["annotations"][name].as_str().unwrap_or_default().to_owned()
}

/// The versions of a run, oldest first.
fn versions(cluster: &DevCluster, name: &str) -> Vec<Version> {
    let history = cluster.history().into_iter();
    history.filter(|version| version.resource == "pipelineruns" && version.name == name).collect()
}

/// When the run first was such.
fn first(cluster: &DevCluster, name: &str, is_such: impl Fn(&Value) -> bool) -> Option<Duration> {
    versions(cluster, name).iter().find(|version| is_such(&version.object)).map(|version| version.at)
}

/// Waits until the run is such.
async fn until(cluster: &DevCluster, name: &str, is_such: impl Fn(&Value) -> bool) -> Arc<Value> {
    loop {
        match cluster.store().get("pipelineruns", "ci", name) {
            Some(run) if is_such(&run) => return run,
            _ => tokio::time::sleep(Duration::from_millis(2)).await, // what is awaited is the player's doing
        }
    }
}

fn start(cluster: &DevCluster, name: &str) {
    let state = json!({ STATE: "started" });
    let patch = json!({ "metadata": { "labels": state, "annotations": state }, "spec": { "status": null } });
    cluster.store().patch("pipelineruns", "ci", name, &patch).unwrap();
}

#[tokio::test]
async fn runs_are_created_at_once_then_queued_then_ordered_by_name() {
    let cluster = cluster(PacPlayer { watcher: false, ..PacPlayer::default() }, Some(2)).await;
    let names = pac(&cluster).push(event(&["b", "c", "a"])).await.unwrap();
    assert_eq!(names, ["a", "b", "c"]);
    let mut when = BTreeMap::new();
    for name in &names {
        let versions = versions(&cluster, name);
        let created = &versions[0].object;
        assert_eq!(created["metadata"]["labels"][STATE], "started", "the label says so from the beginning");
        assert_eq!((annotation(created, STATE), annotation(created, SECRET_CREATED)), (String::new(), "false".into()));
        assert_eq!(created["spec"]["status"], "PipelineRunPending");
        for key in ["sha", "event-type", "repository", "sender", "branch", "url-org"] {
            assert_ne!(annotation(created, &format!("pipelinesascode.tekton.dev/{key}")), "", "{key}");
        }
        let [queued, ordered] =
            [STATE, ORDER].map(|key| first(&cluster, name, |run| !annotation(run, key).is_empty()).unwrap());
        when.insert(name, (versions[0].at, queued, ordered));
        assert_eq!(annotation(&versions.last().unwrap().object, ORDER), "ci/a,ci/b,ci/c");
    }
    let [created, queued] = [when.values().map(|when| when.0).max(), when.values().map(|when| when.1).min()];
    assert!(created < queued, "{when:?}");
    let [queued, ordered] = [when.values().map(|when| when.1).max(), when.values().map(|when| when.2).min()];
    assert!(queued < ordered, "{when:?}");
}

#[tokio::test]
async fn a_burst_gets_its_order_late() {
    let cluster = cluster(PacPlayer { watcher: false, ..PacPlayer::default() }, Some(2)).await;
    let names: Vec<String> = (0..40).map(|number| format!("run-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pac(&cluster).push(event(&names)).await.unwrap();
    let is_ordered = |run: &Value| !annotation(run, ORDER).is_empty();
    let last = names.iter().map(|name| first(&cluster, name, is_ordered).unwrap()).max().unwrap();
    let created = versions(&cluster, "run-39")[0].at;
    // 120 requests, of which 50 at once and then 50 a second.
    assert!(last - created >= Duration::from_millis(1_300), "{:?}", last - created);
}

#[tokio::test]
async fn the_secret_comes_after_the_run_and_without_it_the_run_fails() {
    let cluster = cluster(PacPlayer { watcher: false, ..PacPlayer::default() }, Some(2)).await;
    pac(&cluster).push(event(&["early", "late"])).await.unwrap();
    start(&cluster, "early");
    until(&cluster, "early", |run| run.pointer("/status/conditions/0/reason") == Some(&json!("Failed"))).await;
    pac(&cluster).start_watcher();
    let late = until(&cluster, "late", |run| annotation(run, SECRET_CREATED) == "true").await;
    let secret = cluster.store().get("secrets", "ci", &annotation(&late, SECRET)).unwrap();
    assert_eq!(secret["metadata"]["ownerReferences"][0]["name"], "late");
    start(&cluster, "late");
    until(&cluster, "late", |run| run.pointer("/status/conditions/0/reason") == Some(&json!("Succeeded"))).await;
    let reported = until(&cluster, "late", |run| annotation(run, STATE) == "completed").await;
    assert_eq!(annotation(&reported, "pipelinesascode.tekton.dev/scm-reporting-plr-started"), "true");
}

#[tokio::test]
async fn formerly_the_secret_came_first() {
    let settings = PacPlayer { watcher: false, secrets: Secrets::ByController, ..PacPlayer::default() };
    let cluster = cluster(settings, Some(2)).await;
    pac(&cluster).push(event(&["one"])).await.unwrap();
    let run = &versions(&cluster, "one")[0];
    assert_eq!(annotation(&run.object, SECRET_CREATED), "", "PAC had no such annotation then");
    let secret = cluster.store().get("secrets", "ci", &annotation(&run.object, SECRET)).unwrap();
    let made: u64 = secret["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert!(made < run.revision);
}

#[tokio::test]
async fn without_a_limit_nothing_waits_and_nothing_is_ordered() {
    let cluster = cluster(PacPlayer { watcher: false, secrets: Secrets::Off, ..PacPlayer::default() }, None).await;
    pac(&cluster).push(event(&["one"])).await.unwrap();
    let run = until(&cluster, "one", |run| annotation(run, STATE) == "started").await;
    assert_eq!((annotation(&run, ORDER), run["spec"].get("status")), (String::new(), None));
}

#[tokio::test]
async fn a_limit_is_inherited() {
    let cluster = cluster(PacPlayer { watcher: false, ..PacPlayer::default() }, None).await;
    let global = "pipelines-as-code";
    let repository = json!({ "metadata": { "name": global }, "spec": { "concurrency_limit": 3 } });
    cluster.store().create("repositories", global, repository).unwrap();
    pac(&cluster).push(event(&["one"])).await.unwrap();
    until(&cluster, "one", |run| annotation(run, ORDER) == "ci/one").await;
}

#[tokio::test]
async fn a_run_that_the_provider_refuses_to_hear_of_is_never_queued() {
    let cluster = cluster(PacPlayer { watcher: false, ..PacPlayer::default() }, Some(2)).await;
    pac(&cluster).provider_refuses(true);
    pac(&cluster).push(event(&["one"])).await.unwrap();
    let run = cluster.store().get("pipelineruns", "ci", "one").unwrap();
    assert_eq!((annotation(&run, STATE), annotation(&run, ORDER)), (String::new(), "ci/one".to_owned()));
}

#[tokio::test]
async fn its_queue_starts_runs_up_to_the_limit_in_order() {
    let cluster = cluster(PacPlayer { queue: true, ..PacPlayer::default() }, Some(2)).await;
    pac(&cluster).push(event(&["a", "b", "c", "d", "e"])).await.unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        until(&cluster, name, |run| annotation(run, STATE) == "completed").await;
    }
    let verdict = cluster.verdict(&VerdictOptions::default());
    assert!(verdict.held(), "{verdict:#?}");
    assert_eq!((verdict.started, verdict.done), (5, 5));
}

#[tokio::test]
async fn its_queue_knows_only_what_it_was_told_since_it_began() {
    let cluster = cluster(PacPlayer { watcher: false, queue: true, ..PacPlayer::default() }, Some(1)).await;
    pac(&cluster).push(event(&["a", "b"])).await.unwrap();
    start(&cluster, "b");
    pac(&cluster).start_watcher();
    until(&cluster, "a", |run| annotation(run, STATE) == "completed").await;
    let starts = |name: &str| first(&cluster, name, |run| run["spec"]["status"] != "PipelineRunPending").unwrap();
    let ended = first(&cluster, "b", |run| run.pointer("/status/completionTime").is_some()).unwrap();
    assert!(starts("a") > ended, "b was found at work");
}

#[tokio::test]
async fn a_deleted_run_is_kept_until_it_is_reported() {
    let settings = PacPlayer { provider_latency: Duration::from_millis(200), ..PacPlayer::default() };
    let cluster = cluster(settings, Some(2)).await;
    pac(&cluster).push(event(&["one"])).await.unwrap();
    until(&cluster, "one", |run| annotation(run, SECRET_CREATED) == "true").await;
    cluster.store().delete("pipelineruns", "ci", "one").unwrap();
    let deleted = cluster.store().elapsed();
    while cluster.store().get("pipelineruns", "ci", "one").is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await; // what is awaited is the player's doing
    }
    assert!(versions(&cluster, "one").last().unwrap().at - deleted >= Duration::from_millis(190));
}

#[tokio::test]
async fn a_pull_requests_runs_are_cancelled_gracefully() {
    let cluster = cluster(PacPlayer { watcher: false, ..PacPlayer::default() }, Some(1)).await;
    pac(&cluster).push(event(&["mine"]).of_pull_request(7)).await.unwrap();
    pac(&cluster).push(event(&["theirs"]).of_pull_request(8)).await.unwrap();
    pac(&cluster).cancel("ci", "repo", 7).await.unwrap();
    let status = |name: &str| cluster.store().get("pipelineruns", "ci", name).unwrap()["spec"]["status"].clone();
    assert_eq!((status("mine"), status("theirs")), (json!("CancelledRunFinally"), json!("PipelineRunPending")));
}

#[tokio::test]
async fn a_policy_keeps_the_order_from_its_queue() {
    let cluster = cluster(PacPlayer { watcher: false, ..PacPlayer::default() }, Some(1)).await;
    let policies = include_str!("../../../config/companion-memory/execution-order-policy.yaml");
    for (plural, document) in ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"].into_iter().zip(
        serde_yaml::Deserializer::from_str(policies).map(|document| serde::Deserialize::deserialize(document).unwrap()),
    ) {
        let mut document: Value = document;
        if let Some(selector) = document.pointer_mut("/spec/matchResources/namespaceSelector") {
            *selector = json!({}); // closed, as while the system is on
        }
        cluster.store().create(plural, "", document).unwrap();
    }
    pac(&cluster).push(event(&["one"])).await.unwrap();
    let run = cluster.store().get("pipelineruns", "ci", "one").unwrap();
    assert_eq!(annotation(&run, ORDER), "");
    assert_eq!(annotation(&run, "concurrency.pipelinesascode.tekton.dev/execution-order"), "ci/one");
}

#[test]
fn settled_runs_are_what_pac_leaves() {
    let event = PacEvent::new("ci", "repo", ["b", "a"].map(PacRun::new)).of_pull_request(7);
    let runs = event.settled();
    let name = |run: &Value| run["metadata"]["name"].clone();
    assert_eq!((name(&runs[0]), name(&runs[1])), (json!("a"), json!("b")));
    for run in &runs {
        assert_eq!((annotation(run, STATE), annotation(run, ORDER)), ("queued".into(), "ci/a,ci/b".into()));
        assert_eq!(run["metadata"]["labels"]["pipelinesascode.tekton.dev/pull-request"], "7");
        assert_eq!(run["spec"]["status"], "PipelineRunPending");
    }
}
