//! The store as tests and the Tekton player use it: no HTTP, plural names for resources, plain JSON.

use std::{net::SocketAddr, sync::Arc};

use serde_json::{Value, json};

use super::{Key, Part, Preconditions, Store};
use crate::{
    error::ApiError,
    object, patch,
    resource::{self, ResourceType},
    selector::Filter,
};

// === impl Store ===

impl Store {
    /// Creates the namespace unless it exists.
    pub fn ensure_namespace(&self, name: &str) {
        if let Some(namespaces) = resource::by_plural("namespaces") {
            let namespace = json!({ "metadata": { "name": name } });
            // Somebody else's creation serves as well.
            let _ = self.create_object(namespaces, "", namespace, false);
        }
    }

    /// Has the first port of a Service lead to these addresses from now on, and to no others.
    pub fn serve_service(&self, namespace: &str, name: &str, addresses: &[SocketAddr]) {
        let selector = format!("kubernetes.io/service-name={name}");
        for slice in self.list("endpointslices", Some(namespace), &selector).unwrap_or_default() {
            // Somebody else may have been quicker.
            let _ = self.delete("endpointslices", namespace, object::name(&slice));
        }
        let service = self.get("services", namespace, name);
        let port_name = service.and_then(|service| service.pointer("/spec/ports/0/name").cloned());
        for address in addresses {
            let slice = json!({
                "metadata": { "generateName": format!("{name}-"), "labels": { "kubernetes.io/service-name": name } },
                "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
                "endpoints": [{ "addresses": [address.ip().to_string()], "conditions": { "ready": true } }],
                "ports": [{ "name": port_name, "port": address.port(), "protocol": "TCP" }],
            });
            // It can only be refused where the namespace is missing, and then there is no such Service.
            let _ = self.create("endpointslices", namespace, slice);
        }
    }

    /// Creates an object of the resource with this plural name, such as `pipelineruns`.
    ///
    /// # Errors
    /// As the API server would refuse it.
    pub fn create(&self, resource: &str, namespace: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        let stored = self.create_object(known(resource)?, namespace, object, false)?;
        Ok(Arc::clone(&stored.object))
    }

    /// The newest version of an object.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let stored = self.get_stored(resource::by_plural(resource)?, namespace, name)?;
        Some(Arc::clone(&stored.object))
    }

    /// The objects of a namespace, or of all, that match a label selector; an empty selector matches all.
    ///
    /// # Errors
    /// If the selector doesn't parse or the resource is unknown.
    pub fn list(&self, resource: &str, namespace: Option<&str>, labels: &str) -> Result<Vec<Arc<Value>>, ApiError> {
        let resource = known(resource)?;
        let filter = Filter::parse(resource, namespace, labels, "")?;
        let (_, objects) = self.list_stored(resource, namespace);
        let matching = objects.iter().filter(|stored| filter.matches(&stored.object));
        Ok(matching.map(|stored| Arc::clone(&stored.object)).collect())
    }

    /// Applies a JSON merge patch; the status of a resource with a status subresource stays.
    ///
    /// # Errors
    /// As the API server would refuse it.
    pub fn patch(&self, resource: &str, namespace: &str, name: &str, merge: &Value) -> Result<Arc<Value>, ApiError> {
        self.merge_part(resource, namespace, name, Part::Main, merge)
    }

    /// Applies a JSON merge patch to the status subresource: of the patch, only `status` counts.
    ///
    /// # Errors
    /// As the API server would refuse it.
    pub fn patch_status(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        merge: &Value,
    ) -> Result<Arc<Value>, ApiError> {
        self.merge_part(resource, namespace, name, Part::Status, merge)
    }

    /// Applies a JSON Patch (RFC 6902).
    ///
    /// # Errors
    /// As the API server would refuse it.
    pub fn json_patch(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        operations: &Value,
    ) -> Result<Arc<Value>, ApiError> {
        let mut change = |current: &Value| patch::json_patch(current, operations);
        let updated =
            self.update_object(known(resource)?, &Key::new(namespace, name), Part::Main, false, &mut change)?;
        Ok(Arc::clone(&updated.stored.object))
    }

    /// Deletes an object; one with finalizers stays, with a deletionTimestamp.
    ///
    /// # Errors
    /// `NotFound` if it isn't there.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> Result<(), ApiError> {
        let key = Key::new(namespace, name);
        self.delete_object(known(resource)?, &key, &Preconditions::default(), false).map(drop)
    }

    fn merge_part(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        part: Part,
        merge: &Value,
    ) -> Result<Arc<Value>, ApiError> {
        let mut change = |current: &Value| Ok(patch::merge_patch(current, merge));
        let updated = self.update_object(known(resource)?, &Key::new(namespace, name), part, false, &mut change)?;
        Ok(Arc::clone(&updated.stored.object))
    }
}

fn known(plural: &str) -> Result<&'static ResourceType, ApiError> {
    resource::by_plural(plural)
        .ok_or_else(|| ApiError::new(404, "NotFound", format!("the server has no resource {plural}")))
}
