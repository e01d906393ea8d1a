//! The port for tenants, which is served where somebody asks for it: what the watcher may ask the API server then, the way there, and
//! roles for whoever looks. Files by themselves, beside every variant: what is granted here no watcher needs that doesn't serve it.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::access::rule;
use super::manifest::{Document, Manifest, Purpose};
use super::names::{WATCHER, cluster_wide, namespaced, selector};
use super::options::Placement;
use super::tenants_port::{FOLDER, PORT, TENANTS, variables};
use super::variant::Variant;

/// For whoever looks, and for whoever decides.
const VIEWER: &str = "pac-concurrency-viewer";
const OPERATOR: &str = "pac-concurrency-operator";

const STORY: &str = "\
For the port for tenants, where whoever may read the PipelineRuns of a namespace sees its queues (docs/operations.md). It is off until \
the watcher is given an address for it: `cargo xtask deploy --tenants` does, or tenants-patch.yaml.

The watcher may then ask the API server whose a token is, and what they may see. The network policy lets others reach the port, \
beside what the watcher's own lets through. The Service leads to watchers that aren't ready, too: while the store is away, they say so.

pac-concurrency-viewer is in the ClusterRole view already, by its label; where Tekton's own roles are as they come, that grants \
nothing new. pac-concurrency-operator is in none: pausing a Repository takes a right to change it, its limit and its address included. Bind \
it to whom it is for, in a namespace, or everywhere for an operator of all:

    kubectl create rolebinding ci-operators -n team-a --clusterrole=pac-concurrency-operator --group=team-a-leads
    kubectl create clusterrolebinding ci-operators --clusterrole=pac-concurrency-operator --group=platform
";

const PATCH_STORY: &str = "\
A patch of the watcher's Deployment, which has the port for tenants served:

    kubectl patch deployment pac-concurrency-watcher -n pipelines-as-code --patch-file tenants-patch.yaml

It has variables, which a later apply of the Deployment leaves alone. The certificate is in the Secret pac-concurrency-tenants (tls.crt, \
tls.key), as `kubectl create secret tls` or cert-manager makes it; until it is there nobody can connect, and when it is replaced the \
new one is taken up.
";

/// The objects.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    // PAC's own pod talks to Git providers, and has no policy of ours.
    let policy = (!variant.in_pacs_pod()).then(|| Document::of(&network_policy(variant))).transpose()?;
    let of_pods = [Document::of(&service(variant))?].into_iter().chain(policy);
    let rights = [
        Document::of(&reviewer())?,
        Document::of(&binding(variant))?,
        Document::of(&viewer())?,
        Document::of(&operator())?,
    ];
    let documents = of_pods.chain(rights).collect();
    Ok(Manifest { file: "tenants.yaml", purpose: Purpose::Access, story: STORY.to_owned(), documents })
}

/// The part of the Deployment.
pub(super) fn patch(variant: &Variant) -> Result<Manifest> {
    let env: Vec<_> = variables().into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let container = json!({
        "name": WATCHER,
        "env": env,
        "volumeMounts": [{"name": TENANTS, "mountPath": FOLDER, "readOnly": true}],
    });
    let volume = json!({"name": TENANTS, "secret": {"secretName": TENANTS, "defaultMode": 0o444, "optional": true}});
    let patch = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": WATCHER, "namespace": variant.namespace},
        "spec": {"template": {"spec": {"containers": [container], "volumes": [volume]}}},
    });
    let documents = vec![Document::of(&patch)?];
    Ok(Manifest { file: "tenants-patch.yaml", purpose: Purpose::Patch, story: PATCH_STORY.to_owned(), documents })
}

fn service(variant: &Variant) -> Service {
    let port = ServicePort {
        name: Some("https".to_owned()),
        port: 443,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(PORT.into())),
        ..ServicePort::default()
    };
    Service {
        metadata: namespaced(TENANTS, &variant.namespace),
        spec: Some(ServiceSpec {
            selector: Some(variant.pod_labels()),
            ports: Some(vec![port]),
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn network_policy(variant: &Variant) -> NetworkPolicy {
    let port = NetworkPolicyPort {
        port: Some(IntOrString::Int(PORT.into())),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicy {
        metadata: namespaced(TENANTS, &variant.namespace),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(variant.pod_labels())),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule { ports: Some(vec![port]), from: None }]),
            egress: None,
        }),
    }
}

/// What the API server is asked; nothing is kept of either.
fn reviewer() -> ClusterRole {
    ClusterRole {
        metadata: cluster_wide(TENANTS),
        rules: Some(vec![
            rule("authentication.k8s.io", "tokenreviews", &["create"], &[]),
            rule("authorization.k8s.io", "subjectaccessreviews", &["create"], &[]),
        ]),
        ..ClusterRole::default()
    }
}

fn binding(variant: &Variant) -> ClusterRoleBinding {
    let accounts =
        [Placement::Deployment, Placement::Pod].into_iter().filter_map(|placement| variant.account(placement));
    let watchers = accounts.map(|account| Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.to_owned(),
        namespace: Some(variant.namespace.clone()),
        ..Subject::default()
    });
    let role = RoleRef {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: "ClusterRole".to_owned(),
        name: TENANTS.to_owned(),
    };
    ClusterRoleBinding { metadata: cluster_wide(TENANTS), role_ref: role, subjects: Some(watchers.collect()) }
}

/// `get` shows one namespace; `list`, bound everywhere, all.
fn viewer() -> ClusterRole {
    let mut metadata = cluster_wide(VIEWER);
    let label = ("rbac.authorization.k8s.io/aggregate-to-view".to_owned(), "true".to_owned());
    metadata.labels.get_or_insert_with(BTreeMap::new).extend([label]);
    let rules = Some(vec![rule("tekton.dev", "pipelineruns", &["get", "list"], &[])]);
    ClusterRole { metadata, rules, ..ClusterRole::default() }
}

/// A pause is written onto the Repository, a release onto the run.
fn operator() -> ClusterRole {
    let rules = Some(vec![
        rule("tekton.dev", "pipelineruns", &["get", "list", "patch"], &[]),
        rule("pipelinesascode.tekton.dev", "repositories", &["get", "list", "patch"], &[]),
    ]);
    ClusterRole { metadata: cluster_wide(OPERATOR), rules, ..ClusterRole::default() }
}
