//! What the API server's word on one run is taken for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::convert::Infallible;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use pac_concurrency::{RepositoryKey, RunKey};
use pac_kube::api::labels::REPOSITORY;
use pac_kube::live_read::{Confirmed, LiveReadError, confirm};
use serde_json::{Value, json};

fn run() -> RunKey {
    RunKey::new("ns", "run", "1").unwrap()
}

/// The run as it is made for Repository `repo`, with `change` applied.
fn object(change: Value) -> Value {
    let mut object = json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {
            "namespace": "ns", "name": "run", "uid": "1", "creationTimestamp": "2026-01-01T00:00:07Z",
            "annotations": {REPOSITORY: "repo"},
        },
        "spec": {"status": "PipelineRunPending"},
    });
    json_patch::merge(&mut object, &change);
    object
}

/// What is found out of an API server that answers so.
async fn found(code: u16, answer: Value) -> Result<Confirmed, LiveReadError> {
    let service = tower::service_fn(move |_: Request<Body>| {
        let body = Body::from(answer.to_string().into_bytes());
        async move { Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()) }
    });
    let repository = RepositoryKey::new("ns", "repo").unwrap();
    confirm(&Client::new(service, "default"), &repository, &run()).await
}

#[tokio::test]
async fn a_run_is_its_repositorys_own_alone() {
    let own = found(200, object(json!({}))).await.unwrap();
    assert!(matches!(own, Confirmed::Is(view) if view.key == run()));
    let nobodys = found(200, object(json!({"metadata": {"annotations": null}}))).await.unwrap();
    assert!(matches!(nobodys, Confirmed::Is(_)), "somebody took the name off: it is of the one that has a slot for it");
    let anothers = found(200, object(json!({"metadata": {"annotations": {REPOSITORY: "other"}}}))).await.unwrap();
    assert_eq!(anothers, Confirmed::Elsewhere(run()));
}

#[tokio::test]
async fn a_namesake_is_another_run_and_what_is_not_there_is_gone() {
    assert_eq!(found(200, object(json!({"metadata": {"uid": "2"}}))).await.unwrap(), Confirmed::Gone(run()));
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
        "message": "pipelineruns.tekton.dev \"run\" not found",
    });
    assert_eq!(found(404, status).await.unwrap(), Confirmed::Gone(run()));
}

#[tokio::test]
async fn what_nobody_understands_is_no_trouble_of_the_api_servers() {
    let unreadable = found(200, object(json!({"spec": {"status": 7}}))).await;
    assert!(matches!(unreadable, Err(LiveReadError::Unreadable(_))), "{unreadable:?}");
    let refused = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "InternalError", "code": 500, "message": "etcd",
    });
    let silent = found(500, refused).await;
    assert!(matches!(&silent, Err(LiveReadError::NoAnswer(why)) if why.contains("etcd")), "{silent:?}");
    assert!(silent.unwrap_err().to_string().contains("etcd"));
}
