//! The gate, put there and taken away, and PAC's own queue beside the watcher.

use pac_devcluster::{ApiError, Options, PacPlayer, TektonPlayer};
use pac_watcher::GateKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::World;

/// The name of each of its objects.
pub const GATE: &str = "pac-concurrency-execution-order";
const POLICY: &str = include_str!("../../../../config/companion-memory/execution-order-policy.yaml");
const WEBHOOK: &str = include_str!("../../../pac-webhook/tests/gate.yaml");
/// Where the webhook's Service and Secret are, and what both are called.
const WEBHOOK_AT: [&str; 2] = ["pipelines-as-code", "pac-concurrency-webhook"];

/// Tekton at work, and PAC whose own queue starts runs, too.
pub fn with_pacs_queue(tekton: TektonPlayer) -> Options {
    let pac = PacPlayer { queue: true, ..PacPlayer::default() };
    Options { pac: Some(pac), tekton: Some(tekton), ..Options::default() }
}

impl World {
    /// Puts the gate there as the manifests have it: open, until a watcher closes it.
    pub fn put_gate(&self, kind: GateKind) {
        for (plural, object) in objects(kind) {
            self.create(plural, "", object).unwrap();
        }
    }

    /// Takes the gate away.
    pub fn remove_gate(&self, kind: GateKind) {
        for (plural, _) in objects(kind) {
            self.cluster.development().store().delete(plural, "", GATE).unwrap();
        }
    }

    /// Takes the gate's effect away, and leaves the object that says that it is closed.
    pub fn blind_gate(&self, kind: GateKind) {
        match kind {
            GateKind::Policy | GateKind::Deny => {
                let (plural, _) = objects(kind).remove(0);
                self.cluster.development().store().delete(plural, "", GATE).unwrap();
            }
            GateKind::Webhook => self.webhook_is_for("taskruns"),
        }
    }

    /// Gives it back.
    pub fn unblind_gate(&self, kind: GateKind) {
        match kind {
            GateKind::Policy | GateKind::Deny => {
                let (plural, policy) = objects(kind).remove(0);
                self.create(plural, "", policy).unwrap();
            }
            GateKind::Webhook => self.webhook_is_for("pipelineruns"),
        }
    }

    /// Has the API server refuse what it can't ask the gate about: a policy can't be evaluated, or there is nobody who serves the webhook.
    pub fn break_gate(&self, kind: GateKind) {
        let broken = "object.spec.nothing.of.the.kind";
        match kind {
            GateKind::Policy => self.change_policy(
                kind,
                json!({"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": broken}}]}),
            ),
            GateKind::Deny => self.change_policy(kind, json!({"validations": [{"expression": broken}]})),
            GateKind::Webhook => self.serve_webhook(&[]),
        }
    }

    /// Mends what was broken.
    pub fn mend_gate(&self, kind: GateKind) {
        match kind {
            GateKind::Policy | GateKind::Deny => self.change_policy(kind, objects(kind).remove(0).1["spec"].clone()),
            GateKind::Webhook => self.serve_webhook(&[self.watcher().webhook_addr]),
        }
    }

    /// Makes what a webhook needs beside its configuration.
    pub fn put_webhooks_place(&self) {
        let [namespace, _] = WEBHOOK_AT;
        for (document, plural) in documents(WEBHOOK).into_iter().zip(["secrets", "services"]) {
            self.create(plural, namespace, document).unwrap();
        }
    }

    /// Has the webhook's Service lead there.
    pub fn serve_webhook(&self, addresses: &[std::net::SocketAddr]) {
        let [namespace, name] = WEBHOOK_AT;
        self.cluster.development().store().serve_service(namespace, name, addresses);
    }

    fn webhook_is_for(&self, plural: &str) {
        let change = json!([{"op": "replace", "path": "/webhooks/0/rules/0/resources", "value": [plural]}]);
        self.cluster.development().store().json_patch("mutatingwebhookconfigurations", "", GATE, &change).unwrap();
    }

    fn change_policy(&self, kind: GateKind, spec: Value) {
        let (plural, _) = objects(kind).remove(0);
        self.cluster.development().store().patch(plural, "", GATE, &json!({ "spec": spec })).unwrap();
    }

    /// Has somebody else's policy refuse every trial of the gate.
    pub fn refuse_trials(&self) {
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
        for ((plural, _), spec) in objects(GateKind::Deny).into_iter().zip([policy, binding]) {
            self.create(plural, "", json!({"metadata": {"name": "no-trials"}, "spec": spec})).unwrap();
        }
    }

    /// Nobody refuses them any more.
    pub fn allow_trials(&self) {
        self.cluster.development().store().delete("validatingadmissionpolicybindings", "", "no-trials").unwrap();
    }

    /// Whether the gate's object says that it is open.
    pub fn gate_is_open(&self) -> bool {
        let binding = self.cluster.development().store().get("mutatingadmissionpolicybindings", "", GATE).unwrap();
        binding.pointer("/spec/matchResources/namespaceSelector/matchExpressions").is_some()
    }

    /// Switches the system on or off.
    pub async fn switch(&self, on: bool) {
        let enabled = if on { "true" } else { "false" };
        self.config_map("pac-concurrency", json!({"concurrency-enabled": enabled, "concurrency-driver": "memory"}))
            .await;
    }

    fn create(&self, plural: &str, namespace: &str, object: Value) -> Result<(), ApiError> {
        self.cluster.development().store().create(plural, namespace, object).map(drop)
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// What the gate is made of: what says what becomes of the write, and last what says whether it is open.
fn objects(kind: GateKind) -> Vec<(&'static str, Value)> {
    match kind {
        GateKind::Policy => ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"]
            .into_iter()
            .zip(documents(POLICY))
            .collect(),
        GateKind::Webhook => {
            let mut configuration = documents(WEBHOOK).remove(2);
            configuration["webhooks"][0]["namespaceSelector"] =
                documents(POLICY).remove(1)["spec"]["matchResources"]["namespaceSelector"].take();
            vec![("mutatingwebhookconfigurations", configuration)]
        }
        // Made of the other policy, with the same conditions.
        GateKind::Deny => {
            let [mut policy, mut binding] = <[Value; 2]>::try_from(documents(POLICY)).unwrap();
            let spec = policy["spec"].as_object_mut().unwrap();
            spec.retain(|field, _| !["mutations", "reinvocationPolicy"].contains(&field.as_str()));
            spec.insert(
                "validations".to_owned(),
                json!([{"expression": "false", "message": "not now", "reason": "Forbidden"}]),
            );
            policy["kind"] = "ValidatingAdmissionPolicy".into();
            binding["kind"] = "ValidatingAdmissionPolicyBinding".into();
            binding["spec"]["validationActions"] = json!(["Deny"]);
            vec![("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding)]
        }
    }
}
