//! The gate of companion mode: what keeps PAC's own queue out of the way while the concurrency system is on.
//!
//! PAC's watcher puts a queued run into its in-memory queue, and starts it from there, only if the run has the annotation
//! execution-order. The API server asks the gate about each write that brings it: a `policy` and a `webhook` rename it, `deny`
//! refuses the write. Nobody else's write, and no creation, is any of the gate's business.
//!
//! A gate is open while the system is off, and closed while it is on. It is open by a namespace selector that no namespace
//! matches, in one object, which is all that the watcher may change of it: an API server takes that up within milliseconds, while one that
//! has read a ConfigMap for a policy may stop seeing it change (kubernetes issue 130887).

mod deny;
mod policy;
mod webhook;

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{MatchCondition, MatchResources, NamedRuleWithOperations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::manifest::Manifest;
use super::options::Gate;
use super::variant::Variant;

/// PAC's name of the annotation, and where it is kept. The watcher reads both.
const OWN: &str = "pipelinesascode.tekton.dev/execution-order";
const KEPT: &str = "concurrency.pipelinesascode.tekton.dev/execution-order";
/// What the watcher writes together with PAC's annotation when it gives it back.
const HANDED_BACK: &str = "concurrency.pipelinesascode.tekton.dev/handed-back";

// === impl Gate ===

impl Gate {
    /// The file.
    pub(super) fn manifest(self, variant: &Variant) -> Result<Manifest> {
        match self {
            Self::Policy => policy::manifest(variant),
            Self::Webhook => webhook::manifest(variant),
            Self::Deny => deny::manifest(variant),
        }
    }
}

/// The port that the webhook is served on.
pub(super) const WEBHOOK_PORT: u16 = 9443;

/// Says of the namespaces of a gate whether it is closed: then all; no namespace is without its name. Written in both cases,
/// so that an apply overrules whoever changed it last.
fn namespaces(variant: &Variant) -> LabelSelector {
    let nowhere = LabelSelectorRequirement {
        key: "kubernetes.io/metadata.name".to_owned(),
        operator: "DoesNotExist".to_owned(),
        values: None,
    };
    LabelSelector { match_expressions: (!variant.settings.enabled).then(|| vec![nowhere]), match_labels: None }
}

/// The binding's part of that.
fn bound_to(variant: &Variant) -> MatchResources {
    MatchResources { namespace_selector: Some(namespaces(variant)), ..MatchResources::default() }
}

/// All must hold for a write to be looked at: it brings PAC's annotation, and not from us. A run that has it already keeps it through
/// other writes: it is PAC's.
fn conditions() -> Vec<MatchCondition> {
    let condition = |name: &str, expression: String| MatchCondition { name: name.to_owned(), expression };
    vec![
        condition("brings-pacs-annotation", brings(OWN)),
        condition("is-not-handed-back", format!("!({})", brings(HANDED_BACK))),
    ]
}

/// Whether the new object has an annotation that the old one didn't have, or had with another value.
fn brings(name: &str) -> String {
    let [new, old] = ["object", "oldObject"].map(|of| format!("{of}.metadata.?annotations.orValue({{}})"));
    format!(
        "\"{name}\" in {new}\n  && (!(\"{name}\" in {old})\n    || object.metadata.annotations[\"{name}\"] != oldObject.metadata.annotations[\"{name}\"])"
    )
}

/// Which writes are looked at: PAC never creates a run with the annotation, and a gate that is away must not keep it from creating any.
fn writes() -> NamedRuleWithOperations {
    NamedRuleWithOperations {
        api_groups: owned(&["tekton.dev"]),
        api_versions: owned(&["v1"]),
        operations: owned(&["UPDATE"]),
        resources: owned(&["pipelineruns"]),
        scope: Some("Namespaced".to_owned()),
        resource_names: None,
    }
}

/// Those written as v1beta1 are looked at as v1.
fn equivalent() -> Option<String> {
    Some("Equivalent".to_owned())
}

fn constraints() -> MatchResources {
    MatchResources { resource_rules: Some(vec![writes()]), match_policy: equivalent(), ..MatchResources::default() }
}

/// What isn't certain is refused: PAC reports its one write that failed, and gets over it, while a run that it starts beside the limit
/// shows nowhere.
fn fail() -> Option<String> {
    Some("Fail".to_owned())
}

fn owned(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}
