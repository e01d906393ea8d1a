//! What becomes of an update: which parts of it count, and what the server itself keeps or counts up.

use serde_json::{Value, json};

use super::{Part, prepare};
use crate::{
    error::{ApiError, Cause},
    object,
    resource::ResourceType,
};

/// Fields of the metadata that only the server sets.
const SERVER_FIELDS: [&str; 7] =
    ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "name", "namespace", "uid"];

/// The object an update leads to, still with the current resourceVersion; equal to `current` if nothing changes.
pub(super) fn updated_object(
    resource: &ResourceType,
    part: Part,
    current: &Value,
    mut desired: Value,
) -> Result<Value, ApiError> {
    check_identity(resource, current, &desired)?;
    if part == Part::Status {
        desired = with_status_of(current.clone(), &mut desired);
    } else if resource.status {
        let mut status = current.clone();
        desired = with_status_of(desired, &mut status);
    }
    check_uid(resource, current, &desired)?;
    restore_server_fields(current, &mut desired);
    prepare::complete_update(resource, &mut desired);
    object::tidy_metadata(&mut desired);
    prepare::check_schema(resource, &desired)?;
    if resource.has_generation() && content_differs(resource, current, &desired) {
        let generation = object::meta(current, "generation").and_then(Value::as_u64).unwrap_or_default() + 1;
        object::meta_mut(&mut desired).insert("generation".to_owned(), json!(generation));
    }
    Ok(desired)
}

fn check_identity(resource: &ResourceType, current: &Value, desired: &Value) -> Result<(), ApiError> {
    let name = object::name(current);
    let given = object::name(desired);
    if !given.is_empty() && given != name {
        let message = format!("the name of the object ({given}) does not match the name on the URL ({name})");
        return Err(ApiError::bad_request(message));
    }
    let version = object::meta_text(desired, "resourceVersion");
    if !version.is_empty() && version != object::meta_text(current, "resourceVersion") {
        return Err(ApiError::modified(resource, name));
    }
    Ok(())
}

fn check_uid(resource: &ResourceType, current: &Value, desired: &Value) -> Result<(), ApiError> {
    let uid = object::meta_text(desired, "uid");
    if uid.is_empty() || uid == object::meta_text(current, "uid") {
        return Ok(());
    }
    let cause = Cause::value("metadata.uid", format!("Invalid value: \"{uid}\": field is immutable"));
    // A real server validates the metadata of a custom resource twice, and says so twice.
    let causes = if resource.custom { vec![cause.clone(), cause] } else { vec![cause] };
    Err(ApiError::invalid(resource, object::name(current), &causes))
}

fn with_status_of(mut value: Value, other: &mut Value) -> Value {
    let status = other.as_object_mut().and_then(|map| map.remove("status"));
    if let Some(map) = value.as_object_mut() {
        match status {
            Some(status) => map.insert("status".to_owned(), status),
            None => map.remove("status"),
        };
    }
    value
}

fn restore_server_fields(current: &Value, desired: &mut Value) {
    for field in ["apiVersion", "kind"] {
        desired[field] = current[field].clone();
    }
    let metadata = object::meta_mut(desired);
    for field in SERVER_FIELDS.into_iter().chain(["resourceVersion"]) {
        match object::meta(current, field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

/// Whether anything but the metadata, and the status where it's a subresource, differs.
fn content_differs(resource: &ResourceType, current: &Value, desired: &Value) -> bool {
    let content = |value: &Value| -> Vec<(String, Value)> {
        let ignored = |key: &str| key == "metadata" || (resource.status && key == "status");
        let map = value.as_object().into_iter().flatten();
        map.filter(|(key, _)| !ignored(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    content(current) != content(desired)
}
