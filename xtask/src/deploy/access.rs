//! Who the watcher is to the API server, and what it may do there: what it does, and nothing else.
//!
//! `tests/deploy_access.rs` runs the watcher under exactly these rules, and fails when one is missing or not used.

use anyhow::Result;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::manifest::{Document, Manifest, Purpose};
use super::names::{CONFIG_MAP, PAC_WATCHER, PACS_CONFIG_MAP, SECRET, WATCHER, cluster_wide, namespaced};
use super::variant::Variant;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The account of the pod; in companion mode it is PAC's.
pub(super) fn service_account(variant: &Variant) -> Result<Manifest> {
    let account = ServiceAccount {
        metadata: namespaced(WATCHER, &variant.namespace),
        // Only the pod that says so gets a token.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    let story = "Who the watcher is to the API server.".to_owned();
    let documents = vec![Document::of(&account)?];
    Ok(Manifest { file: "service-account.yaml", purpose: Purpose::Own, story, documents })
}

/// What the watcher may do.
pub(super) fn roles(variant: &Variant) -> Result<Manifest> {
    let everywhere =
        ClusterRole { metadata: cluster_wide(WATCHER), rules: Some(cluster_rules()), ..ClusterRole::default() };
    let here = Role { metadata: namespaced(WATCHER, &variant.namespace), rules: Some(namespace_rules()) };
    let story = "What the watcher may do: what it does, and nothing else. In every namespace, follow Repositories and \
                 PipelineRuns, read a run and start it, and write Events; in PAC's, read two ConfigMaps and one Secret \
                 by name, and take part in the election of a leader. docs/security.md goes through them one by one."
        .to_owned();
    let documents = vec![Document::of(&everywhere)?, Document::of(&here)?];
    Ok(Manifest { file: "roles.yaml", purpose: Purpose::Own, story, documents })
}

/// Who may.
pub(super) fn bindings(variant: &Variant) -> Result<Manifest> {
    let account = if variant.is_companion() { PAC_WATCHER } else { WATCHER };
    let subjects = Some(vec![Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.to_owned(),
        namespace: Some(variant.namespace.clone()),
        ..Subject::default()
    }]);
    let role =
        |kind: &str| RoleRef { api_group: Some(RBAC.to_owned()), kind: kind.to_owned(), name: WATCHER.to_owned() };
    let everywhere = ClusterRoleBinding {
        metadata: cluster_wide(WATCHER),
        role_ref: role("ClusterRole"),
        subjects: subjects.clone(),
    };
    let here = RoleBinding { metadata: namespaced(WATCHER, &variant.namespace), role_ref: role("Role"), subjects };
    let story = match variant.is_companion() {
        true => {
            "Our container shares the pod, and with it the service account, of PAC's watcher. What PAC grants that \
                 account may cover some or all of this; it is granted here all the same, so that nothing depends on the \
                 version of PAC."
        }
        false => "Gives the watcher's roles to its service account.",
    };
    let documents = vec![Document::of(&everywhere)?, Document::of(&here)?];
    Ok(Manifest { file: "role-bindings.yaml", purpose: Purpose::Own, story: story.to_owned(), documents })
}

fn cluster_rules() -> Vec<PolicyRule> {
    vec![
        // Patch is the start, and in standalone mode the final state; get is a look at one run whose state is in doubt.
        rule("tekton.dev", "pipelineruns", &["get", "list", "patch", "watch"], &[]),
        rule("pipelinesascode.tekton.dev", "repositories", &["list", "watch"], &[]),
        // What happened, told on the PipelineRun and its Repository; patch counts what happens again.
        rule("events.k8s.io", "events", &["create", "patch"], &[]),
        // The place of a run that waits, as it is now: of an Event of events.k8s.io only the count may be changed.
        rule("", "events", &["patch"], &[]),
        // Whether the API server answers. Clusters that were not hardened let everybody ask.
        PolicyRule {
            non_resource_urls: Some(vec!["/version".to_owned()]),
            verbs: vec!["get".to_owned()],
            ..PolicyRule::default()
        },
    ]
}

fn namespace_rules() -> Vec<PolicyRule> {
    vec![
        // List and watch come with a field selector on the name, which makes them requests for one.
        rule("", "configmaps", &["get", "list", "watch"], &[CONFIG_MAP, PACS_CONFIG_MAP]),
        rule("", "secrets", &["get"], &[SECRET]),
        rule("coordination.k8s.io", "leases", &["get", "update", "watch"], &[WATCHER]),
        // An object yet to be created has no name to go by.
        rule("coordination.k8s.io", "leases", &["create"], &[]),
    ]
}

/// What may be done with objects of one kind, with those of these names if there are any.
pub(super) fn rule(group: &str, resource: &str, verbs: &[&str], names: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(&[resource])),
        verbs: owned(verbs),
        resource_names: (!names.is_empty()).then(|| owned(names)),
        ..PolicyRule::default()
    }
}
