//! The kinds of patch: JSON patch, merge patch, strategic merge and server-side apply.

use serde_json::{Map, Value};

use crate::error::ApiError;

/// RFC 6902; a failed test, or an operation whose path isn't there, refuses the whole patch.
pub(crate) fn json_patch(current: &Value, operations: &Value) -> Result<Value, ApiError> {
    let operations: json_patch::Patch = serde_json::from_value(operations.clone())
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let mut patched = current.clone();
    for operation in &operations.0 {
        if !tests_absence(operation, &patched) {
            json_patch::patch_unsafe(&mut patched, std::slice::from_ref(operation))
                .map_err(|_| ApiError::patch_refused())?;
        }
    }
    Ok(patched)
}

/// To a kube-apiserver, a path that isn't there equals null; to RFC 6902 it doesn't.
fn tests_absence(operation: &json_patch::PatchOperation, value: &Value) -> bool {
    match operation {
        json_patch::PatchOperation::Test(test) => test.value.is_null() && value.pointer(test.path.as_str()).is_none(),
        _ => false,
    }
}

/// RFC 7386.
pub(crate) fn merge_patch(current: &Value, patch: &Value) -> Value {
    let mut patched = current.clone();
    json_patch::merge(&mut patched, patch);
    patched
}

/// Server-side apply without owners: what is applied is set, and what isn't mentioned stays.
///
/// What a real server does more: it refuses fields that another manager owns. `previous` is what this manager applied
/// last: what of it isn't applied any more is removed. Lists of built-in kinds (not `custom` ones) merge by their key, and their
/// selectors are replaced whole.
pub(crate) fn apply(current: &Value, previous: Option<&Value>, applied: &Value, custom: bool) -> Value {
    let mut result = current.clone();
    if let Some(previous) = previous {
        remove_dropped(&mut result, previous, applied, custom);
    }
    set_all("", &mut result, applied, custom);
    result
}

fn remove_dropped(target: &mut Value, previous: &Value, applied: &Value, custom: bool) {
    let (Value::Object(target), Value::Object(previous)) = (target, previous) else { return };
    for (key, before) in previous {
        if let (Some(Value::Array(items)), Value::Array(before)) = (target.get_mut(key), before)
            && let Some(merge_key) = merge_key(key, before).filter(|_| !custom)
        {
            let now = applied.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            items.retain(|item| same(before, merge_key, item).is_none() || same(now, merge_key, item).is_some());
            for item in items {
                if let (Some(before), Some(now)) = (same(before, merge_key, item), same(now, merge_key, item)) {
                    remove_dropped(item, before, now, custom);
                }
            }
            continue;
        }
        match (applied.get(key), target.get_mut(key)) {
            (None, Some(Value::Object(_))) if before.is_object() => {
                if let Some(child) = target.get_mut(key) {
                    remove_dropped(child, before, &Value::Object(Map::new()), custom);
                    if child.as_object().is_some_and(Map::is_empty) {
                        target.remove(key);
                    }
                }
            }
            (None, _) => drop(target.remove(key)),
            (Some(now), Some(child)) => remove_dropped(child, before, now, custom),
            (Some(_), None) => {}
        }
    }
}

fn set_all(field: &str, target: &mut Value, applied: &Value, custom: bool) {
    match (target, applied) {
        (Value::Object(target), Value::Object(applied)) if custom || !is_atomic(field) => {
            for (key, value) in applied {
                set_all(key, target.entry(key.clone()).or_insert(Value::Null), value, custom);
            }
        }
        (Value::Array(items), Value::Array(applied)) if !custom && merge_key(field, applied).is_some() => {
            let key = merge_key(field, applied).unwrap_or_default();
            for value in applied {
                match items.iter_mut().find(|item| item.get(key) == value.get(key)) {
                    Some(item) => set_all("", item, value, custom),
                    None => items.push(value.clone()),
                }
            }
        }
        (target, applied) => *target = applied.clone(),
    }
}

/// Whether a map has one owner: that of a label selector, or a Service's selector.
fn is_atomic(field: &str) -> bool {
    matches!(field, "selector" | "labelSelector" | "namespaceSelector" | "objectSelector" | "podSelector")
}

/// The item that has the same key as `wanted`.
fn same<'a>(items: &'a [Value], key: &str, wanted: &Value) -> Option<&'a Value> {
    items.iter().find(|item| item.get(key).is_some() && item.get(key) == wanted.get(key))
}

/// By what the items of a list are told apart, if they are.
fn merge_key(field: &str, items: &[Value]) -> Option<&'static str> {
    let key = match field {
        "ownerReferences" => "uid",
        "conditions" => "type",
        "ports" => "containerPort",
        "volumeMounts" => "mountPath",
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" | "secrets" | "webhooks"
        | "matchConditions" | "variables" => "name",
        _ => return None,
    };
    items.iter().all(|item| item.get(key).is_some()).then_some(key)
}

