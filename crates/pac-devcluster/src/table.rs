//! Lists as `kubectl get` wants them: rows of printer columns, computed by the server.

use serde_json::{Value, json};

use crate::{
    object,
    resource::{Column, ResourceType},
};

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although \
     some resources may allow a client to request the generation of an appropriate name automatically. Name is \
     primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: \
     https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// How much of each object a row carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    Nothing,
    #[default]
    Metadata,
    Object,
}

/// A Table of some objects; `metadata` is the list's.
pub(crate) fn table<'a>(
    resource: &ResourceType,
    include: IncludeObject,
    metadata: Value,
    objects: impl Iterator<Item = &'a Value>,
) -> Value {
    let now = jiff::Timestamp::now();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": column_definitions(resource),
        "rows": objects.map(|object| row(resource, include, object, now)).collect::<Vec<_>>(),
    })
}

fn column_definitions(resource: &ResourceType) -> Vec<Value> {
    let name =
        json!({ "name": "Name", "type": "string", "format": "name", "description": NAME_DESCRIPTION, "priority": 0 });
    let others = resource.columns.iter().map(|column| {
        let kind = if resource.custom { column.kind } else { "string" };
        let description = format!("Custom resource definition column (in JSONPath format): {}", column.path);
        json!({ "name": column.name, "type": kind, "format": "", "description": description, "priority": 0 })
    });
    std::iter::once(name).chain(others).collect()
}

fn row(resource: &ResourceType, include: IncludeObject, value: &Value, now: jiff::Timestamp) -> Value {
    let name = json!(object::name(value));
    let cells = resource.columns.iter().map(|column| cell(column, value, now));
    let cells: Vec<Value> = std::iter::once(name).chain(cells).collect();
    match include {
        IncludeObject::Nothing => json!({ "cells": cells }),
        IncludeObject::Metadata => json!({ "cells": cells, "object": partial_metadata(value) }),
        IncludeObject::Object => json!({ "cells": cells, "object": value }),
    }
}

/// The object with nothing but its metadata.
pub(crate) fn partial_metadata(value: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"] })
}

fn cell(column: &Column, value: &Value, now: jiff::Timestamp) -> Value {
    if let Some(path) = column.path.strip_prefix("count:") {
        let count = find(value, path).map_or(0, |found| match found {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        });
        return json!(count.to_string());
    }
    if let Some(path) = column.path.strip_prefix("object:") {
        let Some(reference) = find(value, path) else { return Value::Null };
        let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
        return json!(format!("{}/{}", text("kind").to_lowercase(), text("name")));
    }
    let Some(found) = find(value, column.path) else { return Value::Null };
    match (column.kind, found) {
        ("date", Value::String(time)) => match time.parse::<jiff::Timestamp>() {
            Ok(time) => json!(human_duration(now.as_second() - time.as_second())),
            Err(_) => json!("<invalid>"),
        },
        (_, Value::String(text)) => json!(text),
        (_, other) => json!(other.to_string()),
    }
}

/// The paths that occur in printer columns: fields, and a list's item with a certain type.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let Some((list, rest)) = path.split_once("[?(@.type==\"") else {
        return path.split('.').filter(|field| !field.is_empty()).try_fold(value, |value, field| value.get(field));
    };
    let (wanted, rest) = rest.split_once("\")]")?;
    let items = find(value, list)?.as_array()?;
    find(items.iter().find(|item| object::text_at(item, "/type") == Some(wanted))?, rest)
}

/// A duration as kubectl shortens it: `45s`, `4h24m`, `12d`.
fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days, years) = (seconds / 60, seconds / 3600, seconds / 86_400, seconds / (86_400 * 365));
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_writes_them() {
        let cases = [(0, "0s"), (119, "119s"), (120, "2m"), (15_840, "4h24m"), (14_400, "4h"), (200_000, "2d7h")];
        for (seconds, text) in cases {
            assert_eq!(human_duration(seconds), text);
        }
    }

    #[test]
    fn a_condition_is_found_by_its_type() {
        let value = json!({ "status": { "conditions": [{ "type": "A" }, { "type": "Succeeded", "status": "True" }] } });
        let path = ".status.conditions[?(@.type==\"Succeeded\")].status";
        assert_eq!(find(&value, path), Some(&json!("True")));
    }
}
