//! One variant for kustomize.
//!
//! It can be applied as it is, or be a base. In PAC's pod it is a component, to be used with PAC's own manifests: it patches
//! one of their objects.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::manifest::{Document, Manifest, Purpose};
use super::options::Mode;
use super::variant::Variant;

const WHOLE: &str = "\
For kustomize, or `kubectl apply --server-side -k`. The ConfigMap with the settings and the Secret are not among the resources: \
they are yours. With the Prometheus operator in the cluster, add monitoring.yaml.
";

const OF_SHADOW: &str = "\
For kustomize, or `kubectl apply --server-side -k`. With the Prometheus operator in the cluster, add monitoring.yaml.
";

const COMPONENT: &str = "\
For kustomize, in a kustomization of yours:

    resources: [PAC's own release]
    components: [this folder]

The ConfigMap with the settings and the Secret are yours to add. With the Prometheus operator in the cluster, add \
monitoring.yaml to the resources.
";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    api_version: String,
    kind: String,
    resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Patch>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    path: String,
}

/// The file for the others of its variant.
pub(super) fn manifest(variant: &Variant, others: &[Manifest]) -> Result<Manifest> {
    let files = |purposes: &[Purpose]| -> Vec<String> {
        let wanted = others.iter().filter(|manifest| purposes.contains(&manifest.purpose));
        wanted.map(|manifest| manifest.file.to_owned()).collect()
    };
    let patches = files(&[Purpose::Patch]).into_iter().map(|path| Patch { path });
    let (version, kind, story, patches) = match variant.in_pacs_pod() {
        true => ("v1alpha1", "Component", COMPONENT, patches.collect()),
        false if variant.mode == Mode::Shadow => ("v1beta1", "Kustomization", OF_SHADOW, Vec::new()),
        false => ("v1beta1", "Kustomization", WHOLE, Vec::new()),
    };
    let kustomization = Kustomization {
        api_version: format!("kustomize.config.k8s.io/{version}"),
        kind: kind.to_owned(),
        resources: files(&[Purpose::Own, Purpose::Access]),
        patches,
    };
    let documents = vec![Document::of(&kustomization)?];
    Ok(Manifest { file: "kustomization.yaml", purpose: Purpose::Kustomization, story: story.to_owned(), documents })
}