/// Strategic merge as far as the core types served here need it: lists of objects merge by their key, and the
/// `$patch`, `$retainKeys`, `$setElementOrder` and `$deleteFromPrimitiveList` directives are understood.
pub(crate) fn strategic_merge(current: &Value, patch: &Value) -> Value {
    let (Value::Object(current), Value::Object(patch)) = (current, patch) else { return patch.clone() };
    let mut result = match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => Map::new(),
        _ => current.clone(),
    };
    if let Some(Value::Array(retained)) = patch.get("$retainKeys") {
        result.retain(|key, _| retained.iter().any(|kept| kept.as_str() == Some(key)));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            remove_items(&mut result, list, value);
        } else if !key.starts_with('$') {
            merge_field(&mut result, key, value);
        }
    }
    Value::Object(result)
}

fn remove_items(target: &mut Map<String, Value>, list: &str, removed: &Value) {
    if let (Some(Value::Array(items)), Value::Array(removed)) = (target.get_mut(list), removed) {
        items.retain(|item| !removed.contains(item));
    }
}

fn merge_field(target: &mut Map<String, Value>, key: &str, value: &Value) {
    let merged = match (target.get(key), value) {
        (_, Value::Null) => {
            target.remove(key);
            return;
        }
        (Some(current), Value::Object(_)) => strategic_merge(current, value),
        (None, Value::Object(_)) => strategic_merge(&Value::Object(Map::new()), value),
        (Some(Value::Array(current)), Value::Array(changes)) => merge_list(key, current, changes),
        (None, Value::Array(changes)) => merge_list(key, &[], changes),
        _ => value.clone(),
    };
    target.insert(key.to_owned(), merged);
}

fn merge_list(field: &str, current: &[Value], changes: &[Value]) -> Value {
    if field == "finalizers" {
        let new = changes.iter().filter(|change| !current.contains(change));
        return current.iter().chain(new).cloned().collect();
    }
    let Some(key) = merge_key(field, changes) else { return Value::Array(changes.to_vec()) };
    let mut result = current.to_vec();
    for change in changes {
        let place = result.iter().position(|item| item.get(key).is_some() && item.get(key) == change.get(key));
        match (place, change.get("$patch").and_then(Value::as_str)) {
            (Some(place), Some("delete")) => drop(result.remove(place)),
            (None, Some("delete")) => {}
            (Some(place), _) => result[place] = strategic_merge(&result[place], change),
            (None, _) => result.push(change.clone()),
        }
    }
    Value::Array(result)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_applied_whole_and_a_directive_is_no_item() {
        let current = json!({ "spec": { "namespaceSelector": { "matchExpressions": [1] } } });
        let applied = json!({ "spec": { "namespaceSelector": {} } });
        assert_eq!(apply(&current, Some(&applied), &applied, false), applied);
        let patch = json!({ "volumes": [{ "name": "a", "$patch": "delete" }] });
        assert_eq!(strategic_merge(&json!({}), &patch), json!({ "volumes": [] }));
    }

    #[test]
    fn apply_keeps_what_others_set_and_drops_what_its_manager_dropped() {
        let current = json!({ "data": { "mine": "1", "old": "1", "theirs": "1" } });
        let previous = json!({ "data": { "mine": "0", "old": "1" } });
        let applied = json!({ "data": { "mine": "2" } });
        assert_eq!(
            apply(&current, Some(&previous), &applied, false),
            json!({ "data": { "mine": "2", "theirs": "1" } })
        );
        assert_eq!(
            apply(&current, None, &applied, false),
            json!({ "data": { "mine": "2", "old": "1", "theirs": "1" } })
        );
    }

    #[test]
    fn apply_tells_containers_apart_by_name_where_the_kind_is_built_in() {
        let mine = json!({ "name": "mine", "env": [], "dropped": true });
        let current = json!({ "containers": [{ "name": "theirs" }, mine, { "name": "old" }] });
        let previous = json!({ "containers": [{ "name": "old" }, { "name": "mine", "dropped": true }] });
        let applied = json!({ "containers": [{ "name": "mine", "image": "2" }] });
        let merged = json!({ "containers": [{ "name": "theirs" }, { "name": "mine", "env": [], "image": "2" }] });
        assert_eq!(apply(&current, Some(&previous), &applied, false), merged);
        assert_eq!(apply(&current, Some(&previous), &applied, true), applied);
    }

    #[test]
    fn a_test_for_null_holds_where_nothing_is() {
        let operations = json!([{ "op": "test", "path": "/a/b", "value": null }, { "op": "remove", "path": "/c" }]);
        assert_eq!(json_patch(&json!({ "c": 1 }), &operations).unwrap(), json!({}));
        let error = json_patch(&json!({ "a": { "b": 1 }, "c": 1 }), &operations).unwrap_err();
        assert_eq!(error.code, 422);
    }

    #[test]
    fn strategic_merge_merges_lists_by_key() {
        let current = json!({ "containers": [{ "name": "a", "image": "1" }, { "name": "b", "image": "1" }], "x": 1 });
        let patch =
            json!({ "containers": [{ "name": "b", "image": "2" }, { "name": "a", "$patch": "delete" }], "x": null });
        assert_eq!(strategic_merge(&current, &patch), json!({ "containers": [{ "name": "b", "image": "2" }] }));
    }
}
