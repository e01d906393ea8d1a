//! Reading and normalising what every Kubernetes object has: its metadata.

use rand::Rng;
use serde_json::{Map, Value, json};

use crate::{
    error::{ApiError, Cause},
    resource::ResourceType,
};

/// The letters of a generated name; without vowels, so that no word is spelled.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

pub(crate) fn meta<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value.get("metadata")?.get(field).filter(|found| !found.is_null())
}

pub(crate) fn meta_text<'a>(value: &'a Value, field: &str) -> &'a str {
    meta(value, field).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn name(value: &Value) -> &str {
    meta_text(value, "name")
}

pub(crate) fn namespace(value: &Value) -> &str {
    meta_text(value, "namespace")
}

pub(crate) fn label<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    meta(value, "labels")?.get(key)?.as_str()
}

pub(crate) fn annotation<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    meta(value, "annotations")?.get(key)?.as_str()
}

pub(crate) fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// Whether a finalizer keeps the object.
pub(crate) fn has_finalizers(value: &Value) -> bool {
    meta(value, "finalizers").and_then(Value::as_array).is_some_and(|finalizers| !finalizers.is_empty())
}

/// The metadata, made into an object where it's something else.
pub(crate) fn meta_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let metadata = &mut value["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    match metadata {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

/// Empty maps and lists of the metadata aren't stored, nor is who manages which field.
pub(crate) fn tidy_metadata(value: &mut Value) {
    let metadata = meta_mut(value);
    metadata.remove("managedFields");
    metadata.remove("selfLink");
    metadata.retain(|_, field| match field {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    });
}

/// Wall-clock time as Kubernetes writes it: whole seconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A name with five random letters behind the prefix.
pub(crate) fn generated_name(prefix: &str) -> String {
    let mut random = rand::rng();
    let suffix = (0..5).map(|_| char::from(SUFFIX_LETTERS[random.random_range(0..SUFFIX_LETTERS.len())]));
    prefix.chars().take(58).chain(suffix).collect()
}

/// Refuses names that aren't DNS subdomains.
pub(crate) fn check_name(resource: &ResourceType, name: &str) -> Result<(), ApiError> {
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 {
        let cause = Cause::value("metadata.name", format!("Invalid value: \"{name}\": must be no more than 253 bytes"));
        return Err(ApiError::invalid(resource, name, &[cause]));
    }
    if name.split('.').all(label) {
        return Ok(());
    }
    let message = format!(
        "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
         '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    );
    Err(ApiError::invalid(resource, name, &[Cause::value("metadata.name", message)]))
}
