//! The gate on the development cluster: what its object says, how it is closed and opened, whether it holds, and what is handed back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use pac_concurrency::{RepositoryKey, RunKey};
use pac_devcluster::{DevCluster, Options};
use pac_kube::api::labels::{EVENT, EXECUTION_ORDER, EXECUTION_ORDER_KEPT, HANDED_BACK, QUEUED, REPOSITORY, STATE};
use pac_kube::gate::{GateKind, GateState, HandedBack, NAME, Proof, close, hand_back_all, open, prove, read};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

struct World {
    cluster: DevCluster,
    client: Client,
}

impl World {
    async fn start() -> Self {
        let cluster = DevCluster::start(Options::default()).await.unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Self { cluster, client: Client::try_from(config).unwrap() }
    }

    fn api(&self, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(group, version, kind);
        Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
    }

    /// Makes an object of the API server's admission.
    async fn admission(&self, kind: &str, plural: &str, spec: Value) {
        let api = self.api("admissionregistration.k8s.io", "v1", kind, plural);
        let object = json!({"metadata": {"name": NAME}, "spec": spec});
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// The policy that renames what a write brings, and its binding, closed.
    async fn policy(&self) {
        let (pacs, kept, marker) = (EXECUTION_ORDER, EXECUTION_ORDER_KEPT, HANDED_BACK);
        let brings = |name: &str| {
            format!(
                "object.metadata.?annotations[?\"{name}\"].orValue(\"\") != \
                 oldObject.metadata.?annotations[?\"{name}\"].orValue(\"\")"
            )
        };
        let path = |name: &str| format!("\"/metadata/annotations/\" + jsonpatch.escapeKey(\"{name}\")");
        let rename = format!(
            "[JSONPatch{{op: \"add\", path: {}, value: object.metadata.annotations[\"{pacs}\"]}}, \
             JSONPatch{{op: \"remove\", path: {}}}]",
            path(kept),
            path(pacs)
        );
        let rule = json!({
            "apiGroups": ["tekton.dev"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pipelineruns"],
        });
        let spec = json!({
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": [
                {"name": "is-there", "expression": format!("\"{pacs}\" in object.metadata.?annotations.orValue({{}})")},
                {"name": "brings", "expression": brings(pacs)},
                {"name": "not-handed-back", "expression": format!("!({})", brings(marker))},
            ],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": rename}}],
        });
        self.admission("MutatingAdmissionPolicy", "mutatingadmissionpolicies", spec).await;
        let binding = json!({"policyName": NAME});
        self.admission("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", binding).await;
    }

    fn repository(&self, name: &str, limit: Option<i64>) {
        let spec = limit.map_or(json!({}), |limit| json!({"concurrency_limit": limit}));
        let repository = json!({"metadata": {"name": name}, "spec": spec});
        self.cluster.store().create("repositories", "default", repository).unwrap();
    }

    /// A run that waits, of the push of `commit`.
    fn run(&self, repository: &str, name: &str, commit: &str, annotations: &Value) -> RunKey {
        let mut all = json!({REPOSITORY: repository, STATE: QUEUED, EVENT[0]: commit, EVENT[1]: "push"});
        json_patch::merge(&mut all, annotations);
        let labels = json!({REPOSITORY: repository, STATE: QUEUED});
        let run = json!({
            "metadata": {"name": name, "labels": labels, "annotations": all},
            "spec": {"status": "PipelineRunPending"},
        });
        let made = self.cluster.store().create("pipelineruns", "default", run).unwrap();
        RunKey::new("default", name, made.pointer("/metadata/uid").unwrap().as_str().unwrap()).unwrap()
    }

    fn annotation(&self, run: &str, name: &str) -> Option<String> {
        let run = self.cluster.store().get("pipelineruns", "default", run).unwrap();
        run["metadata"]["annotations"].get(name).and_then(Value::as_str).map(str::to_owned)
    }

    async fn write(&self, run: &str, annotations: Value) {
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            "default",
            &ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk("tekton.dev", "v1", "PipelineRun"),
                "pipelineruns",
            ),
        );
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        api.patch(run, &PatchParams::default(), &patch).await.unwrap();
    }

    async fn hand_back(&self, lost_after: Option<Duration>) -> HandedBack {
        let global = RepositoryKey::new("pipelines-as-code", "pipelines-as-code").unwrap();
        hand_back_all(&self.client, &global, lost_after, &CancellationToken::new()).await.unwrap()
    }
}

#[tokio::test]
async fn a_gate_that_is_not_there_is_missing_and_does_not_hold() {
    let world = World::start().await;
    let run = world.run("repo", "a", "c0ffee", &json!({}));
    for kind in [GateKind::Policy, GateKind::Webhook, GateKind::Deny] {
        assert!(matches!(read(&world.client, kind).await.unwrap(), GateState::Missing(_)), "{kind:?}");
        assert!(matches!(close(&world.client, kind).await.unwrap(), GateState::Missing(_)), "{kind:?}");
        let proof = prove(&world.client, kind, &run).await;
        assert!(matches!(&proof, Proof::DoesNotHold(why) if why.contains(NAME)), "{proof:?}");
    }
    assert_eq!(world.annotation("a", EXECUTION_ORDER), None, "a trial writes nothing");
}

