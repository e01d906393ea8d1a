//! Faults strike what they're aimed at, and nothing else.

mod support;

use std::time::Duration;

use kube::api::{ListParams, Patch, PatchParams, PostParams};
use pac_devcluster::{FaultAction, FaultRule};
use serde_json::json;
use support::{client, cluster, create, pending_run, runs};

fn note() -> Patch<serde_json::Value> {
    Patch::Merge(json!({ "metadata": { "annotations": { "note": "1" } } }))
}

#[tokio::test]
async fn a_refused_patch_changes_nothing() {
    let cluster = cluster().await;
    create(&cluster, "one");
    create(&cluster, "two");
    let runs = runs(&client(&cluster));
    let message = "admission webhook \"policy\" denied the request: no".to_owned();
    let denied = FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message: message.clone() };
    let rule = cluster.faults().add(FaultRule::new(denied).verb("patch").resource("pipelineruns").name("one"));
    let before = cluster.store().revision();
    let error = runs.patch("one", &PatchParams::default(), &note()).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if (status.code, &status.message) == (403, &message)));
    assert_eq!(cluster.store().revision(), before);
    runs.patch("two", &PatchParams::default(), &note()).await.unwrap();
    assert_eq!(cluster.faults().strikes(rule), 1);
    cluster.faults().remove(rule);
    runs.patch("one", &PatchParams::default(), &note()).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_leaves_the_change() {
    let cluster = cluster().await;
    create(&cluster, "one");
    let runs = runs(&client(&cluster));
    cluster.faults().add(FaultRule::new(FaultAction::DropAfter).verb("patch").times(1));
    assert!(runs.patch("one", &PatchParams::default(), &note()).await.is_err());
    assert!(runs.get("one").await.unwrap().metadata.annotations.unwrap().contains_key("note"));
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    let rule = FaultRule::new(FaultAction::DropBefore).verb("create").name("one").times(1);
    cluster.faults().add(rule);
    assert!(runs.create(&PostParams::default(), &pending_run("one")).await.is_err());
    assert!(runs.get_opt("one").await.unwrap().is_none());
    runs.create(&PostParams::default(), &pending_run("one")).await.unwrap();
}

#[tokio::test]
async fn a_slow_request_is_answered_all_the_same() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    let slow = Duration::from_millis(50);
    cluster.faults().add(FaultRule::new(FaultAction::Latency(slow)).verb("list").times(1));
    let started = std::time::Instant::now();
    runs.list(&ListParams::default()).await.unwrap();
    assert!(started.elapsed() >= slow);
}

#[tokio::test]
async fn a_continued_list_is_consistent_until_it_expires() {
    let cluster = cluster().await;
    ["a", "b", "c"].iter().for_each(|name| create(&cluster, name));
    let runs = runs(&client(&cluster));
    let first = runs.list(&ListParams::default().limit(1)).await.unwrap();
    cluster.store().delete("pipelineruns", "ci", "b").unwrap();
    create(&cluster, "bb");
    let token = first.metadata.continue_.clone().unwrap();
    let rest = runs.list(&ListParams::default().limit(5).continue_token(&token)).await.unwrap();
    let names: Vec<_> = rest.items.iter().filter_map(|run| run.metadata.name.as_deref()).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    cluster.faults().expire_versions();
    let error = runs.list(&ListParams::default().limit(5).continue_token(&token)).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if (status.code, status.reason.as_str()) == (410, "Expired")));
}

#[tokio::test]
async fn an_outage_refuses_everything() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    runs.list(&ListParams::default()).await.unwrap();
    cluster.faults().refuse_connections();
    assert!(runs.list(&ListParams::default()).await.is_err());
    cluster.faults().accept_connections();
    runs.list(&ListParams::default()).await.unwrap();
}
