//! RBAC: whether roles and bindings, as they are stored now, let somebody do something.

use std::sync::Arc;

use serde_json::Value;

use super::Identity;
use crate::{label_selector::LabelSelector, object, store::Store};

/// What is to be done: `resourceAttributes`, or the path and verb of `nonResourceAttributes`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    /// Empty for every namespace at once, and for what has none.
    pub(crate) namespace: String,
    pub(crate) group: String,
    /// With its subresource, as `pods/log`.
    pub(crate) resource: String,
    pub(crate) name: String,
    /// A path that is no resource's.
    pub(crate) path: Option<String>,
}

/// What allows it, in the words of a real API server; none if nothing does.
pub(crate) fn allowed(store: &Store, who: &Identity, what: &Attributes) -> Option<String> {
    if who.groups.contains("system:masters") {
        return Some(String::new());
    }
    let all = objects(store, "clusterrolebindings", None);
    let here = (!what.namespace.is_empty()).then(|| objects(store, "rolebindings", Some(&what.namespace)));
    all.iter().chain(here.iter().flatten()).find_map(|binding| {
        let subject = items(binding, "/subjects").find(|subject| is_of(subject, who, object::namespace(binding)))?;
        let rules = rules_of(store, binding)?;
        rules.iter().any(|rule| covers(rule, what)).then(|| reason(binding, subject))
    })
}

fn objects(store: &Store, plural: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
    store.list(plural, namespace, "").unwrap_or_default()
}

fn items<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    object::text_at(value, pointer).unwrap_or_default()
}

fn is_of(subject: &Value, who: &Identity, bindings_namespace: &str) -> bool {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "User" => name == who.name,
        "Group" => who.groups.contains(name),
        "ServiceAccount" => {
            let namespace = object::text_at(subject, "/namespace").unwrap_or(bindings_namespace);
            who.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

/// The rules of the role that a binding names, with those that are aggregated into it.
fn rules_of(store: &Store, binding: &Value) -> Option<Vec<Value>> {
    let name = text(binding, "/roleRef/name");
    if text(binding, "/roleRef/kind") == "Role" {
        return Some(items(&*store.get("roles", object::namespace(binding), name)?, "/rules").cloned().collect());
    }
    let role = store.get("clusterroles", "", name)?;
    let mut rules: Vec<Value> = items(&role, "/rules").cloned().collect();
    let selectors = items(&role, "/aggregationRule/clusterRoleSelectors").map(LabelSelector::parse);
    let selectors: Vec<_> = selectors.filter_map(Result::ok).collect();
    for other in objects(store, "clusterroles", None) {
        if selectors.iter().any(|selector| selector.matches(&other)) {
            rules.extend(items(&other, "/rules").cloned());
        }
    }
    Some(rules)
}

fn covers(rule: &Value, what: &Attributes) -> bool {
    let has = |field: &str, wanted: &str| items(rule, field).any(|found| found == wanted || found == "*");
    if !has("/verbs", &what.verb) {
        return false;
    }
    if let Some(path) = &what.path {
        return items(rule, "/nonResourceURLs").filter_map(Value::as_str).any(|url| match url.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => url == path,
        });
    }
    let named = rule.pointer("/resourceNames").and_then(Value::as_array).is_some_and(|names| !names.is_empty());
    has("/apiGroups", &what.group)
        && has("/resources", &what.resource)
        && (!named || items(rule, "/resourceNames").any(|name| name == what.name.as_str()))
}

fn reason(binding: &Value, subject: &Value) -> String {
    let (name, namespace) = (object::name(binding), object::namespace(binding));
    let binding = match namespace {
        "" => format!("ClusterRoleBinding \"{name}\""),
        namespace => format!("RoleBinding \"{name}/{namespace}\""),
    } + &format!(" of {} \"{}\"", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
    let (kind, subject_name) = (text(subject, "/kind"), text(subject, "/name"));
    let subject = match kind {
        "ServiceAccount" => {
            format!("{kind} \"{subject_name}/{}\"", object::text_at(subject, "/namespace").unwrap_or(namespace))
        }
        kind => format!("{kind} \"{subject_name}\""),
    };
    format!("RBAC: allowed by {binding} to {subject}")
}
