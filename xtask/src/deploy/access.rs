//! Who the watcher is to the API server, and what it may do there: what it does, and nothing else.
//!
//! `tests/deploy_access.rs` runs the watcher under exactly these rules, and fails when one is missing or not used.

use anyhow::Result;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::manifest::{Document, Manifest, Purpose};
use super::names::{CONFIG_MAP, GATE, PACS_CONFIG_MAP, SECRET, WATCHER, WEBHOOK, cluster_wide, namespaced};
use super::options::{Gate, Placement};
use super::variant::Variant;

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// The account of the pod; in PAC's pod it is PAC's.
pub(super) fn service_account(variant: &Variant) -> Result<Manifest> {
    let account = ServiceAccount {
        metadata: namespaced(variant.app(), &variant.namespace),
        // Only the pod that says so gets a token.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    let story = "Who the watcher is to the API server.".to_owned();
    let documents = vec![Document::of(&account)?];
    Ok(Manifest { file: "service-account.yaml", purpose: Purpose::Own, story, documents })
}

/// What the watcher may do; of shadow mode, see [`super::shadow`].
pub(super) fn roles(variant: &Variant) -> Result<Manifest> {
    let everywhere =
        ClusterRole { metadata: cluster_wide(WATCHER), rules: Some(cluster_rules(variant)), ..ClusterRole::default() };
    let here = Role { metadata: namespaced(WATCHER, &variant.namespace), rules: Some(namespace_rules(variant)) };
    let story = "What the watcher may do: what it does, and nothing else. In every namespace, follow Repositories and \
                 PipelineRuns, read a run and start it, and write Events; in PAC's, read two ConfigMaps and one Secret \
                 by name, and take part in the election of a leader. docs/security.md goes through them one by one.";
    let story = match variant.gate() {
        None => story.to_owned(),
        Some(gate) => {
            format!("{story}\n\nIn companion mode also open and close the gate, --gate {}, by its name.", gate.name())
        }
    };
    let documents = vec![Document::of(&everywhere)?, Document::of(&here)?];
    Ok(Manifest { file: "roles.yaml", purpose: Purpose::Access, story, documents })
}

/// Who may.
pub(super) fn bindings(variant: &Variant) -> Result<Manifest> {
    let (ours, pacs) = (variant.account(Placement::Deployment), variant.account(Placement::Pod));
    let subject = |account: &str| Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.to_owned(),
        namespace: Some(variant.namespace.clone()),
        ..Subject::default()
    };
    let subjects = Some(ours.into_iter().chain(pacs).map(subject).collect());
    let role =
        |kind: &str| RoleRef { api_group: Some(RBAC.to_owned()), kind: kind.to_owned(), name: WATCHER.to_owned() };
    let everywhere = ClusterRoleBinding {
        metadata: cluster_wide(WATCHER),
        role_ref: role("ClusterRole"),
        subjects: subjects.clone(),
    };
    let here = RoleBinding { metadata: namespaced(WATCHER, &variant.namespace), role_ref: role("Role"), subjects };
    let story = match variant.in_pacs_pod() {
        true => {
            "Our container shares the pod, and with it the service account, of PAC's watcher. What PAC grants that \
                 account may cover some or all of this; it is granted here all the same, so that nothing depends on the \
                 version of PAC."
        }
        false => "Gives the watcher's roles to its service account.",
    };
    let documents = vec![Document::of(&everywhere)?, Document::of(&here)?];
    Ok(Manifest { file: "role-bindings.yaml", purpose: Purpose::Access, story: story.to_owned(), documents })
}

fn cluster_rules(variant: &Variant) -> Vec<PolicyRule> {
    let mut rules = vec![
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
    ];
    // Opening it and closing it. Until a former one is gone, whoever still works with that does the same there.
    let gates = variant.gate().into_iter().chain(variant.former.gates.iter().copied());
    rules.extend(gates.map(|gate| rule(ADMISSION, gate.switch().resource, &["get", "patch"], &[GATE])));
    rules
}

fn namespace_rules(variant: &Variant) -> Vec<PolicyRule> {
    let mut rules = vec![
        // List and watch come with a field selector on the name, which makes them requests for one.
        rule("", "configmaps", &["get", "list", "watch"], &[CONFIG_MAP, PACS_CONFIG_MAP]),
        rule("", "secrets", &["get"], &[SECRET]),
        rule("coordination.k8s.io", "leases", &["get", "update", "watch"], &[WATCHER]),
        // An object yet to be created has no name to go by.
        rule("coordination.k8s.io", "leases", &["create"], &[]),
    ];
    // The certificate is made, and renewed, by who leads; the others serve with it.
    let webhook = variant.gate() == Some(Gate::Webhook) || variant.former.gates.contains(&Gate::Webhook);
    rules.extend(webhook.then(|| rule("", "secrets", &["get", "patch"], &[WEBHOOK])));
    rules
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
