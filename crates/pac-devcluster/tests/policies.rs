//! Admission policies: what they change and what they refuse, in which words, and for whom.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind, Status},
};
use pac_devcluster::DevCluster;
use serde_json::{Value, json};

const ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
const KEPT: &str = "concurrency.pipelinesascode.tekton.dev/execution-order";
const NOBODY: &str = r#"{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"DoesNotExist"}]}"#;

struct World {
    cluster: DevCluster,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let cluster = support::cluster().await;
        let client = support::client(&cluster);
        Self { cluster, client }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }

    async fn apply(&self, kind: &str, name: &str, spec: &Value) -> kube::Result<DynamicObject> {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
        });
        self.api(kind).patch(name, &PatchParams::apply("test"), &Patch::Apply(object)).await
    }

    /// A policy that refuses, with `change` in its spec, and a binding of it.
    async fn deny(&self, change: &Value) {
        let mut spec = json!({
            "matchConstraints": { "resourceRules": [rule()] },
            "validations": [{ "expression": format!("!('{ORDER}' in object.metadata.?annotations.orValue({{}}))") }],
        });
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.apply("ValidatingAdmissionPolicy", "no-order", &spec).await.unwrap();
        let binding = json!({ "policyName": "no-order", "validationActions": ["Deny"] });
        self.apply("ValidatingAdmissionPolicyBinding", "everywhere", &binding).await.unwrap();
    }

    /// A policy that keeps the order under another name, and a binding of it.
    async fn rename(&self, change: &Value) {
        let expression = format!(
            "[JSONPatch{{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('{KEPT}'), \
             value: object.metadata.annotations['{ORDER}']}}, \
             JSONPatch{{op: 'remove', path: '/metadata/annotations/' + jsonpatch.escapeKey('{ORDER}')}}]"
        );
        let mut spec = json!({
            "matchConstraints": { "resourceRules": [rule()] },
            "matchConditions": [
                { "name": "has-it", "expression": format!("'{ORDER}' in object.metadata.?annotations.orValue({{}})") },
            ],
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } }],
            "reinvocationPolicy": "IfNeeded",
        });
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.apply("MutatingAdmissionPolicy", "rename", &spec).await.unwrap();
        self.apply("MutatingAdmissionPolicyBinding", "everywhere", &json!({ "policyName": "rename" })).await.unwrap();
    }

    /// Writes the order as PAC does.
    async fn order(&self, name: &str) -> Result<DynamicObject, Status> {
        self.order_with(name, &PatchParams::default()).await
    }

    async fn order_with(&self, name: &str, how: &PatchParams) -> Result<DynamicObject, Status> {
        let patch = json!({ "metadata": { "annotations": { ORDER: format!("ci/{name}") } } });
        match support::runs(&self.client).patch(name, how, &Patch::Merge(patch)).await {
            Ok(run) => Ok(run),
            Err(kube::Error::Api(status)) => Err(*status),
            Err(other) => panic!("{other}"),
        }
    }
}

fn rule() -> Value {
    json!({ "apiGroups": ["tekton.dev"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pipelineruns"] })
}

fn annotation<'a>(run: &'a DynamicObject, name: &str) -> Option<&'a str> {
    run.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

#[tokio::test]
async fn a_refusal_names_policy_and_binding_and_is_invalid_unless_another_reason_is_given() {
    let world = World::new().await;
    support::create(&world.cluster, "run");
    world.deny(&json!({})).await;
    let refused = world.order("run").await.unwrap_err();
    let expression = format!("!('{ORDER}' in object.metadata.?annotations.orValue({{}}))");
    assert_eq!(
        refused.message,
        format!(
            "pipelineruns.tekton.dev \"run\" is forbidden: ValidatingAdmissionPolicy 'no-order' with binding 'everywhere' \
             denied request: failed expression: {expression}"
        )
    );
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    assert_eq!(annotation(&support::runs(&world.client).get("run").await.unwrap(), ORDER), None);
    let validation = |more: Value| {
        let mut validation = json!({ "expression": expression });
        validation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "validations": [validation] })
    };
    world.deny(&validation(json!({ "reason": "Forbidden", "message": " not this " }))).await;
    let refused = world.order("run").await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    assert!(refused.message.ends_with("denied request: not this"), "{}", refused.message);
    world.deny(&validation(json!({ "messageExpression": "'not ' + object.metadata.name", "message": "no" }))).await;
    assert!(world.order("run").await.unwrap_err().message.ends_with("denied request: not run"));
    world.order_with("run", &PatchParams::default().dry_run()).await.unwrap_err();
}

#[tokio::test]
async fn conditions_and_variables_narrow_a_policy() {
    let world = World::new().await;
    support::create(&world.cluster, "run");
    let old = format!("oldObject.metadata.?annotations['{ORDER}'].orValue('')");
    world
        .deny(&json!({
            "matchConditions": [
                { "name": "broken", "expression": "object.nothing == 1" },
                { "name": "not-this-one", "expression": "request.name != 'run'" },
            ],
            "variables": [
                { "name": "unused", "expression": "object.nothing" },
                { "name": "old", "expression": old },
            ],
            "validations": [{ "expression": "variables.old != ''" }],
        }))
        .await;
    world.order("run").await.unwrap();
    support::create(&world.cluster, "other");
    let refused = world.order("other").await.unwrap_err();
    let broken = "denied request: expression 'object.nothing == 1' resulted in error: no such key: nothing";
    assert!(refused.message.ends_with(broken), "{}", refused.message);
}

