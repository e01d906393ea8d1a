//! What belongs to the Secret with the passwords, but for the Secret itself.

use anyhow::Result;
use k8s_openapi::api::rbac::v1::Role;

use super::access::rule;
use super::manifest::{Document, Manifest, Purpose};
use super::names::{SECRET, namespaced};
use super::variant::Variant;

pub(super) const FILE: &str = "concurrency-secret.yaml";

const STORY: &str = "\
Who may read and change the passwords of the concurrency system. The Secret itself is not in this file: `kubectl apply` of a \
Secret without the password deletes the one that an earlier apply brought. This one leaves it alone, in whatever order.

Make the Secret by a command:

    kubectl create secret generic pac-concurrency-secret -n pipelines-as-code \\
      --from-literal=postgresql-password=\"your-secure-password\"

or by a file of your own:

    apiVersion: v1
    kind: Secret
    metadata: {name: pac-concurrency-secret, namespace: pipelines-as-code}
    stringData:
      postgresql-password: \"your-secure-password\"

The keys are postgresql-password and etcd-password; until the one that is needed is there, the watcher and `pac-watcher \
check-config` say so. The Role is for whoever, or whatever tool, keeps the passwords, and nothing of ours uses it:

    kubectl create rolebinding pac-concurrency-secret -n pipelines-as-code --role=pac-concurrency-secret --user=NAME
";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let keeper = Role {
        metadata: namespaced(SECRET, &variant.namespace),
        rules: Some(vec![rule("", "secrets", &["get", "patch", "update"], &[SECRET])]),
    };
    let documents = vec![Document::of(&keeper)?];
    Ok(Manifest { file: FILE, purpose: Purpose::Own, story: STORY.to_owned(), documents })
}
