//! The cluster of a recording: its Repositories and their runs.

use serde_json::{Map, Value, json};

use crate::support::World;

const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
const KINDS: [&str; 2] = ["repositories", "pipelineruns"];

/// All there is, as JSON.
pub(super) fn text(world: &World) -> String {
    let of = |kind: &str| {
        let objects = world.cluster.store().list(kind, None, "").unwrap();
        (kind.to_owned(), objects.iter().map(|object| Value::clone(object)).collect())
    };
    let all: Map<String, Value> = KINDS.into_iter().map(of).collect();
    serde_json::to_string_pretty(&all).unwrap() + "\n"
}

/// Creates all of it anew; says which uid is now which.
pub(super) fn bring_back(world: &World, text: &str) -> Vec<(String, String)> {
    let all: Value = serde_json::from_str(text).unwrap();
    let objects = KINDS.map(|kind| all[kind].as_array().unwrap().iter().map(move |object| (kind, object)));
    objects.into_iter().flatten().map(|(kind, object)| create(world, kind, object.clone())).collect()
}

fn create(world: &World, kind: &str, mut object: Value) -> (String, String) {
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(EXECUTION_ORDER);
    }
    let text = |object: &Value, path: &str| object.pointer(path).unwrap().as_str().unwrap().to_owned();
    let (namespace, name) = (text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
    let cluster = world.cluster.store();
    cluster.ensure_namespace(&namespace);
    let created = cluster.create(kind, &namespace, object.clone()).unwrap();
    let (before, now) = (text(&object, "/metadata/uid"), text(&created, "/metadata/uid"));
    let mut annotations = object["metadata"]["annotations"].take();
    for value in annotations.as_object_mut().into_iter().flat_map(Map::values_mut) {
        *value = value.as_str().unwrap().replace(&before, &now).into();
    }
    let changed = json!({"metadata": {"annotations": annotations}});
    cluster.patch(kind, &namespace, &name, &changed).unwrap();
    if let Some(status) = object.get("status") {
        cluster.patch_status(kind, &namespace, &name, &json!({ "status": status })).unwrap();
    }
    (before, now)
}
