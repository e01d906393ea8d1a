//! Versions of Kubernetes: what each serves, and what clients find out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use kube::{
    Api, Client, Discovery,
    api::{DynamicObject, PostParams},
    core::GroupVersionKind,
    discovery::{Scope, oneshot},
};
use pac_devcluster::{DevCluster, Kubernetes, Options};
use serde_json::json;

const GROUP: &str = "admissionregistration.k8s.io";

async fn start(minor: u8, beta_apis: bool) -> (DevCluster, Client) {
    let kubernetes = Kubernetes { minor, beta_apis };
    let cluster = DevCluster::start(Options { kubernetes, ..Options::default() }).await.unwrap();
    let client = support::client(&cluster);
    (cluster, client)
}

/// The version in which a kind is served.
async fn served(client: &Client, kind: &str) -> Option<String> {
    let discovery = Discovery::new(client.clone()).filter(&[GROUP]).run().await.unwrap();
    let group = discovery.get(GROUP).unwrap();
    let found = group.recommended_kind(kind).map(|(resource, _)| resource.version);
    found.or_else(|| {
        let versions = group.versions().map(str::to_owned).collect::<Vec<_>>();
        let has = |version: &String| group.versioned_resources(version).iter().any(|(known, _)| known.kind == kind);
        versions.into_iter().find(has)
    })
}

#[tokio::test]
async fn each_version_has_its_policies() {
    for (minor, beta_apis, mutating, validating) in [
        (36, false, Some("v1"), Some("v1")),
        (36, true, Some("v1"), Some("v1")),
        (35, true, Some("v1beta1"), Some("v1")),
        (35, false, None, Some("v1")),
        (30, true, None, Some("v1")),
        (28, false, None, None),
    ] {
        let (_cluster, client) = start(minor, beta_apis).await;
        assert_eq!(client.apiserver_version().await.unwrap().minor, minor.to_string());
        for (kind, version) in [
            ("MutatingAdmissionPolicy", mutating),
            ("MutatingAdmissionPolicyBinding", mutating),
            ("ValidatingAdmissionPolicy", validating),
            ("ValidatingAdmissionPolicyBinding", validating),
            ("MutatingWebhookConfiguration", Some("v1")),
        ] {
            assert_eq!(served(&client, kind).await.as_deref(), version, "1.{minor} {beta_apis} {kind}");
        }
    }
}

#[tokio::test]
async fn what_is_written_as_beta_is_at_work_and_read_as_beta() {
    let (cluster, client) = start(34, true).await;
    let namespace = "default";
    let kind = |kind: &str| GroupVersionKind::gvk(GROUP, "v1beta1", kind);
    let rule =
        json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"] });
    let expression = "[JSONPatch{op: 'add', path: '/data', value: {'a': 'b'}}]";
    let spec = json!({
        "matchConstraints": { "resourceRules": [rule] }, "reinvocationPolicy": "Never",
        "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } }],
    });
    for (name, spec) in
        [("MutatingAdmissionPolicy", spec), ("MutatingAdmissionPolicyBinding", json!({ "policyName": "p" }))]
    {
        let (resource, capabilities) = oneshot::pinned_kind(&client, &kind(name)).await.unwrap();
        assert_eq!(capabilities.scope, Scope::Cluster);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1beta1", "kind": name,
            "metadata": { "name": "p" }, "spec": spec,
        });
        let created = api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        assert_eq!(created.types.unwrap().api_version, "admissionregistration.k8s.io/v1beta1");
        assert_eq!(api.get("p").await.unwrap().types.unwrap().api_version, "admissionregistration.k8s.io/v1beta1");
    }
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = serde_json::from_value(json!({ "metadata": { "name": "m" } })).unwrap();
    assert_eq!(maps.create(&PostParams::default(), &map).await.unwrap().data.unwrap()["a"], "b");
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let kube::Error::Api(status) = client.request::<serde_json::Value>(request).await.unwrap_err() else { panic!() };
    assert_eq!(status.code, 404);
    drop(cluster);
}
