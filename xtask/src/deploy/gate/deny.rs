//! The gate `deny`: a ValidatingAdmissionPolicy, by which the API server refuses the write that brings PAC's annotation.

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation,
};

use super::{bound_to, conditions, constraints, fail};
use crate::deploy::manifest::{Document, Manifest, Purpose};
use crate::deploy::names::{GATE, cluster_wide};
use crate::deploy::variant::Variant;

const STORY: &str = "\
Keeps PAC's own in-memory queue out of the way. PAC's watcher starts a queued PipelineRun by itself once it finds the \
annotation pipelinesascode.tekton.dev/execution-order on it. While the binding's namespaceSelector is empty, the one write \
that brings that annotation is refused, which PAC reports as an Event of the Repository and gets over; while it selects no \
namespace, nothing is refused. Our watcher sets the selector as concurrency-enabled says. Runs of one webhook event are then \
in the order of their names, which is PAC's, too.

Kubernetes has this kind of object from 1.30 on.
";

const MESSAGE: &str = "the concurrency system queues this PipelineRun, in the order of names within its event; Pipelines-as-Code's \
                       own queue must not have it, and nothing is lost";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let documents = vec![Document::of(&policy())?, Document::of(&binding(variant))?];
    Ok(Manifest { file: "execution-order-policy.yaml", purpose: Purpose::Own, story: STORY.to_owned(), documents })
}

fn policy() -> ValidatingAdmissionPolicy {
    let never = Validation {
        expression: "false".to_owned(),
        message: Some(MESSAGE.to_owned()),
        reason: Some("Forbidden".to_owned()),
        message_expression: None,
    };
    ValidatingAdmissionPolicy {
        metadata: cluster_wide(GATE),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: fail(),
            match_conditions: Some(conditions()),
            match_constraints: Some(constraints()),
            validations: Some(vec![never]),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    }
}

fn binding(variant: &Variant) -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: cluster_wide(GATE),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: GATE.to_owned(),
            match_resources: Some(bound_to(variant)),
            validation_actions: vec!["Deny".to_owned()],
            param_ref: None,
        },
    }
}
