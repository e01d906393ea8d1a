//! The object whose one field says whether the gate is open: of a policy its binding, of a webhook the configuration.
//!
//! An open gate is for no namespace: its `namespaceSelector` wants a label away that every namespace has. A closed one is for all.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, Status};
use kube::{Client, Error};
use pac_concurrency::protocol::REQUEST_DEADLINE;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{GateKind, NAME, WEBHOOK};
use crate::error::with_causes;

const GROUP: &str = "admissionregistration.k8s.io";
/// What every namespace is labelled with.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// What the gate's object says. Whether it has an effect, a trial tells ([`prove`](super::prove)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateState {
    /// It isn't there; with the reason.
    Missing(String),
    /// It stops nothing.
    Open,
    /// It is for every namespace.
    Closed,
    /// It is neither; with what is wrong.
    Other(String),
}

// === impl GateState ===

impl GateState {
    /// Whether it stops nothing.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::Missing(_))
    }
}

/// Why the gate could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// This watcher isn't allowed to.
    #[error("{0}")]
    Forbidden(String),
    /// No answer, or none that tells.
    #[error("{0}")]
    Failed(String),
}

/// What `kind` is made of, for this watcher.
struct Spec {
    kind: &'static str,
    plural: &'static str,
    /// The versions under which it may be served, the newest first.
    versions: &'static [&'static str],
    /// Where the namespaces are chosen.
    selector: &'static str,
}

// === impl GateKind ===

impl GateKind {
    fn spec(self) -> Spec {
        match self {
            Self::Policy => Spec {
                kind: "MutatingAdmissionPolicyBinding",
                plural: "mutatingadmissionpolicybindings",
                versions: &["v1", "v1beta1"],
                selector: "/spec/matchResources/namespaceSelector",
            },
            Self::Webhook => Spec {
                kind: "MutatingWebhookConfiguration",
                plural: "mutatingwebhookconfigurations",
                versions: &["v1"],
                selector: "/webhooks/0/namespaceSelector",
            },
            Self::Deny => Spec {
                kind: "ValidatingAdmissionPolicyBinding",
                plural: "validatingadmissionpolicybindings",
                versions: &["v1", "v1beta1"],
                selector: "/spec/matchResources/namespaceSelector",
            },
        }
    }

    /// The object that says whether it is open, for people.
    pub fn object(self) -> String {
        format!("{} {NAME}", self.spec().kind)
    }

    /// What `object` says.
    pub(super) fn state_of(self, object: &Value) -> GateState {
        let ours = format!("{} {NAME}", self.spec().kind);
        if let Some(wrong) = self.wrong_with(object) {
            return GateState::Other(format!("{ours} {wrong}"));
        }
        match object.pointer(self.spec().selector) {
            None | Some(Value::Null) => GateState::Closed,
            Some(selector) if is_empty(selector) => GateState::Closed,
            Some(selector) if *selector == for_nobody() => GateState::Open,
            Some(_) => {
                GateState::Other(format!("{ours} is for some namespaces and not for others (namespaceSelector)"))
            }
        }
    }

    /// What keeps it from acting whatever its namespaces are.
    fn wrong_with(self, object: &Value) -> Option<String> {
        let spec = |field: &str| object.pointer(field).filter(|value| !is_empty(value));
        if self == Self::Webhook {
            let name = object.pointer("/webhooks/0/name").and_then(Value::as_str).unwrap_or_default();
            let ignores = object.pointer("/webhooks/0/failurePolicy").is_some_and(|policy| policy == "Ignore");
            return match () {
                () if name != WEBHOOK => Some(format!("has no webhook {WEBHOOK} in its first place")),
                () if ignores => {
                    Some("lets through what its webhook doesn't answer (failurePolicy: Ignore)".to_owned())
                }
                () => {
                    spec("/webhooks/0/objectSelector").map(|_| "is for some objects only (objectSelector)".to_owned())
                }
            };
        }
        let refuses =
            || object.pointer("/spec/validationActions")?.as_array()?.iter().find(|action| **action == "Deny");
        match () {
            () if object.pointer("/spec/policyName").is_none_or(|name| *name != NAME) => {
                Some(format!("binds another policy than {NAME} (policyName)"))
            }
            () if self == Self::Deny && refuses().is_none() => Some("refuses nothing (validationActions)".to_owned()),
            () => ["objectSelector", "resourceRules", "excludeResourceRules"].into_iter().find_map(|field| {
                spec(&format!("/spec/matchResources/{field}")).map(|_| format!("is for some objects only ({field})"))
            }),
        }
    }

