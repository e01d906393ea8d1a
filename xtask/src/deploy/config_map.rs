//! The ConfigMap with the settings: each key with its value, and with its meaning as a comment.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use pac_config::Group;

use super::manifest::{Document, Manifest, Purpose, comment};
use super::names::{CONFIG_MAP, namespaced};
use super::variant::Variant;

pub(super) const FILE: &str = "302-pac-configmap.yaml";

const STORY: &str = "\
Copy it, or have another one made with --set, to say something else.

The settings of the concurrency system, in a ConfigMap of its own, which the watcher reads beside PAC's (pipelines-as-code).

    kubectl apply -f 302-pac-configmap.yaml

It is not PAC's, because `kubectl apply` deletes from an object whatever an earlier apply brought and the file at hand doesn't \
have: two files for one ConfigMap delete each other's keys, whichever comes first. PAC's release has a file for its own, and \
nobody but you has one for this. The keys work in PAC's ConfigMap, too, where they are not in this one; keep them there only if \
one file of yours has them and all of PAC's.
";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let bare = ConfigMap { metadata: namespaced(CONFIG_MAP, &variant.namespace), ..ConfigMap::default() };
    let data: BTreeMap<String, String> =
        variant.settings.data.iter().map(|(key, value)| (key.name.to_owned(), value.clone())).collect();
    let text = format!("{}data:\n{}", serde_yaml::to_string(&bare)?, entries(variant)?);
    let whole = ConfigMap { data: Some(data), ..bare };
    let documents = vec![Document::written(&whole, text)?];
    Ok(Manifest { file: FILE, purpose: Purpose::Settings, story: STORY.to_owned(), documents })
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
