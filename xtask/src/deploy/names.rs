//! What things are called, and how they are labelled.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// Our Deployment, service account, roles, Service and Lease, and our container.
pub(super) const WATCHER: &str = "pac-concurrency-watcher";
/// The same of shadow mode, where `pac-watcher shadow report` looks for its pod by this name.
pub(super) const SHADOW: &str = "pac-concurrency-shadow";
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
/// The gate, which keeps PAC's own queue out of the way: a policy and its binding, or the configuration of a webhook.
pub(super) const GATE: &str = "pac-concurrency-execution-order";
/// The Service of the webhook, and the Secret with its certificate.
pub(super) const WEBHOOK: &str = "pac-concurrency-webhook";

const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What marks PAC's pod as one that our container is in.
pub(super) const COMPANION_LABEL: &str = "concurrency.pipelinesascode.tekton.dev/companion";

/// What objects of ours are found by: a label that never changes, since a Deployment's selector may not.
pub(super) fn name_label(app: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(NAME_LABEL.to_owned(), app.to_owned())])
}

/// Selects these labels.
pub(super) fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// Labels of every object of ours, as Kubernetes recommends them. The version changes with every release, so that nothing
/// may be selected by all of them: [`name_label`] is for that.
pub(super) fn labels(app: &str) -> BTreeMap<String, String> {
    let recommended = [
        ("component", "concurrency"),
        ("instance", app),
        ("managed-by", "cargo-xtask-deploy"),
        ("name", app),
        ("part-of", "pipelines-as-code"),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    BTreeMap::from(recommended.map(|(name, value)| (format!("app.kubernetes.io/{name}"), value.to_owned())))
}

/// Metadata of an object of ours in `namespace`.
pub(super) fn namespaced(name: &str, namespace: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.to_owned()), ..cluster_wide(name) }
}

/// Metadata of an object of ours that has no namespace. Whatever isn't shadow mode's is the watcher's.
pub(super) fn cluster_wide(name: &str) -> ObjectMeta {
    let app = if name == SHADOW { SHADOW } else { WATCHER };
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels(app)), ..ObjectMeta::default() }
}
