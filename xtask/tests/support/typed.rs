//! Manifests as values.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The documents of a file.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The one object of this kind in a file.
pub(crate) fn object<T: DeserializeOwned>(text: &str, kind: &str) -> T {
    let mut found = documents(text).into_iter().filter(|document| document["kind"] == kind);
    let (Some(object), None) = (found.next(), found.next()) else { panic!("not one {kind} in:\n{text}") };
    serde_json::from_value(object).unwrap()
}
