//! The real kube client's own calls.

mod support;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Secret},
};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use support::{STATE, client, cluster, pending_run, runs};

#[tokio::test]
async fn creates_reads_lists_patches_and_deletes() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    let created = runs.create(&PostParams::default(), &pending_run("one")).await.unwrap();
    assert_eq!(created.metadata.generation, Some(1));
    assert_eq!(runs.get("one").await.unwrap().metadata.uid, created.metadata.uid);
    assert_eq!(runs.list(&ListParams::default().labels(&format!("{STATE}=queued"))).await.unwrap().items.len(), 1);
    let start: json_patch::Patch = serde_json::from_value(json!([
        { "op": "test", "path": "/spec/status", "value": "PipelineRunPending" },
        { "op": "remove", "path": "/spec/status" },
    ]))
    .unwrap();
    let patch = Patch::Json::<()>(start);
    let started = runs.patch("one", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(started.metadata.generation, Some(2));
    let again = runs.patch("one", &PatchParams::default(), &patch).await.unwrap_err();
    assert!(matches!(again, kube::Error::Api(status) if status.code == 422));
    runs.delete("one", &DeleteParams::default()).await.unwrap();
    assert!(runs.get_opt("one").await.unwrap().is_none());
}

#[tokio::test]
async fn watches_from_a_list() {
    let cluster = cluster().await;
    let runs = runs(&client(&cluster));
    let version = runs.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = runs.watch(&WatchParams::default().timeout(60), &version).await.unwrap().boxed();
    runs.create(&PostParams::default(), &pending_run("one")).await.unwrap();
    let event = events.try_next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Added(run) if run.metadata.name.as_deref() == Some("one")));
    runs.delete("one", &DeleteParams::default()).await.unwrap();
    assert!(matches!(events.try_next().await.unwrap().unwrap(), WatchEvent::Deleted(_)));
}

#[tokio::test]
async fn typed_objects_read_back() {
    let cluster = cluster().await;
    let client = client(&cluster);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "ci");
    let secret: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "s" }, "stringData": { "password": "pw" } })).unwrap();
    let secret = secrets.create(&PostParams::default(), &secret).await.unwrap();
    assert_eq!(secret.data.unwrap()["password"].0, b"pw");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ci");
    let applied = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": { "a": "1" } });
    let params = PatchParams::apply("tests");
    maps.patch("c", &params, &Patch::Apply(&applied)).await.unwrap();
    maps.patch("c", &PatchParams::default(), &Patch::Merge(json!({ "data": { "b": "2" } }))).await.unwrap();
    let map = maps.patch("c", &params, &Patch::Apply(&applied)).await.unwrap();
    assert_eq!(map.data.unwrap().len(), 2);
    let leases: Api<Lease> = Api::namespaced(client, "ci");
    let lease: Lease =
        serde_json::from_value(json!({ "metadata": { "name": "w" }, "spec": { "holderIdentity": "a" } })).unwrap();
    let lease = leases.create(&PostParams::default(), &lease).await.unwrap();
    leases.replace("w", &PostParams::default(), &lease).await.unwrap();
}

#[tokio::test]
async fn an_update_that_changes_nothing_makes_no_version() {
    let cluster = cluster().await;
    let store = cluster.store();
    store.create("pipelineruns", "ci", support::pending_run_json("one")).unwrap();
    let before = store.revision();
    let unchanged: Value = json!({ "metadata": { "annotations": { STATE: "queued" } } });
    store.patch("pipelineruns", "ci", "one", &unchanged).unwrap();
    assert_eq!(store.revision(), before);
}
