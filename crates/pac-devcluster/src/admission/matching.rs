//! Which requests a policy or a webhook is for: rules on groups, versions, operations and resources, and selectors of
//! namespace and object.

use serde_json::Value;

use super::Request;
use crate::label_selector::LabelSelector;

/// Whether a request is within `matchConstraints`, `matchResources` or a webhook's own fields of the same names.
///
/// Without rules every request is. The namespace selector exempts nothing that has no namespace; of an update, the object
/// as it was counts as well as the object as it will be.
pub(super) fn is_for(
    constraints: &Value,
    rules: &str,
    request: &Request,
    objects: [Option<&Value>; 2],
) -> Result<bool, String> {
    Ok(selects_namespace(&constraints["namespaceSelector"], request, objects)?
        && selects_object(&constraints["objectSelector"], objects)?
        && !list(constraints, "excludeResourceRules").any(|rule| rule_covers(rule, request))
        && (list(constraints, rules).next().is_none()
            || list(constraints, rules).any(|rule| rule_covers(rule, request))))
}

/// Whether a rule is for the resource and the operation at all, whatever the object's labels.
pub(super) fn may_be_for(constraints: &Value, rules: &str, request: &Request) -> bool {
    list(constraints, rules).next().is_none() || list(constraints, rules).any(|rule| rule_covers(rule, request))
}

fn selects_namespace(selector: &Value, request: &Request, objects: [Option<&Value>; 2]) -> Result<bool, String> {
    let namespace = match request.resource.plural {
        "namespaces" => objects[0],
        _ if !request.resource.namespaced => return Ok(true),
        _ => request.namespace_object.as_deref(),
    };
    let selector = LabelSelector::parse(selector)?;
    Ok(namespace.is_none_or(|namespace| selector.matches(namespace)))
}

fn selects_object(selector: &Value, objects: [Option<&Value>; 2]) -> Result<bool, String> {
    let selector = LabelSelector::parse(selector)?;
    Ok(selector.is_empty() || objects.into_iter().flatten().any(|object| selector.matches(object)))
}

fn rule_covers(rule: &Value, request: &Request) -> bool {
    let has = |field: &str, wanted: &str| list(rule, field).any(|one| *one == *wanted || *one == "*");
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => request.resource.namespaced,
        Some("Cluster") => !request.resource.namespaced,
        _ => true,
    };
    let mut names = list(rule, "resourceNames").peekable();
    let named = names.peek().is_none() || names.any(|name| *name == *request.name);
    scope
        && named
        && has("apiGroups", request.resource.group)
        && has("apiVersions", request.resource.version)
        && has("operations", request.operation.as_str())
        && list(rule, "resources").filter_map(Value::as_str).any(|pattern| covers_resource(pattern, request))
}

/// `pipelineruns`, `pipelineruns/status`, `pipelineruns/*`, `*/status`, `*`, `*/*`.
fn covers_resource(pattern: &str, request: &Request) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    (resource == "*" || resource == request.resource.plural)
        && (subresource == "*" || subresource == request.subresource)
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{admission::Operation, resource::by_plural};

    fn request(subresource: &'static str) -> Request {
        Request {
            resource: by_plural("pipelineruns").unwrap(),
            subresource,
            operation: Operation::Update,
            namespace: "ci".to_owned(),
            namespace_object: Some(Arc::new(json!({ "metadata": { "labels": { "team": "a" } } }))),
            name: "run".to_owned(),
            dry_run: false,
            caller: String::new(),
            strict: false,
        }
    }

    fn rules(change: &Value) -> Value {
        let mut rule = json!({
            "apiGroups": ["tekton.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["pipelineruns"],
        });
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({ "rules": [rule] })
    }

    fn covers(change: &Value, subresource: &'static str) -> bool {
        is_for(&rules(change), "rules", &request(subresource), [None, None]).unwrap()
    }

    #[test]
    fn a_subresource_is_another_resource() {
        assert!(covers(&json!({}), ""));
        assert!(!covers(&json!({}), "status"));
        for pattern in ["pipelineruns/status", "pipelineruns/*", "*/status", "*/*"] {
            assert!(covers(&json!({ "resources": [pattern] }), "status"), "{pattern}");
        }
        assert!(!covers(&json!({ "resources": ["*"] }), "status"));
    }

    #[test]
    fn every_field_of_a_rule_counts() {
        let others = [
            json!({ "apiGroups": [""] }),
            json!({ "apiVersions": ["v2"] }),
            json!({ "operations": ["CREATE"] }),
            json!({ "scope": "Cluster" }),
            json!({ "resourceNames": ["other"] }),
        ];
        for other in others {
            assert!(!covers(&other, ""), "{other}");
        }
        assert!(covers(&json!({ "scope": "*", "resourceNames": ["other", "run"], "operations": ["*"] }), ""));
        let mut excluded = rules(&json!({}));
        excluded["excludeResourceRules"] = excluded["rules"].clone();
        assert!(!is_for(&excluded, "rules", &request(""), [None, None]).unwrap());
        assert!(is_for(&json!({}), "rules", &request(""), [None, None]).unwrap(), "no rules are no limits");
    }

    #[test]
    fn selectors_look_at_the_namespace_and_at_either_object() {
        let selected = |field: &str, selector: Value, objects: [Option<&Value>; 2]| {
            is_for(&json!({ field: selector }), "rules", &request(""), objects).unwrap()
        };
        assert!(selected("namespaceSelector", json!({ "matchLabels": { "team": "a" } }), [None, None]));
        assert!(selected("namespaceSelector", json!({}), [None, None]));
        let nobody = json!({ "matchExpressions": [{ "key": "team", "operator": "DoesNotExist" }] });
        assert!(!selected("namespaceSelector", nobody, [None, None]));
        let (old, new) = (json!({ "metadata": { "labels": { "x": "1" } } }), json!({ "metadata": {} }));
        let wanted = json!({ "matchExpressions": [{ "key": "x", "operator": "In", "values": ["1"] }] });
        assert!(selected("objectSelector", wanted.clone(), [Some(&new), Some(&old)]));
        assert!(!selected("objectSelector", wanted, [Some(&new), None]));
        let odd = json!({ "objectSelector": { "matchExpressions": [{ "key": "x", "operator": "Like" }] } });
        assert!(is_for(&odd, "rules", &request(""), [None, None]).is_err());
    }
}
