//! The bodies in which kubectl and Helm send core objects: `kubectl create namespace|configmap|secret` sends protobuf, and so does
//! who deletes one by a typed client.
//!
//! Only that direction and only those kinds are read; answers are JSON, which every client takes.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// What a field is, and where it goes.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    Time,
    Texts,
    TextMap,
    ByteMap,
    Message(&'static [Field]),
}

type Field = (u64, &'static str, Kind);

const METADATA: &[Field] = &[
    (1, "name", Kind::Text),
    (2, "generateName", Kind::Text),
    (3, "namespace", Kind::Text),
    (5, "uid", Kind::Text),
    (6, "resourceVersion", Kind::Text),
    (7, "generation", Kind::Number),
    (8, "creationTimestamp", Kind::Time),
    (11, "labels", Kind::TextMap),
    (12, "annotations", Kind::TextMap),
    (14, "finalizers", Kind::Texts),
];
const PLAIN: &[Field] = &[(1, "metadata", Kind::Message(METADATA))];
const CONFIG_MAP: &[Field] = &[
    (1, "metadata", Kind::Message(METADATA)),
    (2, "data", Kind::TextMap),
    (3, "binaryData", Kind::ByteMap),
    (4, "immutable", Kind::Flag),
];
const SECRET: &[Field] = &[
    (1, "metadata", Kind::Message(METADATA)),
    (2, "data", Kind::ByteMap),
    (3, "type", Kind::Text),
    (4, "stringData", Kind::TextMap),
    (5, "immutable", Kind::Flag),
];
const DELETE_OPTIONS: &[Field] = &[
    (1, "gracePeriodSeconds", Kind::Number),
    (2, "preconditions", Kind::Message(&[(1, "uid", Kind::Text), (2, "resourceVersion", Kind::Text)])),
    (4, "propagationPolicy", Kind::Text),
    (5, "dryRun", Kind::Texts),
];
const TOKEN_REQUEST: &[Field] = &[
    (1, "metadata", Kind::Message(METADATA)),
    (2, "spec", Kind::Message(&[(1, "audiences", Kind::Texts), (4, "expirationSeconds", Kind::Number)])),
    (3, "status", Kind::Message(&[(1, "token", Kind::Text), (2, "expirationTimestamp", Kind::Time)])),
];
const ACCESS_REVIEW: &[Field] = &[
    (1, "metadata", Kind::Message(METADATA)),
    (2, "spec", Kind::Message(&[(1, "resourceAttributes", Kind::Message(RESOURCE_ATTRIBUTES))])),
    (3, "status", Kind::Message(&[(1, "allowed", Kind::Flag)])),
];
const RESOURCE_ATTRIBUTES: &[Field] = &[
    (1, "namespace", Kind::Text),
    (2, "verb", Kind::Text),
    (3, "group", Kind::Text),
    (4, "version", Kind::Text),
    (5, "resource", Kind::Text),
    (6, "subresource", Kind::Text),
    (7, "name", Kind::Text),
];
/// The envelope: `runtime.Unknown`.
const ENVELOPE: &[Field] = &[(1, "type", Kind::Message(&[(1, "apiVersion", Kind::Text), (2, "kind", Kind::Text)]))];

/// The object in a body, or `None` if it isn't one of the known kinds or is malformed.
pub(crate) fn object(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"k8s\0")?;
    let envelope = message(body, ENVELOPE)?;
    let kind = envelope.pointer("/type/kind")?.as_str()?;
    let fields = match kind {
        "Namespace" | "ServiceAccount" => PLAIN,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "DeleteOptions" => DELETE_OPTIONS,
        "TokenRequest" => TOKEN_REQUEST,
        "SelfSubjectAccessReview" => ACCESS_REVIEW,
        _ => return None,
    };
    let raw = Reader(body).find_map(|(number, wire)| match wire {
        Wire::Bytes(bytes) if number == 2 => Some(bytes),
        _ => None,
    })?;
    let mut value = message(raw, fields)?;
    value["apiVersion"] = envelope.pointer("/type/apiVersion")?.clone();
    value["kind"] = json!(kind);
    Some(value)
}

fn message(bytes: &[u8], fields: &[Field]) -> Option<Value> {
    let mut result = Map::new();
    for (number, wire) in Reader(bytes) {
        let Some((_, name, kind)) = fields.iter().find(|(known, ..)| *known == number) else { continue };
        let target = result.entry((*name).to_owned());
        match (kind, wire) {
            (Kind::Text, Wire::Bytes(bytes)) => *target.or_insert(Value::Null) = text(bytes)?,
            (Kind::Number, Wire::Number(number)) => *target.or_insert(Value::Null) = json!(number),
            (Kind::Flag, Wire::Number(number)) => *target.or_insert(Value::Null) = json!(number != 0),
            (Kind::Texts, Wire::Bytes(bytes)) => {
                target.or_insert_with(|| json!([])).as_array_mut()?.push(text(bytes)?);
            }
            (Kind::TextMap, Wire::Bytes(bytes)) => {
                let (key, value) = map_entry(bytes)?;
                target.or_insert_with(|| json!({}))[key] = text(value)?;
            }
            (Kind::ByteMap, Wire::Bytes(bytes)) => {
                let (key, value) = map_entry(bytes)?;
                target.or_insert_with(|| json!({}))[key] = json!(STANDARD.encode(value));
            }
            (Kind::Message(fields), Wire::Bytes(bytes)) => {
                *target.or_insert(Value::Null) = message(bytes, fields)?;
            }
            // Times are the server's to set.
            (Kind::Time, _) => {}
            _ => return None,
        }
    }
    Some(Value::Object(result))
}

fn text(bytes: &[u8]) -> Option<Value> {
    std::str::from_utf8(bytes).ok().map(|text| json!(text))
}

fn map_entry(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Reader(bytes) {
        match field {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => return None,
        }
    }
    Some((String::from_utf8(key.to_vec()).ok()?, value))
}

/// The fields of a message; ends at the first byte that makes no sense.
struct Reader<'a>(&'a [u8]);

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (u64, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.number()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.number()?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubectl_sends_for_a_config_map() {
        let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x0d\x0a\x03\x0a\x01x\x12\x06\x0a\x01a\x12\x01b";
        let expected =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x" }, "data": { "a": "b" } });
        assert_eq!(object(body), Some(expected));
    }

    #[test]
    fn garbage_is_refused() {
        for body in [&b"nope"[..], b"k8s\0", b"k8s\0\xff\xff\xff", b"k8s\0\x0a\xff\x01"] {
            assert_eq!(object(body), None);
        }
    }
}
