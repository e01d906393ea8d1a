//! Our keys in PAC's ConfigMap: each with its value, and with its meaning as a comment.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use pac_config::Group;

use super::manifest::{Document, Manifest, Purpose, comment};
use super::names::{CONFIG_MAP, shared};
use super::variant::Variant;

pub(super) const FILE: &str = "302-pac-configmap.yaml";

const STORY: &str = "\
Copy it, or have another one made with --set, to say something else.

The settings of the concurrency system: our keys of PAC's own ConfigMap, which has others. Apply it on the server, which \
sets these keys and leaves all others alone:

    kubectl apply --server-side --force-conflicts --field-manager=pac-watcher -f 302-pac-configmap.yaml

Plain `kubectl apply -f` takes out what the last plain apply brought and this file doesn't have. Where PAC itself was \
installed with plain `kubectl apply`, that is every key of PAC's. Tell kubectl first that they are not its own to take out; \
once is enough:

    kubectl annotate configmap pipelines-as-code -n pipelines-as-code kubectl.kubernetes.io/last-applied-configuration-

The annotation below says the same for an apply on the server, and to PAC's next release.
";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let bare = ConfigMap { metadata: shared(CONFIG_MAP, &variant.namespace), ..ConfigMap::default() };
    let data: BTreeMap<String, String> =
        variant.settings.data.iter().map(|(key, value)| (key.name.to_owned(), value.clone())).collect();
    let text = format!("{}data:\n{}", serde_yaml::to_string(&bare)?, entries(variant)?);
    let whole = ConfigMap { data: Some(data), ..bare };
    let story = STORY.replace("-n pipelines-as-code", &format!("-n {}", variant.namespace));
    Ok(Manifest { file: FILE, purpose: Purpose::Shared, story, documents: vec![Document::written(&whole, text)?] })
}

fn entries(variant: &Variant) -> Result<String> {
    let mut text = String::new();
    let mut last: Option<Group> = None;
    for (key, value) in &variant.settings.data {
        if last.is_some() {
            text.push('\n');
        }
        if last != Some(key.group) {
            text += &format!("  ## {}\n\n", key.group);
            last = Some(key.group);
        }
        text += &comment(&format!("{} Allowed: {}.", key.doc, key.allowed), "  ");
        text += &format!("  {}: {}\n", key.name, serde_json::to_string(value)?);
    }
    Ok(text)
}
