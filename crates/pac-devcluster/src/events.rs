//! Events exist once and are served in two forms: `v1`, in which they're stored, and `events.k8s.io/v1`.

use serde_json::{Map, Value, json};

/// Field names that differ: stored, then served under `events.k8s.io/v1`.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The stored form of what came in under `events.k8s.io/v1`.
pub(crate) fn to_stored(value: Value) -> Value {
    renamed(value, "v1", |(stored, served)| (served, stored))
}

/// The form of a stored event under `events.k8s.io/v1`.
pub(crate) fn to_served(value: Value) -> Value {
    renamed(value, "events.k8s.io/v1", |(stored, served)| (stored, served))
}

/// The fields that a stored event always has.
pub(crate) fn complete(value: &mut Value) {
    for (field, default) in [
        ("involvedObject", json!({})),
        ("source", json!({})),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
        ("eventTime", Value::Null),
        ("reportingComponent", json!("")),
        ("reportingInstance", json!("")),
    ] {
        if value.get(field).is_none() {
            value[field] = default;
        }
    }
    value["apiVersion"] = json!("v1");
}

fn renamed(
    value: Value,
    api_version: &str,
    pair: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    let Value::Object(mut fields) = value else { return value };
    let mut result = Map::new();
    for (from, to) in RENAMED.map(pair) {
        if let Some(field) = fields.remove(from) {
            result.insert(to.to_owned(), field);
        }
    }
    result.append(&mut fields);
    if result.contains_key("apiVersion") {
        result.insert("apiVersion".to_owned(), json!(api_version));
    }
    Value::Object(result)
}
