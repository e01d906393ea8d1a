//! A Deployment of our own: standalone mode, and companion mode as it is placed by default.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::manifest::{Document, Manifest, Purpose};
use super::names::{WATCHER, labels, namespaced, selector};
use super::options::Mode;
use super::pod::{container, volumes};
use super::variant::Variant;

/// How long what is in flight may take when the watcher stops: more than its longest request.
const GRACE_SECONDS: i64 = 30;

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let deployment = Deployment {
        metadata: namespaced(variant.app(), &variant.namespace),
        spec: Some(DeploymentSpec {
            replicas: Some(variant.replicas.into()),
            selector: selector(variant.pod_labels()),
            strategy: Some(strategy(variant)),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(variant.app())),
                    annotations: annotations(variant),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(variant)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    };
    let story = match variant.in_memory() {
        _ if variant.mode == Mode::Shadow => {
            "The watcher in shadow mode. There is one, and what it has measured is in its memory: a restart begins anew."
        }
        true => {
            "The watcher. One at a time, since nobody else can see into its memory: the old one ends before the new \
                 one begins."
        }
        false => "The watcher. One leads, and the others are ready to; a new one is ready before an old one ends.",
    };
    let documents = vec![Document::of(&deployment)?];
    Ok(Manifest { file: "deployment.yaml", purpose: Purpose::Own, story: story.to_owned(), documents })
}

fn annotations(variant: &Variant) -> Option<BTreeMap<String, String>> {
    (!variant.pod_annotations.is_empty()).then(|| variant.pod_annotations.clone())
}

fn strategy(variant: &Variant) -> DeploymentStrategy {
    if variant.in_memory() {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    let rolling =
        RollingUpdateDeployment { max_surge: Some(IntOrString::Int(1)), max_unavailable: Some(IntOrString::Int(0)) };
    DeploymentStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: Some(rolling) }
}

fn pod(variant: &Variant) -> PodSpec {
    PodSpec {
        service_account_name: Some(variant.app().to_owned()),
        // Nobody waits for one that only looks.
        priority_class_name: (variant.mode != Mode::Shadow).then(|| WATCHER.to_owned()),
        automount_service_account_token: Some(true),
        // A Service called pac-something would put variables into the pod that look like settings.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        topology_spread_constraints: (!variant.in_memory()).then(|| vec![spread(variant)]),
        containers: vec![container(variant)],
        volumes: volumes(variant),
        ..PodSpec::default()
    }
}

/// On different nodes where there are any.
fn spread(variant: &Variant) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(variant.pod_labels())),
        ..TopologySpreadConstraint::default()
    }
}
