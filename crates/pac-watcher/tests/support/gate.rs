//! The gate, put there and taken away, and PAC's own queue beside the watcher.

use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use pac_devcluster::{Options, PacPlayer, TektonPlayer};
use serde::Deserialize;
use serde_json::json;

use super::World;

const NAME: &str = "pac-concurrency-execution-order";
const KINDS: [(&str, &str); 2] = [
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
];
const DENYING: [(&str, &str); 2] = [
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
];
const MANIFESTS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/companion-memory/execution-order-policy.yaml");

/// Tekton at work, and PAC whose own queue starts runs, too.
pub fn with_pacs_queue(tekton: TektonPlayer) -> Options {
    let pac = PacPlayer { queue: true, ..PacPlayer::default() };
    Options { pac: Some(pac), tekton: Some(tekton), ..Options::default() }
}

impl World {
    /// Puts the gate there as the manifests have it: open, until a watcher closes it.
    pub async fn put_gate(&self) {
        let text = std::fs::read_to_string(MANIFESTS).unwrap();
        for (document, (kind, plural)) in serde_yaml::Deserializer::from_str(&text).zip(KINDS) {
            let object = DynamicObject::deserialize(document).unwrap();
            self.gate_api(kind, plural).create(&PostParams::default(), &object).await.unwrap();
        }
    }

    /// Puts the gate there that refuses the write, open like the other: made of that one, with the same conditions.
    pub async fn put_denying_gate(&self) {
        let text = std::fs::read_to_string(MANIFESTS).unwrap();
        for (document, (kind, plural)) in serde_yaml::Deserializer::from_str(&text).zip(DENYING) {
            let mut object = DynamicObject::deserialize(document).unwrap();
            let types = object.types.as_mut().unwrap();
            kind.clone_into(&mut types.kind);
            let spec = object.data["spec"].as_object_mut().unwrap();
            if spec.contains_key("mutations") {
                spec.retain(|field, _| !["mutations", "reinvocationPolicy"].contains(&field.as_str()));
                spec.insert(
                    "validations".to_owned(),
                    json!([{"expression": "false", "message": "not now", "reason": "Forbidden"}]),
                );
            } else {
                spec.insert("validationActions".to_owned(), json!(["Deny"]));
            }
            self.gate_api(kind, plural).create(&PostParams::default(), &object).await.unwrap();
        }
    }

    /// Takes the gate away.
    pub async fn remove_gate(&self) {
        for (kind, plural) in KINDS.into_iter().rev() {
            self.gate_api(kind, plural).delete(NAME, &DeleteParams::default()).await.unwrap();
        }
    }

    /// Has somebody else's policy refuse every trial of the gate.
    pub async fn refuse_trials(&self) {
        let kept = "concurrency.pipelinesascode.tekton.dev/execution-order";
        let rule = json!({
            "apiGroups": ["tekton.dev"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pipelineruns"],
        });
        let no_trial = format!("object.metadata.?annotations[?\"{kept}\"].orValue(\"\") != \"trial-of-the-gate\"");
        let policy = json!({
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": no_trial, "message": "no trials here"}],
        });
        let binding = json!({"policyName": "no-trials", "validationActions": ["Deny"]});
        for ((kind, plural), spec) in DENYING.into_iter().zip([policy, binding]) {
            let object = json!({"metadata": {"name": "no-trials"}, "spec": spec});
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            self.gate_api(kind, plural).create(&PostParams::default(), &object).await.unwrap();
        }
    }

    /// Nobody refuses them any more.
    pub async fn allow_trials(&self) {
        let (kind, plural) = DENYING[1];
        self.gate_api(kind, plural).delete("no-trials", &DeleteParams::default()).await.unwrap();
    }

    /// Whether the gate's object says that it is open.
    pub async fn gate_is_open(&self) -> bool {
        let (kind, plural) = KINDS[1];
        let binding = self.gate_api(kind, plural).get(NAME).await.unwrap();
        let selector = binding.data.pointer("/spec/matchResources/namespaceSelector/matchExpressions");
        selector.is_some()
    }

    /// Switches the system on or off.
    pub async fn switch(&self, on: bool) {
        let enabled = if on { "true" } else { "false" };
        self.config_map("pac-concurrency", json!({"concurrency-enabled": enabled, "concurrency-driver": "memory"}))
            .await;
    }

    fn gate_api(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
    }
}