    /// What makes it open, or closed.
    fn patch(self, open: bool) -> Patch<Value> {
        let selector = if open { for_nobody() } else { json!({}) };
        match self {
            // A merge patch would replace the list.
            Self::Webhook => {
                let operations = json!([
                    {"op": "test", "path": "/webhooks/0/name", "value": WEBHOOK},
                    {"op": "add", "path": self.spec().selector, "value": selector},
                ]);
                Patch::Json(serde_json::from_value(operations).unwrap_or_default())
            }
            Self::Policy | Self::Deny => {
                // What else was chosen by would stay.
                let mut selector = if open { selector } else { Value::Null };
                if open {
                    selector["matchLabels"] = Value::Null;
                }
                Patch::Merge(json!({"spec": {"matchResources": {"namespaceSelector": selector}}}))
            }
        }
    }
}

/// What the gate's object says.
///
/// # Errors
///
/// If the API server doesn't answer, or doesn't let this watcher read it.
pub async fn read(client: &Client, kind: GateKind) -> Result<GateState, GateError> {
    Ok(match find(client, kind).await? {
        Ok((_, state)) => state,
        Err(missing) => GateState::Missing(missing),
    })
}

/// Closes the gate, if it isn't: from now on, and not at once, it stops PAC's annotation. Says what its object says then.
///
/// # Errors
///
/// As [`read`]; after one without an answer it may be closed, or not.
pub async fn close(client: &Client, kind: GateKind) -> Result<GateState, GateError> {
    set(client, kind, false).await
}

/// Opens the gate, likewise.
///
/// # Errors
///
/// As [`close`].
pub async fn open(client: &Client, kind: GateKind) -> Result<GateState, GateError> {
    set(client, kind, true).await
}

async fn set(client: &Client, kind: GateKind, open: bool) -> Result<GateState, GateError> {
    let (api, state) = match find(client, kind).await? {
        Ok(found) => found,
        Err(missing) => return Ok(GateState::Missing(missing)),
    };
    if state == if open { GateState::Open } else { GateState::Closed } {
        return Ok(state);
    }
    match answer(kind, api.patch(NAME, &PatchParams::default(), &kind.patch(open))).await? {
        Ok(object) => Ok(kind.state_of(&object)),
        Err(_) => Ok(GateState::Missing(format!("there is no {}", kind.object()))),
    }
}

/// The object, where it is served, and what it says; or why there is none. It is asked for at each version under which it may be served:
/// discovery would need a right that a hardened cluster doesn't give.
async fn find(client: &Client, kind: GateKind) -> Result<Result<(Api<DynamicObject>, GateState), String>, GateError> {
    let spec = kind.spec();
    let mut is_served = false;
    for version in spec.versions {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, version, spec.kind), spec.plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        match answer(kind, api.get(NAME)).await? {
            Ok(object) => return Ok(Ok((api, kind.state_of(&object)))),
            Err(status) => is_served |= names_the_gate(&status),
        }
    }
    Ok(Err(match is_served {
        true => format!("there is no {}", kind.object()),
        false => format!("the API server has no objects of kind {}", spec.kind),
    }))
}

