//! Companion mode placed in PAC's pod: our container in that of PAC's own watcher.

use anyhow::Result;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::manifest::{Document, Manifest, Purpose};
use super::names::{PAC_WATCHER, WATCHER};
use super::pod::{container, volumes};
use super::variant::Variant;

pub(super) const FILE: &str = "pipelines-as-code-watcher-patch.yaml";

const STORY: &str = "\
A patch, not a whole object: it adds our container to PAC's own watcher.

    kubectl patch deployment pipelines-as-code-watcher -n pipelines-as-code \\
      --patch-file pipelines-as-code-watcher-patch.yaml

Never `kubectl apply` it: what it doesn't mention would be taken for unwanted, PAC's container first of all. \
The gate's file comes before it. An operator that owns the Deployment takes the container out again: leave it to \
--placement deployment then.

The default container is ours: `kubectl logs -f deployment/pipelines-as-code-watcher` shows who got a slot; PAC's own log is \
behind `-c pac-watcher`, and `--all-containers` shows both.
";

/// A part of a Deployment. k8s-openapi's own type insists on fields that a patch must leave alone, such as the selector.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeploymentPatch {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: SpecPatch,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecPatch {
    template: PodTemplateSpec,
}

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let mut annotations = variant.pod_annotations.clone();
    annotations.insert("kubectl.kubernetes.io/default-container".to_owned(), WATCHER.to_owned());
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: Some(annotations),
            labels: Some(variant.pod_labels()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec { containers: vec![container(variant)], volumes: volumes(variant), ..PodSpec::default() }),
    };
    let patch = DeploymentPatch {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        metadata: ObjectMeta {
            name: Some(PAC_WATCHER.to_owned()),
            namespace: Some(variant.namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: SpecPatch { template },
    };
    let story = STORY.replace("-n pipelines-as-code ", &format!("-n {} ", variant.namespace));
    Ok(Manifest { file: FILE, purpose: Purpose::Patch, story, documents: vec![Document::of(&patch)?] })
}
