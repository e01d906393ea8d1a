//! Policies, bindings and webhook configurations as they are stored: with the API server's defaults, and only if their
//! expressions compile and their webhooks can be called.

use serde_json::{Value, json};

use crate::{
    error::{ApiError, Cause},
    expression, https, object,
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
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => {
            let webhooks = value.get_mut("webhooks").and_then(Value::as_array_mut);
            let is_mutating = resource.plural.starts_with("mutating");
            webhooks.into_iter().flatten().for_each(|webhook| complete_webhook(webhook, is_mutating));
        }
        _ => {}
    }
}

fn complete_webhook(webhook: &mut Value, is_mutating: bool) {
    default(webhook, "failurePolicy", json!("Fail"));
    default(webhook, "matchPolicy", json!("Equivalent"));
    default(webhook, "namespaceSelector", json!({}));
    default(webhook, "objectSelector", json!({}));
    default(webhook, "timeoutSeconds", json!(10));
    if is_mutating {
        default(webhook, "reinvocationPolicy", json!("Never"));
    }
    if let Some(service) = webhook.pointer_mut("/clientConfig/service") {
        default(service, "port", json!(443));
    }
    complete_rules(webhook, "rules");
}

/// An expression that doesn't compile refuses the whole object, as does a webhook that can't be called.
pub(super) fn check(resource: &ResourceType, value: &Value) -> Result<(), ApiError> {
    if resource.group != "admissionregistration.k8s.io" {
        return Ok(());
    }
    let mut causes = Vec::new();
    collect_causes("spec", &value["spec"], &mut causes);
    collect_causes("webhooks", &value["webhooks"], &mut causes);
    for (index, webhook) in value["webhooks"].as_array().into_iter().flatten().enumerate() {
        check_webhook(&format!("webhooks[{index}]"), webhook, &mut causes);
    }
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(resource, object::name(value), &causes)) }
}

fn check_webhook(path: &str, webhook: &Value, causes: &mut Vec<Cause>) {
    let mut invalid = |field: &str, message: String| causes.push(Cause::value(&format!("{path}.{field}"), message));
    let name = webhook["name"].as_str().unwrap_or_default();
    if name.split('.').filter(|segment| !segment.is_empty()).count() < 3 {
        let message = "should be a domain with at least three segments separated by dots";
        invalid("name", format!("Invalid value: {name:?}: {message}"));
    }
    let effects = webhook["sideEffects"].as_str().unwrap_or_default();
    if !matches!(effects, "None" | "NoneOnDryRun") {
        let message = format!("Unsupported value: {effects:?}: supported values: \"None\", \"NoneOnDryRun\"");
        invalid("sideEffects", message);
    }
    let versions = webhook["admissionReviewVersions"].as_array();
    if !versions.into_iter().flatten().any(|version| version == "v1") {
        let message = "Invalid value: must include at least one of v1, v1beta1";
        invalid("admissionReviewVersions", message.to_owned());
    }
    let timeout = webhook["timeoutSeconds"].as_u64().unwrap_or_default();
    if !(1..=30).contains(&timeout) {
        let message = "the timeout value must be between 1 and 30 seconds";
        invalid("timeoutSeconds", format!("Invalid value: {timeout}: {message}"));
    }
    let config = &webhook["clientConfig"];
    if config["url"].is_string() == config["service"].is_object() {
        let message = "Required value: exactly one of url or service is required";
        invalid("clientConfig", message.to_owned());
    }
    if let Err(problem) = https::roots(config["caBundle"].as_str().unwrap_or_default()) {
        invalid("clientConfig.caBundle", format!("Invalid value: {problem}"));
    }
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
