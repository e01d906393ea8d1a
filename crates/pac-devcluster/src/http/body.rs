//! Request bodies: JSON or YAML in, the stored form out.

use serde_json::Value;

use super::{Call, Target};
use crate::{conversion, error::ApiError, object, protobuf, resource::ResourceType};

/// The object in the body, checked against the resource it was sent to.
pub(super) fn object_of(call: &Call, target: &Target) -> Result<Value, ApiError> {
    let value = parse(call, target.resource)?;
    if !value.is_object() {
        return Err(unrecognized(target.resource, "the body isn't an object"));
    }
    check_kind(target.resource, &value)?;
    Ok(conversion::to_stored(target.resource, value))
}

/// The name in the body of a create, or what its generated name starts with; empty if there's none.
pub(super) fn name_in(call: &Call) -> String {
    let value: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let (name, prefix) = (object::name(&value), object::meta_text(&value, "generateName"));
    if name.is_empty() { prefix.to_owned() } else { name.to_owned() }
}

pub(super) fn yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_yaml::from_slice(bytes).map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
}

/// The body as it is, whatever object it is.
pub(super) fn parse(call: &Call, resource: &ResourceType) -> Result<Value, ApiError> {
    if call.content_type.contains("yaml") {
        return yaml(&call.body);
    }
    if call.content_type.contains("protobuf") {
        return protobuf::object(&call.body)
            .ok_or_else(|| ApiError::unsupported_media_type("application/json, application/yaml"));
    }
    serde_json::from_slice(&call.body).map_err(|error| {
        let text = String::from_utf8_lossy(&call.body);
        let problem = go_problem(&text).unwrap_or_else(|| error.to_string());
        unrecognized(resource, &format!("json parse error: {problem} ({text})"))
    })
}

fn unrecognized(resource: &ResourceType, problem: &str) -> ApiError {
    let kind = resource.kind;
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; {problem}"
    ))
}

/// The most usual syntax error in the words of Go's parser, which clients see in messages.
fn go_problem(text: &str) -> Option<String> {
    let letter = text.trim_start().strip_prefix('{')?.trim_start().chars().next()?;
    let expected = letter != '"' && letter != '}';
    expected.then(|| format!("invalid character '{letter}' looking for beginning of object key string"))
}

fn check_kind(resource: &ResourceType, value: &Value) -> Result<(), ApiError> {
    let version = object::text_at(value, "/apiVersion").unwrap_or_default();
    let kind = object::text_at(value, "/kind").unwrap_or_default();
    let expected = resource.api_version();
    if !version.is_empty() && version != expected {
        let message =
            format!("the API version in the data ({version}) does not match the expected API version ({expected})");
        return Err(ApiError::bad_request(message));
    }
    if !kind.is_empty() && kind != resource.kind {
        let message = format!("{kind} in version \"{version}\" cannot be handled as a {}", resource.kind);
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}