#[tokio::test]
async fn what_can_not_be_evaluated_passes_where_failures_are_ignored() {
    let world = World::new().await;
    support::create(&world.cluster, "run");
    let validations = json!([{ "expression": "object.nothing == 1" }]);
    world.deny(&json!({ "validations": validations, "failurePolicy": "Ignore" })).await;
    world.order("run").await.unwrap();
    world.deny(&json!({ "validations": validations })).await;
    assert_eq!(world.order_with("run", &PatchParams::default().dry_run()).await.unwrap_err().code, 422);
}

#[tokio::test]
async fn a_binding_that_does_not_deny_or_selects_nobody_lets_everything_pass() {
    let world = World::new().await;
    support::create(&world.cluster, "run");
    world.deny(&json!({})).await;
    let binding = |more: Value| {
        let mut spec = json!({ "policyName": "no-order", "validationActions": ["Deny"] });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let nobody: Value = serde_json::from_str(NOBODY).unwrap();
    let passes = [
        json!({ "validationActions": ["Audit", "Warn"] }),
        json!({ "matchResources": { "namespaceSelector": nobody } }),
        json!({ "matchResources": { "objectSelector": { "matchLabels": { "no": "such" } } } }),
    ];
    let dry = PatchParams::default().dry_run();
    for more in passes {
        world.apply("ValidatingAdmissionPolicyBinding", "everywhere", &binding(more)).await.unwrap();
        world.order_with("run", &dry).await.unwrap();
    }
    let closed = json!({ "matchResources": { "namespaceSelector": {} } });
    world.apply("ValidatingAdmissionPolicyBinding", "everywhere", &binding(closed)).await.unwrap();
    world.order_with("run", &dry).await.unwrap_err();
    world.api("ValidatingAdmissionPolicyBinding").delete("everywhere", &DeleteParams::default()).await.unwrap();
    world.order_with("run", &dry).await.unwrap();
}

#[tokio::test]
async fn a_mutating_policy_is_open_and_closed_by_its_bindings_selector() {
    let world = World::new().await;
    support::create(&world.cluster, "run");
    world.rename(&json!({})).await;
    let dry = PatchParams::default().dry_run();
    let closed = world.order_with("run", &dry).await.unwrap();
    assert_eq!((annotation(&closed, ORDER), annotation(&closed, KEPT)), (None, Some("ci/run")));
    let nobody: Value = serde_json::from_str(NOBODY).unwrap();
    let patch = json!({ "spec": { "matchResources": { "namespaceSelector": nobody } } });
    let bindings = world.api("MutatingAdmissionPolicyBinding");
    bindings.patch("everywhere", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let open = world.order_with("run", &dry).await.unwrap();
    assert_eq!((annotation(&open, ORDER), annotation(&open, KEPT)), (Some("ci/run"), None));
    let patch = json!({ "spec": { "matchResources": { "namespaceSelector": null } } });
    let binding = bindings.patch("everywhere", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    assert_eq!(binding.data["spec"]["matchResources"]["namespaceSelector"], json!({}));
    assert_eq!(annotation(&world.order_with("run", &dry).await.unwrap(), ORDER), None);
}

#[tokio::test]
async fn a_mutation_that_fails_refuses_the_request() {
    let world = World::new().await;
    support::create(&world.cluster, "run");
    world.rename(&json!({ "matchConditions": [{ "name": "broken", "expression": "object.nothing" }] })).await;
    let refused = world.order("run").await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Invalid"));
    assert_eq!(
        refused.message,
        "policy 'rename' with binding 'everywhere' denied request: \
         expression 'object.nothing' resulted in error: no such key: nothing"
    );
}

#[tokio::test]
async fn the_validating_policy_sees_what_the_mutating_one_left() {
    let world = World::new().await;
    support::create(&world.cluster, "run");
    world.deny(&json!({})).await;
    world.rename(&json!({})).await;
    assert_eq!(annotation(&world.order("run").await.unwrap(), KEPT), Some("ci/run"));
}

#[tokio::test]
async fn policies_are_refused_that_do_not_compile_and_never_bind_themselves() {
    let world = World::new().await;
    let spec = json!({ "validations": [{ "expression": "object." }] });
    let refused = world.apply("ValidatingAdmissionPolicy", "p", &spec).await.unwrap_err();
    assert!(refused.to_string().contains("spec.validations[0].expression: Invalid value: \"object.\""), "{refused}");
    let all = json!({ "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"] });
    let matching = json!({ "resourceRules": [all] });
    world.deny(&json!({ "matchConstraints": matching, "validations": [{ "expression": "false" }] })).await;
    let run = support::pending_run("run");
    support::runs(&world.client).create(&PostParams::default(), &run).await.unwrap_err();
    for kind in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
        assert_eq!(world.api(kind).list(&Default::default()).await.unwrap().items.len(), 1);
        world.apply(kind, if kind.ends_with("Binding") { "everywhere" } else { "no-order" }, &json!({})).await.unwrap();
    }
}
