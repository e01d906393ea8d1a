//! Companion mode: the policy that keeps PAC's own queue out of the way while the concurrency system is on.
//!
//! PAC's watcher puts a queued run into its in-memory queue, and starts it from there, only if the run has the annotation
//! execution-order. While the system is on, the API server itself keeps that annotation under another name, which our
//! watcher reads as well; while it is off, it gives it back. Both happen when a run is written, by whomever.

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    JSONPatch, MatchCondition, MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
    MutatingAdmissionPolicyBindingSpec, MutatingAdmissionPolicySpec, Mutation, NamedRuleWithOperations, ParamKind,
    ParamRef, Variable,
};
use pac_config::keys;

use super::manifest::{Document, Manifest, Purpose};
use super::names::{CONFIG_MAP, POLICY, cluster_wide};
use super::variant::Variant;

/// PAC's name of the annotation, and where it is kept. The watcher reads both.
const NAMES: [&str; 2] =
    ["pipelinesascode.tekton.dev/execution-order", "concurrency.pipelinesascode.tekton.dev/execution-order"];

const STORY: &str = "\
Keeps PAC's own in-memory queue out of the way. PAC's watcher starts a queued PipelineRun by itself once it finds the \
annotation pipelinesascode.tekton.dev/execution-order on it. While concurrency-enabled is true in the ConfigMap \
pac-concurrency, whoever writes a PipelineRun has that annotation renamed; once it isn't, whoever writes it has the name put \
back. A value that is neither true nor false, or none, counts as true here, since the watcher keeps its last good settings \
then, or has them from PAC's ConfigMap. Without the ConfigMap nothing is renamed.

Kubernetes 1.36 has this kind of object. docs/companion.md says what to do with an older one.
";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let documents = vec![Document::of(&policy())?, Document::of(&binding(&variant.namespace))?];
    Ok(Manifest { file: "execution-order-policy.yaml", purpose: Purpose::Own, story: STORY.to_owned(), documents })
}

fn policy() -> MutatingAdmissionPolicy {
    let [own, kept] = NAMES;
    // Off is what says so. A value that is neither, or none, leaves the watcher as it was, perhaps at work, and then two
    // queues would start runs; with nobody starting any, the mistake is seen, and nothing is lost.
    let enabled = format!(
        r#"!(params.?data[?"{}"].orValue("").trim().lowerAscii() in ["false", "no", "0"])"#,
        keys::CONCURRENCY_ENABLED
    );
    let annotations = "object.metadata.?annotations.orValue({})";
    // With both names there, PAC's is the newer one; while the system is off it is where it belongs. Conditions can't use
    // variables, so that this says again what those say.
    let condition = format!(
        "{enabled}\n  ? \"{own}\" in {annotations}\n  : \"{kept}\" in {annotations} && !(\"{own}\" in {annotations})"
    );
    let variable = |name: &str, expression: String| Variable { name: name.to_owned(), expression };
    let variables = vec![
        variable("enabled", enabled),
        variable("from", format!("variables.enabled ? \"{own}\" : \"{kept}\"")),
        variable("to", format!("variables.enabled ? \"{kept}\" : \"{own}\"")),
    ];
    let path = |name: &str| format!("\"/metadata/annotations/\" + jsonpatch.escapeKey(variables.{name})");
    let expression = format!(
        "[\n  JSONPatch{{op: \"add\", path: {}, value: object.metadata.annotations[variables.from]}},\n  \
         JSONPatch{{op: \"remove\", path: {}}}\n]",
        path("to"),
        path("from")
    );
    let mutation = Mutation {
        patch_type: "JSONPatch".to_owned(),
        json_patch: Some(JSONPatch { expression: Some(expression) }),
        apply_configuration: None,
    };
    MutatingAdmissionPolicy {
        metadata: cluster_wide(POLICY),
        spec: Some(MutatingAdmissionPolicySpec {
            // The expressions can't fail; if they do all the same, a run that is not written is seen at once, and one
            // that PAC starts beside the limit is not.
            failure_policy: Some("Fail".to_owned()),
            match_conditions: Some(vec![MatchCondition {
                name: "has-the-other-name".to_owned(),
                expression: condition,
            }]),
            match_constraints: Some(constraints()),
            mutations: Some(vec![mutation]),
            param_kind: Some(ParamKind { api_version: Some("v1".to_owned()), kind: Some("ConfigMap".to_owned()) }),
            // Another mutation after this one may bring the annotation.
            reinvocation_policy: Some("IfNeeded".to_owned()),
            variables: Some(variables),
        }),
    }
}

fn constraints() -> MatchResources {
    let owned = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let rule = NamedRuleWithOperations {
        api_groups: owned(&["tekton.dev"]),
        api_versions: owned(&["v1"]),
        operations: owned(&["CREATE", "UPDATE"]),
        resources: owned(&["pipelineruns"]),
        scope: Some("Namespaced".to_owned()),
        resource_names: None,
    };
    // Equivalent: those written as v1beta1 are looked at as v1.
    let equivalent = Some("Equivalent".to_owned());
    MatchResources { resource_rules: Some(vec![rule]), match_policy: equivalent, ..MatchResources::default() }
}

fn binding(namespace: &str) -> MutatingAdmissionPolicyBinding {
    let settings = ParamRef {
        name: Some(CONFIG_MAP.to_owned()),
        namespace: Some(namespace.to_owned()),
        // No settings: the system is off, and was never on.
        parameter_not_found_action: Some("Allow".to_owned()),
        selector: None,
    };
    MutatingAdmissionPolicyBinding {
        metadata: cluster_wide(POLICY),
        spec: Some(MutatingAdmissionPolicyBindingSpec {
            policy_name: Some(POLICY.to_owned()),
            param_ref: Some(settings),
            match_resources: None,
        }),
    }
}
