//! The scale subresource of Deployments, which `kubectl scale` writes.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Reply, Server, Target, respond};
use crate::{
    error::ApiError,
    object, patch,
    store::{Key, Part},
};

// === impl Server ===

impl Server {
    pub(super) fn scale(&self, call: &Call, target: &Target, verb: &str) -> Result<Reply, ApiError> {
        let (namespace, name) = (target.namespace.as_deref().unwrap_or_default(), target.name.as_deref());
        let name = name.unwrap_or_default();
        let merge = |call: &Call| {
            serde_json::from_slice::<Value>(&call.body)
                .map_err(|error| ApiError::bad_request(format!("error decoding Scale: {error}")))
        };
        let found = match verb {
            "get" => self.store.get_stored(target.resource, namespace, name),
            "patch" | "update" => {
                let change = merge(call)?;
                let replicas = change.pointer("/spec/replicas").cloned().unwrap_or(Value::Null);
                let merge = json!({ "spec": { "replicas": replicas } });
                let dry_run = call.query.dry_run();
                let mut scaled = |current: &Value| Ok(patch::merge_patch(current, &merge));
                let key = Key::new(namespace, name);
                Some(self.store.update_object(target.resource, &key, Part::Main, dry_run, &mut scaled)?.stored)
            }
            _ => return Err(ApiError::method_not_allowed()),
        };
        let found = found.ok_or_else(|| ApiError::not_found(target.resource, name))?;
        Ok(respond::json(StatusCode::OK, &of(&found.object)))
    }
}

fn of(deployment: &Value) -> Value {
    let metadata = |field: &str| object::meta(deployment, field).cloned();
    let number = |pointer: &str| deployment.pointer(pointer).cloned().unwrap_or(json!(0));
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata("name"), "namespace": metadata("namespace"), "uid": metadata("uid"),
            "resourceVersion": metadata("resourceVersion"), "creationTimestamp": metadata("creationTimestamp"),
        },
        "spec": { "replicas": number("/spec/replicas") },
        "status": { "replicas": number("/status/replicas") },
    })
}
