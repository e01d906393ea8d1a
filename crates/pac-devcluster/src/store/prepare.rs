//! What the server fills in and checks before an object is stored for the first time.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::definition;
use crate::{
    error::{ApiError, Cause},
    events, object,
    resource::{self, ResourceType},
};

/// The object to store: named, identified, without what a client can't set.
pub(super) fn new_object(resource: &ResourceType, namespace: &str, mut value: Value) -> Result<Value, ApiError> {
    if !object::meta_text(&value, "resourceVersion").is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let given = object::namespace(&value);
    if resource.namespaced && !given.is_empty() && given != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(ApiError::bad_request(message));
    }
    let name = name_of(resource, &value)?;
    object::check_name(resource, &name)?;
    identify(resource, namespace, &name, &mut value);
    if resource.status
        && let Some(map) = value.as_object_mut()
    {
        map.remove("status");
    }
    complete(resource, &mut value);
    object::tidy_metadata(&mut value);
    check_schema(resource, &value)?;
    Ok(value)
}

fn name_of(resource: &ResourceType, value: &Value) -> Result<String, ApiError> {
    let name = object::name(value);
    let prefix = object::meta_text(value, "generateName");
    match (name, prefix) {
        ("", "") => {
            let cause = Cause {
                reason: "FieldValueRequired",
                message: "Required value: name or generateName is required".to_owned(),
                field: "metadata.name".to_owned(),
            };
            Err(ApiError::invalid(resource, "", &[cause]))
        }
        ("", prefix) => Ok(object::generated_name(prefix)),
        (name, _) => Ok(name.to_owned()),
    }
}

fn identify(resource: &ResourceType, namespace: &str, name: &str, value: &mut Value) {
    let metadata = object::meta_mut(value);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        metadata.remove(field);
    }
    metadata.insert("name".to_owned(), json!(name));
    metadata.insert("namespace".to_owned(), json!(namespace));
    metadata.insert("uid".to_owned(), json!(Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".to_owned(), json!(object::now()));
    if resource.has_generation() {
        metadata.insert("generation".to_owned(), json!(1));
    }
    value["apiVersion"] = json!(resource::by_plural(resource.plural).unwrap_or(resource).api_version());
    value["kind"] = json!(resource.kind);
}

/// Defaults and conversions that depend on the kind.
pub(super) fn complete(resource: &ResourceType, value: &mut Value) {
    match resource.plural {
        "secrets" => complete_secret(value),
        "events" => events::complete(value),
        "namespaces" => {
            let name = object::name(value).to_owned();
            object::meta_mut(value).entry("labels").or_insert_with(|| json!({}));
            value["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            value["spec"] = json!({ "finalizers": ["kubernetes"] });
            value["status"] = json!({ "phase": "Active" });
        }
        "pods" if value.get("status").is_none() => value["status"] = json!({ "phase": "Pending" }),
        _ => definition::complete(resource, value),
    }
}

fn complete_secret(value: &mut Value) {
    let plain = value.as_object_mut().and_then(|map| map.remove("stringData"));
    if let Some(Value::Object(plain)) = plain {
        for (key, text) in plain {
            value["data"][key] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
    if object::text_at(value, "/type").is_none_or(str::is_empty) {
        value["type"] = json!("Opaque");
    }
}

/// The part of the schemas that clients run into.
pub(super) fn check_schema(resource: &ResourceType, value: &Value) -> Result<(), ApiError> {
    let name = object::name(value);
    if resource.plural != "repositories" {
        return definition::check(resource, value);
    }
    let Some(limit) = value.pointer("/spec/concurrency_limit") else { return Ok(()) };
    let field = "spec.concurrency_limit";
    let cause = match limit {
        Value::Number(number) if number.as_i64().is_some_and(|limit| limit >= 1) => return Ok(()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Cause::value(
            field,
            format!("Invalid value: {number}: {field} in body should be greater than or equal to 1"),
        ),
        other => {
            let found = type_name(other);
            let message = format!("Invalid value: \"{found}\": {field} in body must be of type integer: \"{found}\"");
            Cause { reason: "FieldValueTypeInvalid", ..Cause::value(field, message) }
        }
    };
    Err(ApiError::invalid(resource, name, &[cause]))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What an update needs of [`complete`].
pub(super) fn complete_update(resource: &ResourceType, value: &mut Value) {
    match resource.plural {
        "secrets" => complete_secret(value),
        "events" => events::complete(value),
        _ => definition::complete(resource, value),
    }
}
