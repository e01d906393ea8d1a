//! Objects as a watch shows them: one that can't be read must not keep the others from being seen (P10).

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error};

use super::fields::Fields;

/// A kind of object of which a few fields are read.
pub trait Read {
    /// Which.
    const FIELDS: Fields;
}

/// An object, or its name and what is wrong with it. Unlike kube's guard it keeps nothing of the object but [`Read::FIELDS`],
/// and copies nothing.
#[derive(Debug, Clone)]
pub struct Readable<K>(pub Result<K, Unreadable>);

/// An object whose fields are not what they should be.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct Unreadable {
    /// Its metadata, as far as they are read.
    pub metadata: ObjectMeta,
    why: String,
}

// === impl Readable ===

impl<'de, K: Read + Resource + DeserializeOwned> Deserialize<'de> for Readable<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = K::FIELDS.deserialize(deserializer)?;
        let object = K::deserialize(&read).map(Ok).or_else(|why| {
            let partial = PartialObjectMeta::<K>::deserialize(&read).map_err(D::Error::custom)?;
            Ok(Err(Unreadable { metadata: partial.metadata, why: why.to_string() }))
        });
        object.map(Readable)
    }
}

impl<K: Resource> Resource for Readable<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use kube::core::WatchEvent;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::PipelineRun;

    fn run(patch: &Value) -> Value {
        let mut run = json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "namespace": "ns", "name": "a", "uid": "1", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:07Z", "managedFields": [{"manager": "pac"}],
                "annotations": {"pipelinesascode.tekton.dev/state": "queued", "other": "x"},
            },
            "spec": {"status": "PipelineRunPending", "pipelineSpec": {"tasks": []}},
            "status": {"conditions": [{"type": "Succeeded", "status": "Unknown", "message": "m"}], "results": []},
        });
        json_patch::merge(&mut run, patch);
        run
    }

    #[test]
    fn it_has_what_is_read_of_it_and_nothing_else() {
        let read: Readable<PipelineRun> = serde_json::from_value(run(&json!({}))).unwrap();
        assert_eq!(read.resource_version().as_deref(), Some("7"), "the watch goes on from there");
        let read = read.0.unwrap();
        assert_eq!(read.spec.status.as_deref(), Some("PipelineRunPending"));
        assert_eq!(read.status.unwrap().conditions[0].status, "Unknown");
        assert_eq!(read.metadata.annotations.unwrap().len(), 1);
        assert_eq!(read.metadata.managed_fields, None);
    }

    #[test]
    fn one_that_is_not_what_it_should_be_has_its_name_and_says_what_is_wrong() {
        for wrong in [json!({"spec": {"status": 5}}), json!({"spec": "x"}), json!({"status": {"conditions": 1}})] {
            let read: Readable<PipelineRun> = serde_json::from_value(run(&wrong)).unwrap();
            assert_eq!((read.name_any(), read.uid().as_deref()), ("a".to_owned(), Some("1")));
            let unreadable = read.0.unwrap_err().to_string();
            assert!(unreadable.contains("invalid type"), "{unreadable}");
        }
    }

    #[test]
    fn an_event_is_read_in_whatever_order_its_fields_come() {
        for order in [["type", "object"], ["object", "type"]] {
            let field = |name| if name == "type" { "\"MODIFIED\"".to_owned() } else { run(&json!({})).to_string() };
            let fields = order.map(|name| format!("\"{name}\":{}", field(name))).join(",");
            let event: WatchEvent<Readable<PipelineRun>> = serde_json::from_str(&format!("{{{fields}}}")).unwrap();
            assert!(matches!(event, WatchEvent::Modified(run) if run.0.is_ok()));
        }
    }
}
