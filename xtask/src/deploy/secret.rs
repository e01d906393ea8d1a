//! The Secret with the passwords, without any.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;

use super::manifest::{Document, Manifest, Purpose};
use super::names::{SECRET, shared};
use super::variant::Variant;

pub(super) const FILE: &str = "concurrency-secret.yaml";

const STORY: &str = "\
The passwords of the concurrency system. There are none in it: applied as it is, it makes an empty Secret where there is \
none, and leaves alone what is in one that is there. Until a password is set, the watcher and `pac-watcher check-config` \
say which one is missing.

Set it by a command:

    kubectl create secret generic pac-concurrency-secret -n pipelines-as-code \\
      --from-literal=postgresql-password=\"your-secure-password\"

or in a copy of this file, by adding, in plain text, which Kubernetes encodes:

    stringData:
      postgresql-password: \"your-secure-password\"

The keys are postgresql-password and etcd-password.
";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let secret =
        Secret { metadata: shared(SECRET, &variant.namespace), type_: Some("Opaque".to_owned()), ..Secret::default() };
    let story = STORY.replace("-n pipelines-as-code", &format!("-n {}", variant.namespace));
    Ok(Manifest { file: FILE, purpose: Purpose::Form, story, documents: vec![Document::of(&secret)?] })
}
