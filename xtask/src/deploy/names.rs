//! What things are called, and how they are labelled.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// Our Deployment, service account, roles, Service and Lease; in companion mode our container in PAC's pod.
pub(super) const WATCHER: &str = "pac-concurrency-watcher";
/// PAC's own watcher: its Deployment, and its service account.
pub(super) const PAC_WATCHER: &str = "pipelines-as-code-watcher";
/// Our ConfigMap with the settings.
pub(super) const CONFIG_MAP: &str = "pac-concurrency";
/// PAC's ConfigMap, which may have settings of ours, too.
pub(super) const PACS_CONFIG_MAP: &str = "pipelines-as-code";
/// The Secret with the passwords.
pub(super) const SECRET: &str = "pac-concurrency-secret";
/// The Secret with certificates and keys, if there are any.
pub(super) const TLS_SECRET: &str = "pac-concurrency-tls";
/// The policy that keeps PAC's own queue out of the way, and its binding.
pub(super) const POLICY: &str = "pac-concurrency-execution-order";

const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What a pod of ours, and what belongs to it, is found by: labels that never change, since a Deployment's selector may not. In
/// companion mode the pod is PAC's and has its own name, so that it needs another.
pub(super) fn pod_labels(companion: bool) -> BTreeMap<String, String> {
    let (label, value) =
        if companion { ("concurrency.pipelinesascode.tekton.dev/companion", "true") } else { (NAME_LABEL, WATCHER) };
    BTreeMap::from([(label.to_owned(), value.to_owned())])
}

/// Selects these labels.
pub(super) fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// Labels of every object of ours, as Kubernetes recommends them. The version changes with every release, so that nothing
/// may be selected by all of them: [`pod_labels`] is for that.
pub(super) fn labels() -> BTreeMap<String, String> {
    let recommended = [
        ("component", "concurrency"),
        ("instance", WATCHER),
        ("managed-by", "cargo-xtask-deploy"),
        ("name", WATCHER),
        ("part-of", "pipelines-as-code"),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    BTreeMap::from(recommended.map(|(name, value)| (format!("app.kubernetes.io/{name}"), value.to_owned())))
}

/// Metadata of an object of ours in `namespace`.
pub(super) fn namespaced(name: &str, namespace: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.to_owned()), ..cluster_wide(name) }
}

/// Metadata of an object of ours that has no namespace.
pub(super) fn cluster_wide(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels()), ..ObjectMeta::default() }
}