#[tokio::test]
async fn a_closed_policy_is_proven_and_an_open_one_says_so() {
    let world = World::start().await;
    world.policy().await;
    let run = world.run("repo", "a", "c0ffee", &json!({}));
    assert_eq!(read(&world.client, GateKind::Policy).await.unwrap(), GateState::Closed, "as it is without a selector");
    assert_eq!(prove(&world.client, GateKind::Policy, &run).await, Proof::Holds);
    assert_eq!((world.annotation("a", EXECUTION_ORDER), world.annotation("a", EXECUTION_ORDER_KEPT)), (None, None));
    assert_eq!(open(&world.client, GateKind::Policy).await.unwrap(), GateState::Open);
    assert_eq!(read(&world.client, GateKind::Policy).await.unwrap(), GateState::Open);
    assert_eq!(prove(&world.client, GateKind::Policy, &run).await.keeps_out(), Some(false));
    assert_eq!(close(&world.client, GateKind::Policy).await.unwrap(), GateState::Closed);
    assert_eq!(prove(&world.client, GateKind::Policy, &run).await, Proof::Holds);
}

#[tokio::test]
async fn a_trial_on_a_run_that_is_gone_proves_nothing() {
    let world = World::start().await;
    world.policy().await;
    let gone = RunKey::new("default", "gone", "1").unwrap();
    assert_eq!(prove(&world.client, GateKind::Policy, &gone).await.keeps_out(), None);
}

#[tokio::test]
async fn what_is_handed_back_passes_a_closed_gate_once() {
    let world = World::start().await;
    world.policy().await;
    world.repository("repo", Some(1));
    world.repository("unlimited", None);
    world.run("repo", "a", "c0ffee", &json!({}));
    world.run("repo", "b", "c0ffee", &json!({}));
    world.run("repo", "lost-2", "dead", &json!({}));
    world.run("repo", "lost-10", "dead", &json!({}));
    world.run("unlimited", "kueues", "c0ffee", &json!({}));
    for run in ["a", "b"] {
        world.write(run, json!({EXECUTION_ORDER: "default/a,default/b"})).await;
        assert_eq!(world.annotation(run, EXECUTION_ORDER), None, "the gate keeps it");
    }
    let handed_back = |runs| HandedBack { runs, failed: Vec::new() };
    assert_eq!(world.hand_back(None).await, handed_back(2));
    assert_eq!(world.annotation("lost-2", EXECUTION_ORDER), None, "PAC may be about to write it");
    assert_eq!(world.hand_back(Some(Duration::ZERO)).await, handed_back(2));
    for (run, order) in [
        ("a", "default/a,default/b"),
        ("b", "default/a,default/b"),
        ("lost-2", "default/lost-2,default/lost-10"),
        ("lost-10", "default/lost-2,default/lost-10"),
    ] {
        assert_eq!(world.annotation(run, EXECUTION_ORDER).as_deref(), Some(order));
        assert_eq!(world.annotation(run, EXECUTION_ORDER_KEPT), None);
        assert!(world.annotation(run, HANDED_BACK).is_some());
    }
    assert_eq!(world.annotation("kueues", EXECUTION_ORDER), None, "PAC orders none there");
    assert_eq!(world.hand_back(Some(Duration::ZERO)).await, handed_back(0), "doing it again changes nothing");
    world.write("a", json!({"other": "x"})).await;
    assert!(world.annotation("a", EXECUTION_ORDER).is_some(), "what has it keeps it through other writes");
    world.write("a", json!({EXECUTION_ORDER: "default/a"})).await;
    assert_eq!(world.annotation("a", EXECUTION_ORDER), None, "the marker of before lets nothing else through");
}

#[tokio::test]
async fn runs_of_one_repository_are_handed_back_one_after_the_other_in_their_order() {
    let world = World::start().await;
    world.repository("repo", Some(1));
    // Neither by name nor by age.
    let order: Vec<String> = (0..20).map(|number| format!("default/run-{:02}", (number * 7) % 20)).collect();
    for number in 0..20 {
        world.run("repo", &format!("run-{number:02}"), "c0ffee", &json!({EXECUTION_ORDER_KEPT: order.join(",")}));
    }
    assert_eq!(world.hand_back(None).await, HandedBack { runs: 20, failed: Vec::new() });
    let mut handed_back = Vec::new();
    for version in world.cluster.history() {
        let metadata = &version.object["metadata"];
        if metadata["annotations"].get(HANDED_BACK).is_some() {
            handed_back.push(format!("default/{}", metadata["name"].as_str().unwrap()));
        }
    }
    assert_eq!(handed_back, order, "PAC's queue goes by who came first");
}