/// The object that is answered with, or how it was said that there is none.
async fn answer(
    kind: GateKind,
    request: impl Future<Output = kube::Result<DynamicObject>>,
) -> Result<Result<Value, Box<Status>>, GateError> {
    let failed = |why: &str| GateError::Failed(format!("{}: {why}", kind.object()));
    match timeout(REQUEST_DEADLINE, request).await {
        Ok(Ok(object)) => serde_json::to_value(&object).map(Ok).map_err(|error| failed(&error.to_string())),
        Ok(Err(Error::Api(status))) if status.code == 404 => Ok(Err(status)),
        Ok(Err(Error::Api(status))) if status.code == 403 => Err(GateError::Forbidden(status.message.clone())),
        Ok(Err(error)) => Err(failed(&with_causes(&error))),
        Err(_) => Err(failed(&format!("no answer within {} s", REQUEST_DEADLINE.as_secs()))),
    }
}

/// Whether the object is missing; otherwise its whole kind is.
fn names_the_gate(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.name == NAME)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// A selector that fits no namespace.
fn for_nobody() -> Value {
    json!({"matchExpressions": [{"key": NAMESPACE_LABEL, "operator": "DoesNotExist"}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(change: &Value) -> Value {
        let mut binding = json!({"spec": {"policyName": NAME, "validationActions": ["Deny"]}});
        json_patch::merge(&mut binding, change);
        binding
    }

    fn configuration(change: &Value) -> Value {
        let mut webhook = json!({"name": WEBHOOK, "failurePolicy": "Fail"});
        json_patch::merge(&mut webhook, change);
        json!({"webhooks": [webhook]})
    }

    fn selecting(selector: Value) -> [(GateKind, Value); 3] {
        let binding =
            binding(&json!({"spec": {"matchResources": {"matchPolicy": "Equivalent", "namespaceSelector": selector}}}));
        [
            (GateKind::Policy, binding.clone()),
            (GateKind::Webhook, configuration(&json!({"namespaceSelector": selector}))),
            (GateKind::Deny, binding),
        ]
    }

    #[test]
    fn one_field_says_whether_it_is_open() {
        for (kind, object) in selecting(for_nobody()) {
            assert_eq!(kind.state_of(&object), GateState::Open, "{kind:?}");
        }
        for (kind, object) in selecting(json!({})).into_iter().chain(selecting(Value::Null)) {
            assert_eq!(kind.state_of(&object), GateState::Closed, "{kind:?}");
        }
        assert_eq!(GateKind::Policy.state_of(&binding(&json!({}))), GateState::Closed, "as it is without the field");
        for (kind, object) in selecting(json!({"matchLabels": {"team": "a"}})) {
            assert!(matches!(kind.state_of(&object), GateState::Other(_)), "{kind:?}");
        }
    }

    #[test]
    fn what_keeps_it_from_acting_is_said() {
        let wrong = [
            (GateKind::Policy, binding(&json!({"spec": {"policyName": "other"}})), "another policy"),
            (GateKind::Deny, binding(&json!({"spec": {"validationActions": ["Audit"]}})), "refuses nothing"),
            (
                GateKind::Deny,
                binding(&json!({"spec": {"matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}}}})),
                "for some objects only",
            ),
            (GateKind::Webhook, json!({"webhooks": []}), "no webhook"),
            (GateKind::Webhook, configuration(&json!({"failurePolicy": "Ignore"})), "lets through"),
        ];
        for (kind, object, words) in wrong {
            let GateState::Other(why) = kind.state_of(&object) else { panic!("{object}") };
            assert!(why.contains(words) && why.contains(NAME), "{why}");
        }
        let defaults = json!({"spec": {"matchResources": {"objectSelector": {}, "matchPolicy": "Equivalent"}}});
        assert_eq!(GateKind::Policy.state_of(&binding(&defaults)), GateState::Closed, "as the API server fills it in");
    }

    #[test]
    fn a_patch_opens_and_closes() {
        for (kind, mut object) in selecting(json!({"matchLabels": {"team": "a"}})) {
            for (open, state) in [(true, GateState::Open), (false, GateState::Closed)] {
                match kind.patch(open) {
                    Patch::Merge(merge) => json_patch::merge(&mut object, &merge),
                    Patch::Json(patch) => json_patch::patch(&mut object, &patch).unwrap(),
                    _ => panic!("no such patch"),
                }
                assert_eq!(kind.state_of(&object), state, "{kind:?}");
            }
        }
    }
}
