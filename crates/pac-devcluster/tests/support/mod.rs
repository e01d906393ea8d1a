//! What the tests share: clients of a running cluster, and the objects they use.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

pub(crate) mod webhook;

use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use pac_devcluster::{DevCluster, Options};
use serde_json::{Value, json};

pub(crate) const STATE: &str = "pipelinesascode.tekton.dev/state";

pub(crate) async fn cluster() -> DevCluster {
    let namespaces = vec!["default".to_owned(), "ci".to_owned()];
    DevCluster::start(Options { namespaces, ..Options::default() }).await.unwrap()
}

pub(crate) fn client(cluster: &DevCluster) -> Client {
    Client::try_from(Config::new(cluster.url().parse().unwrap())).unwrap()
}

pub(crate) fn runs(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("tekton.dev", "v1", "PipelineRun");
    Api::namespaced_with(client.clone(), "ci", &ApiResource::from_gvk(&kind))
}

pub(crate) fn pending_run(name: &str) -> DynamicObject {
    serde_json::from_value(pending_run_json(name)).unwrap()
}

pub(crate) fn pending_run_json(name: &str) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {
            "name": name,
            "namespace": "ci",
            "labels": { STATE: "queued" },
            "annotations": { STATE: "queued", "pipelinesascode.tekton.dev/repository": "repo" },
        },
        "spec": { "status": "PipelineRunPending" },
    })
}

pub(crate) fn create(cluster: &DevCluster, name: &str) {
    cluster.store().create("pipelineruns", "ci", pending_run_json(name)).unwrap();
}
