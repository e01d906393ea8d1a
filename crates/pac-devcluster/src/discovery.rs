//! What the server says it serves: versions, groups and resources.
//!
//! kubectl asks `/api` and `/apis` for aggregated discovery (one document for all); a client that doesn't ask for it
//! gets the older documents, one for each group and version.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{kubernetes::Kubernetes, resource::ResourceType};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// Versions of Tekton's group that exist beside the one served here; they list no resources.
const OTHER_TEKTON_VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];

/// The discovery document at a path, with its content type.
pub(crate) fn document(
    path: &str,
    accept: &str,
    address: SocketAddr,
    kubernetes: Kubernetes,
) -> Option<(Value, &'static str)> {
    let aggregated = accept.contains("apidiscovery.k8s.io") && accept.contains("v=v2;");
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let plain = |value: Value| Some((value, "application/json"));
    match parts.as_slice() {
        ["version"] => plain(version(kubernetes)),
        ["api"] if aggregated => Some((aggregate(&[""], kubernetes), AGGREGATED)),
        ["apis"] if aggregated => Some((aggregate(&groups(kubernetes), kubernetes), AGGREGATED)),
        ["api"] => plain(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address.to_string() }],
        })),
        ["apis"] => {
            let groups: Vec<Value> =
                groups(kubernetes).into_iter().map(|group| group_body(group, kubernetes)).collect();
            plain(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", version] => resource_list("", version, kubernetes).and_then(plain),
        ["apis", group] if groups(kubernetes).contains(group) => {
            let mut body = group_body(group, kubernetes);
            body["kind"] = json!("APIGroup");
            body["apiVersion"] = json!("v1");
            plain(body)
        }
        ["apis", group, version] => resource_list(group, version, kubernetes).and_then(plain),
        _ => None,
    }
}

fn version(kubernetes: Kubernetes) -> Value {
    let minor = kubernetes.minor;
    json!({
        "major": "1",
        "minor": minor.to_string(),
        "emulationMajor": "1",
        "emulationMinor": minor.to_string(),
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": (minor - 1).to_string(),
        "gitVersion": format!("v1.{minor}.0+devcluster"),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    })
}

/// The named groups, each once.
fn groups(kubernetes: Kubernetes) -> Vec<&'static str> {
    let mut groups = Vec::new();
    for resource in kubernetes.resources().filter(|resource| !resource.group.is_empty()) {
        if !groups.contains(&resource.group) {
            groups.push(resource.group);
        }
    }
    groups
}

fn versions(group: &str, kubernetes: Kubernetes) -> Vec<&'static str> {
    let own = kubernetes.resources().filter(|resource| resource.group == group).map(|resource| resource.version);
    let mut versions: Vec<&str> =
        own.chain(OTHER_TEKTON_VERSIONS.into_iter().filter(|_| group == "tekton.dev")).collect();
    // Stable before beta, beta before alpha, which is how they sort.
    versions.sort_by_key(|version| (version.contains("alpha"), version.contains("beta")));
    versions.dedup();
    versions
}

fn group_body(group: &str, kubernetes: Kubernetes) -> Value {
    let version = |version: &str| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    let versions: Vec<Value> = versions(group, kubernetes).into_iter().map(version).collect();
    json!({ "name": group, "preferredVersion": versions[0], "versions": versions })
}

fn resource_list(group: &str, version: &str, kubernetes: Kubernetes) -> Option<Value> {
    if !versions(group, kubernetes).contains(&version) {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let resources: Vec<Value> = served(group, version, kubernetes).flat_map(list_entries).collect();
    let mut list = json!({ "kind": "APIResourceList", "groupVersion": group_version, "resources": resources });
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    Some(list)
}

fn served(group: &str, version: &str, kubernetes: Kubernetes) -> impl Iterator<Item = &'static ResourceType> {
    kubernetes.resources().filter(move |resource| resource.group == group && resource.version == version)
}

fn list_entries(resource: &ResourceType) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs(resource),
    });
    if !resource.review {
        entry["storageVersionHash"] = json!(storage_hash(resource));
    }
    add_names(&mut entry, resource);
    let mut entries = vec![entry];
    if resource.status {
        entries.push(json!({
            "name": format!("{}/status", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": STATUS_VERBS,
        }));
    }
    if resource.has_scale() {
        entries.push(json!({
            "name": format!("{}/scale", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "group": "autoscaling",
            "version": "v1",
            "kind": "Scale",
            "verbs": STATUS_VERBS,
        }));
    }
    if resource.has_token() {
        entries.push(json!({
            "name": format!("{}/token", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "group": "authentication.k8s.io",
            "version": "v1",
            "kind": "TokenRequest",
            "verbs": ["create"],
        }));
    }
    entries
}

fn verbs(resource: &ResourceType) -> &'static [&'static str] {
    if resource.review { &["create"] } else { &VERBS }
}

fn add_names(entry: &mut Value, resource: &ResourceType) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

/// Opaque to clients, but of the length and alphabet they know.
fn storage_hash(resource: &ResourceType) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let name = format!("{}/{}/{}", resource.group, resource.version, resource.kind);
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    STANDARD.encode(hash.to_be_bytes())
}

fn aggregate(groups: &[&str], kubernetes: Kubernetes) -> Value {
    let items: Vec<Value> = groups.iter().map(|group| aggregate_group(group, kubernetes)).collect();
    json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items })
}

fn aggregate_group(group: &str, kubernetes: Kubernetes) -> Value {
    let version = |version: &&'static str| {
        let resources: Vec<Value> = served(group, version, kubernetes).map(aggregate_resource).collect();
        json!({ "version": version, "freshness": "Current", "resources": resources })
    };
    let versions: Vec<Value> = versions(group, kubernetes).iter().map(version).collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({ "name": group }) };
    json!({ "metadata": metadata, "versions": versions })
}

fn aggregate_resource(resource: &'static ResourceType) -> Value {
    let kind = json!({ "group": resource.group, "version": resource.version, "kind": resource.kind });
    let mut entry = json!({
        "resource": resource.plural,
        "singularResource": resource.singular,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": kind,
        "verbs": verbs(resource),
    });
    add_names(&mut entry, resource);
    let mut subresources = Vec::new();
    if resource.status {
        subresources.push(json!({ "subresource": "status", "responseKind": kind, "verbs": STATUS_VERBS }));
    }
    if resource.has_scale() {
        let kind = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
        subresources.push(json!({ "subresource": "scale", "responseKind": kind, "verbs": STATUS_VERBS }));
    }
    if resource.has_token() {
        let kind = json!({ "group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest" });
        subresources.push(json!({ "subresource": "token", "responseKind": kind, "verbs": ["create"] }));
    }
    if !subresources.is_empty() {
        entry["subresources"] = json!(subresources);
    }
    entry
}
