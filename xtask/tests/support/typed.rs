//! Manifests as the API server would take them: by k8s-openapi's types, with unknown fields refused.

use k8s_openapi::api::admissionregistration::v1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The documents of a file.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The one object of this kind in a file.
pub(crate) fn object<T: DeserializeOwned>(text: &str, kind: &str) -> T {
    let mut found = documents(text).into_iter().filter(|document| document["kind"] == kind);
    let (Some(object), None) = (found.next(), found.next()) else { panic!("not one {kind} in:\n{text}") };
    serde_json::from_value(object).unwrap()
}

/// Why a document is not as its type has it, if it isn't. A field that the type doesn't know doesn't come back.
pub(crate) fn problem(document: &Value) -> Option<String> {
    let kind = document["kind"].as_str().unwrap_or_default();
    match (document["apiVersion"].as_str().unwrap_or_default(), kind) {
        ("v1", "ConfigMap") => same::<ConfigMap>(document),
        ("v1", "Secret") => same::<Secret>(document),
        ("v1", "Service") => same::<Service>(document),
        ("v1", "ServiceAccount") => same::<ServiceAccount>(document),
        // A patch has no selector, which the type insists on.
        ("apps/v1", "Deployment") if document["spec"].get("selector").is_none() => patch_problem(document),
        ("apps/v1", "Deployment") => same::<Deployment>(document),
        ("networking.k8s.io/v1", "NetworkPolicy") => same::<NetworkPolicy>(document),
        ("policy/v1", "PodDisruptionBudget") => same::<PodDisruptionBudget>(document),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => same::<ClusterRole>(document),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => same::<ClusterRoleBinding>(document),
        ("rbac.authorization.k8s.io/v1", "Role") => same::<Role>(document),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => same::<RoleBinding>(document),
        ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy") => same::<MutatingAdmissionPolicy>(document),
        ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding") => {
            same::<MutatingAdmissionPolicyBinding>(document)
        }
        ("scheduling.k8s.io/v1", "PriorityClass") => same::<PriorityClass>(document),
        // No type of k8s-openapi's; their specs are small structs of ours.
        ("monitoring.coreos.com/v1", "ServiceMonitor" | "PrometheusRule") => same::<ObjectMeta>(&document["metadata"]),
        (version, kind) => Some(format!("nobody knows {version} {kind}")),
    }
}

fn patch_problem(document: &Value) -> Option<String> {
    let spec = document["spec"].as_object()?;
    if spec.keys().ne(["template"]) {
        return Some(format!("the patch changes more than the template: {:?}", spec.keys()));
    }
    same::<ObjectMeta>(&document["metadata"]).or_else(|| same::<PodTemplateSpec>(&document["spec"]["template"]))
}

fn same<T: DeserializeOwned + Serialize>(document: &Value) -> Option<String> {
    let typed: T = match serde_json::from_value(document.clone()) {
        Ok(typed) => typed,
        Err(error) => return Some(error.to_string()),
    };
    let back = serde_json::to_value(&typed).unwrap();
    (back != *document).then(|| format!("reads back as {back}\ninstead of    {document}"))
}
