//! Watchers on a server: at most one watcher at a time gives way to a drained node.

use anyhow::Result;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::manifest::{Document, Manifest, Purpose};
use super::names::{WATCHER, namespaced, selector};
use super::variant::Variant;

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let budget = PodDisruptionBudget {
        metadata: namespaced(WATCHER, &variant.namespace),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(selector(variant.pod_labels())),
            max_unavailable: Some(IntOrString::Int(1)),
            // While the store is away no watcher is ready, and nodes can be drained all the same.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    let story = "When nodes are drained, one watcher at a time goes.".to_owned();
    let documents = vec![Document::of(&budget)?];
    Ok(Manifest { file: "disruption-budget.yaml", purpose: Purpose::Own, story, documents })
}
