//! Policies and bindings as they are stored: with the API server's defaults, and only if their expressions compile.

use serde_json::{Value, json};

use crate::{
    error::{ApiError, Cause},
    expression, object,
    resource::ResourceType,
};

/// Fills in what wasn't said.
pub(super) fn complete(resource: &ResourceType, value: &mut Value) {
    match resource.plural {
        "mutatingadmissionpolicies" | "validatingadmissionpolicies" => {
            default(&mut value["spec"], "failurePolicy", json!("Fail"));
            complete_match(&mut value["spec"], "matchConstraints");
        }
        "mutatingadmissionpolicybindings" | "validatingadmissionpolicybindings" => {
            complete_match(&mut value["spec"], "matchResources");
        }
        _ => {}
    }
}

/// An expression that doesn't compile refuses the whole policy.
pub(super) fn check(resource: &ResourceType, value: &Value) -> Result<(), ApiError> {
    if resource.group != "admissionregistration.k8s.io" {
        return Ok(());
    }
    let mut causes = Vec::new();
    collect_causes("spec", &value["spec"], &mut causes);
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(resource, object::name(value), &causes)) }
}

fn complete_match(spec: &mut Value, field: &str) {
    let Some(constraints) = spec.get_mut(field).filter(|constraints| constraints.is_object()) else { return };
    default(constraints, "matchPolicy", json!("Equivalent"));
    default(constraints, "namespaceSelector", json!({}));
    default(constraints, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        complete_rules(constraints, rules);
    }
}

fn complete_rules(value: &mut Value, field: &str) {
    let rules = value.get_mut(field).and_then(Value::as_array_mut);
    rules.into_iter().flatten().for_each(|rule| default(rule, "scope", json!("*")));
}

fn default(value: &mut Value, field: &str, default: Value) {
    if value.is_object() && value[field].is_null() {
        value[field] = default;
    }
}

/// Expressions are told by their fields' names.
fn collect_causes(path: &str, value: &Value, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                match value.as_str() {
                    Some(text) if matches!(key.as_str(), "expression" | "messageExpression") => {
                        if let Err(problem) = expression::compile(text) {
                            causes.push(Cause::value(&path, format!("Invalid value: {text:?}: {problem}")));
                        }
                    }
                    _ => collect_causes(&path, value, causes),
                }
            }
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| collect_causes(&format!("{path}[{index}]"), item, causes));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::by_plural;

    #[test]
    fn selectors_that_were_not_given_are_empty_ones() {
        let mut binding = json!({ "spec": { "matchResources": { "resourceRules": [{}], "namespaceSelector": null } } });
        complete(by_plural("validatingadmissionpolicybindings").unwrap(), &mut binding);
        let expected = json!({
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{ "scope": "*" }],
        });
        assert_eq!(binding["spec"]["matchResources"], expected);
    }

    #[test]
    fn an_expression_that_does_not_compile_is_named() {
        let policy = json!({ "metadata": { "name": "p" }, "spec": { "validations": [{ "expression": "object." }] } });
        let error = check(by_plural("validatingadmissionpolicies").unwrap(), &policy).unwrap_err();
        let said = "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: spec.validations[0].expression: \
                    Invalid value: \"object.\": compilation failed: ";
        assert!(error.message.starts_with(said), "{}", error.message);
    }
}
