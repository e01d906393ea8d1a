//! The built-in kinds' schemas, as k8s-openapi's types have them: what isn't one of their fields is refused where the
//! client asks for strict validation, and a value of another type always.

use k8s_openapi::api::{
    admissionregistration::v1::{
        MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
        ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
    },
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret, Service, ServiceAccount},
    discovery::v1::EndpointSlice,
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    scheduling::v1::PriorityClass,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{error::ApiError, resource::ResourceType};

/// Refuses a value that isn't of its resource's type; other resources take anything.
pub(crate) fn check(resource: &ResourceType, value: &Value, strict: bool) -> Result<(), ApiError> {
    let typed = match resource.plural {
        "configmaps" => read::<ConfigMap>(value),
        "secrets" => read::<Secret>(value),
        "services" => read::<Service>(value),
        "serviceaccounts" => read::<ServiceAccount>(value),
        "deployments" => read::<Deployment>(value),
        "clusterroles" => read::<ClusterRole>(value),
        "clusterrolebindings" => read::<ClusterRoleBinding>(value),
        "roles" => read::<Role>(value),
        "rolebindings" => read::<RoleBinding>(value),
        "networkpolicies" => read::<NetworkPolicy>(value),
        "poddisruptionbudgets" => read::<PodDisruptionBudget>(value),
        "priorityclasses" => read::<PriorityClass>(value),
        "mutatingadmissionpolicies" => read::<MutatingAdmissionPolicy>(value),
        "mutatingadmissionpolicybindings" => read::<MutatingAdmissionPolicyBinding>(value),
        "validatingadmissionpolicies" => read::<ValidatingAdmissionPolicy>(value),
        "validatingadmissionpolicybindings" => read::<ValidatingAdmissionPolicyBinding>(value),
        "mutatingwebhookconfigurations" => read::<MutatingWebhookConfiguration>(value),
        "validatingwebhookconfigurations" => read::<ValidatingWebhookConfiguration>(value),
        "endpointslices" => read::<EndpointSlice>(value),
        _ => return Ok(()),
    };
    let typed = typed.map_err(|error| {
        let kind = resource.kind;
        let message = format!("{kind} in version \"{}\" cannot be handled as a {kind}: {error}", resource.version);
        ApiError::bad_request(message)
    })?;
    let mut unknown = Vec::new();
    if strict {
        collect_unknown("", value, &typed, &mut unknown);
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!("strict decoding error: {}", unknown.join(", ")))),
    }
}

/// The value as its type has it; a field that the type doesn't know doesn't come back.
fn read<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
    // kubectl says which version and kind it means, but a patch's result needn't.
    serde_json::from_value::<T>(value.clone()).and_then(serde_json::to_value)
}

fn collect_unknown(path: &str, given: &Value, known: &Value, unknown: &mut Vec<String>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match known.get(key) {
                    Some(known) => collect_unknown(&path, value, known, unknown),
                    None => unknown.push(format!("unknown field \"{path}\"")),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                collect_unknown(&format!("{path}[{index}]"), given, known, unknown);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::by_plural;

    fn problem(plural: &str, value: &Value, strict: bool) -> Option<String> {
        check(by_plural(plural).unwrap(), value, strict).err().map(|error| error.message)
    }

    #[test]
    fn a_field_that_nobody_knows_is_named() {
        let value = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a", "creationTimestamp": null },
            "spec": { "selector": {}, "template": { "spec": { "containers": [{ "name": "a", "imagee": "b" }] } } },
        });
        let said = "strict decoding error: unknown field \"spec.template.spec.containers[0].imagee\"";
        assert_eq!(problem("deployments", &value, true).as_deref(), Some(said));
        assert_eq!(problem("deployments", &value, false), None);
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let value = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "a": 1 } });
        let said = problem("configmaps", &value, false).unwrap();
        assert!(said.starts_with("ConfigMap in version \"v1\" cannot be handled as a ConfigMap: "), "{said}");
    }
}
