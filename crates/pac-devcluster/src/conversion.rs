//! Resources that are served in another version or group than the one they are stored in.

use serde_json::{Value, json};

use crate::{
    events,
    resource::{self, ResourceType},
};

/// Whether the resource is served in another form than the stored one.
pub(crate) fn is_converted(resource: &ResourceType) -> bool {
    storage(resource).is_some_and(|storage| storage.api_version() != resource.api_version())
}

/// The stored form of what came in.
pub(crate) fn to_stored(resource: &ResourceType, value: Value) -> Value {
    match storage(resource).filter(|_| is_converted(resource)) {
        None => value,
        Some(_) if resource.plural == "events" => events::to_stored(value),
        Some(storage) => with_version(value, storage),
    }
}

/// The served form of a stored object.
pub(crate) fn to_served(resource: &ResourceType, value: Value) -> Value {
    match is_converted(resource) {
        false => value,
        true if resource.plural == "events" => events::to_served(value),
        true => with_version(value, resource),
    }
}

fn storage(resource: &ResourceType) -> Option<&'static ResourceType> {
    resource::by_plural(resource.plural)
}

/// The versions of all other resources have the same fields.
fn with_version(mut value: Value, resource: &ResourceType) -> Value {
    if value.get("apiVersion").is_some() {
        value["apiVersion"] = json!(resource.api_version());
    }
    value
}
