//! The gate `policy`: a MutatingAdmissionPolicy, by which the API server itself renames PAC's annotation.

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    JSONPatch, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingAdmissionPolicyBindingSpec,
    MutatingAdmissionPolicySpec, Mutation,
};

use super::{KEPT, OWN, bound_to, conditions, constraints, fail};
use crate::deploy::manifest::{Document, Manifest, Purpose};
use crate::deploy::names::{GATE, cluster_wide};
use crate::deploy::variant::Variant;

const STORY: &str = "\
Keeps PAC's own in-memory queue out of the way. PAC's watcher starts a queued PipelineRun by itself once it finds the \
annotation pipelinesascode.tekton.dev/execution-order on it. While the binding's namespaceSelector is empty, whoever brings \
that annotation has it renamed; while it selects no namespace, nothing is renamed. Our watcher sets the selector as \
concurrency-enabled says.

Kubernetes 1.36 has this kind of object, 1.34 a beta. docs/companion.md has other gates for older ones.
";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let documents = vec![Document::of(&policy())?, Document::of(&binding(variant))?];
    Ok(Manifest { file: "execution-order-policy.yaml", purpose: Purpose::Own, story: STORY.to_owned(), documents })
}

fn policy() -> MutatingAdmissionPolicy {
    let path = |name: &str| format!("\"/metadata/annotations/\" + jsonpatch.escapeKey(\"{name}\")");
    let expression = format!(
        "[\n  JSONPatch{{op: \"add\", path: {}, value: object.metadata.annotations[\"{OWN}\"]}},\n  \
         JSONPatch{{op: \"remove\", path: {}}}\n]",
        path(KEPT),
        path(OWN)
    );
    let mutation = Mutation {
        patch_type: "JSONPatch".to_owned(),
        json_patch: Some(JSONPatch { expression: Some(expression) }),
        apply_configuration: None,
    };
    MutatingAdmissionPolicy {
        metadata: cluster_wide(GATE),
        spec: Some(MutatingAdmissionPolicySpec {
            failure_policy: fail(),
            match_conditions: Some(conditions()),
            match_constraints: Some(constraints()),
            mutations: Some(vec![mutation]),
            // Another mutation after this one may bring the annotation.
            reinvocation_policy: Some("IfNeeded".to_owned()),
            ..MutatingAdmissionPolicySpec::default()
        }),
    }
}

fn binding(variant: &Variant) -> MutatingAdmissionPolicyBinding {
    MutatingAdmissionPolicyBinding {
        metadata: cluster_wide(GATE),
        spec: Some(MutatingAdmissionPolicyBindingSpec {
            policy_name: Some(GATE.to_owned()),
            match_resources: Some(bound_to(variant)),
            ..MutatingAdmissionPolicyBindingSpec::default()
        }),
    }
}
