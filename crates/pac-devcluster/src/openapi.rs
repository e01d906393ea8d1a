//! As much OpenAPI v3 as kubectl needs to leave validation to the server: for each kind, that PATCH takes
//! `fieldValidation`, and a schema that allows anything.

use serde_json::{Map, Value, json};

use crate::{kubernetes::Kubernetes, resource::ResourceType};

/// The document at a path.
pub(crate) fn document(path: &str, kubernetes: Kubernetes) -> Option<Value> {
    match path.strip_prefix("/openapi/v3")?.trim_matches('/') {
        "" => Some(index(kubernetes)),
        group_version => group_document(group_version, kubernetes),
    }
}

/// `api/v1`, `apis/tekton.dev/v1`.
fn base(resource: &ResourceType) -> String {
    let prefix = if resource.group.is_empty() { "api" } else { "apis" };
    format!("{prefix}/{}", resource.api_version())
}

fn index(kubernetes: Kubernetes) -> Value {
    let path = |resource: &ResourceType| {
        let base = base(resource);
        let url = json!({ "serverRelativeURL": format!("/openapi/v3/{base}?hash=devcluster") });
        (base, url)
    };
    json!({ "paths": kubernetes.resources().map(path).collect::<Map<_, _>>() })
}

fn group_document(group_version: &str, kubernetes: Kubernetes) -> Option<Value> {
    let served: Vec<_> = kubernetes.resources().filter(|resource| base(resource) == group_version).collect();
    if served.is_empty() {
        return None;
    }
    let schemas: Map<String, Value> = served.iter().map(|resource| (schema_name(resource), schema(resource))).collect();
    Some(json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": format!("v1.{}.0", kubernetes.minor) },
        "paths": served.iter().map(|resource| operations(resource)).collect::<Map<_, _>>(),
        "components": { "schemas": schemas },
    }))
}

fn schema_name(resource: &ResourceType) -> String {
    let group = if resource.group.is_empty() { "core" } else { resource.group };
    format!("io.{group}.{}.{}", resource.version, resource.kind)
}

fn kind_of(resource: &ResourceType) -> Value {
    json!({ "group": resource.group, "version": resource.version, "kind": resource.kind })
}

fn schema(resource: &ResourceType) -> Value {
    json!({
        "type": "object",
        "x-kubernetes-group-version-kind": [kind_of(resource)],
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    })
}

fn operations(resource: &ResourceType) -> (String, Value) {
    let namespaces = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
    let path = format!("/{}/{namespaces}{}/{{name}}", base(resource), resource.plural);
    let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
    let patch = json!({
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind_of(resource),
        "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
        "responses": { "200": { "description": "OK" } },
    });
    (path, json!({ "patch": patch }))
}
