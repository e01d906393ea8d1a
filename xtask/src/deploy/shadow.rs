//! Shadow mode: what it may do, which is to read.
//!
//! It has names of its own, so that it can be beside whatever else is there, and nothing of ours that others need: neither settings nor a
//! Secret, neither a Lease nor a gate.

use anyhow::Result;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleRef, Subject};

use super::access::rule;
use super::manifest::{Document, Manifest, Purpose};
use super::names::{SHADOW, cluster_wide};
use super::variant::Variant;

/// What it may do.
pub(super) fn roles() -> Result<Manifest> {
    let rules = vec![
        // Get is a look at one run that somebody asks to have explained.
        rule("tekton.dev", "pipelineruns", &["get", "list", "watch"], &[]),
        rule("pipelinesascode.tekton.dev", "repositories", &["list", "watch"], &[]),
    ];
    let everywhere = ClusterRole { metadata: cluster_wide(SHADOW), rules: Some(rules), ..ClusterRole::default() };
    let story = "What the watcher may do in shadow mode: read PipelineRuns and Repositories. There is nothing that it may write, not even \
                 a Lease or an Event.";
    let documents = vec![Document::of(&everywhere)?];
    Ok(Manifest { file: "roles.yaml", purpose: Purpose::Access, story: story.to_owned(), documents })
}

/// Who may.
pub(super) fn bindings(variant: &Variant) -> Result<Manifest> {
    let role_ref = RoleRef {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: "ClusterRole".to_owned(),
        name: SHADOW.to_owned(),
    };
    let subject = Subject {
        kind: "ServiceAccount".to_owned(),
        name: SHADOW.to_owned(),
        namespace: Some(variant.namespace.clone()),
        ..Subject::default()
    };
    let binding = ClusterRoleBinding { metadata: cluster_wide(SHADOW), role_ref, subjects: Some(vec![subject]) };
    let story = "Gives the watcher's role to its service account.".to_owned();
    let documents = vec![Document::of(&binding)?];
    Ok(Manifest { file: "role-bindings.yaml", purpose: Purpose::Access, story, documents })
}
