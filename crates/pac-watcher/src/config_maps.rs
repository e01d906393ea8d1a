//! The two ConfigMaps that settings come from: PAC's, and one of the concurrency system's own, which wins.
//!
//! PAC's is PAC's: its release, an operator or a tool writes it, and a plain `kubectl apply` of two files for one ConfigMap takes
//! out what the other file brought. Nobody else has a file for ours.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use pac_config::{Sources, find_key};
use serde_json::Value;

/// The name of the system's own ConfigMap.
pub(crate) const OWN: &str = "pac-concurrency";

/// In which annotation `kubectl apply` keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `sources` with PAC's ConfigMap, which is called `name` (`namespace/name`).
pub(crate) fn with_pacs(sources: Sources, name: &str, map: ConfigMap) -> Sources {
    let clash = clash(&map);
    let sources = sources.with_config_map(name, values(map));
    match clash {
        Some(message) => sources.with_warning(format!("ConfigMap {name}"), message),
        None => sources,
    }
}

/// `sources` with the system's own ConfigMap.
pub(crate) fn with_own(sources: Sources, namespace: &str, map: ConfigMap) -> Sources {
    sources.with_own_config_map(&format!("{namespace}/{OWN}"), values(map))
}

/// `sources` where the system's own ConfigMap can't be read: roles of a version that didn't know it. It is as if there were none.
pub(crate) fn without_own(sources: Sources, namespace: &str) -> Sources {
    let message =
        "may not be read, and is taken for missing: the roles are of an earlier version; apply roles.yaml of this one";
    sources.with_warning(format!("ConfigMap {namespace}/{OWN}"), message)
}

/// kubectl puts what isn't UTF-8 into `binaryData`.
fn values(map: ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let texts = map.data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes()));
    texts.chain(map.binary_data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0))).collect()
}

/// What a plain `kubectl apply` of a file with settings of ours alone has done to PAC's keys, or will let PAC's release do to ours.
fn clash(map: &ConfigMap) -> Option<String> {
    let applied: Value = serde_json::from_str(map.metadata.annotations.as_ref()?.get(LAST_APPLIED)?).ok()?;
    let is_ours = |key: &String| find_key(key).is_some();
    let applied = applied.get("data")?.as_object()?;
    if applied.is_empty() || !applied.keys().all(is_ours) {
        return None;
    }
    let pacs_are_there = map.data.iter().flatten().any(|(key, _)| !is_ours(key));
    let (what, first) = match pacs_are_there {
        true => ("that of Pipelines-as-Code's release takes them out again", ""),
        false => (
            "it took every key of Pipelines-as-Code's out, if there were any",
            "apply Pipelines-as-Code's release again, then ",
        ),
    };
    Some(format!(
        "has settings of the concurrency system by a plain `kubectl apply` of a file without Pipelines-as-Code's keys: {what}; \
         {first}put the settings into the ConfigMap {OWN}, which no other file touches (config/302-pac-configmap.yaml)"
    ))
}

#[cfg(test)]
mod tests {
    use pac_config::{Disk, resolve};
    use serde_json::json;

    use super::*;

    fn warnings(applied: &Value, data: &Value) -> Vec<String> {
        let annotations = json!({ LAST_APPLIED: json!({ "data": applied }).to_string() });
        let map = json!({ "metadata": { "annotations": annotations }, "data": data });
        let sources = with_pacs(Sources::new(), "ns/pacs", serde_json::from_value(map).unwrap());
        resolve(&sources, &Disk).unwrap().warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_that_an_apply_took_out_or_will_are_warned_of_and_a_file_with_all_keys_is_not() {
        let (ours, pacs) = (json!({ "concurrency-enabled": "false" }), json!({ "application-name": "CI" }));
        let both = json!({ "concurrency-enabled": "false", "application-name": "CI" });
        let warning = |applied, data, words| {
            let found = warnings(applied, data);
            assert!(
                matches!(&found[..], [one] if one.starts_with("ConfigMap ns/pacs: has ") && one.contains(words)),
                "{found:?}"
            );
        };
        warning(&ours, &both, "release takes them out again; put the settings into the ConfigMap pac-concurrency");
        warning(&ours, &ours, "took every key of Pipelines-as-Code's out, if there were any; apply");
        for (applied, data) in [(&pacs, &both), (&both, &both), (&pacs, &pacs), (&json!({}), &both)] {
            assert_eq!(warnings(applied, data), [""; 0]);
        }
    }

    #[test]
    fn binary_data_is_read_too() {
        let map = json!({ "data": { "memory-lease-ttl": "1h" }, "binaryData": { "concurrency-enabled": "dHJ1ZQ==" } });
        let sources = with_own(Sources::new(), "ns", serde_json::from_value(map).unwrap());
        let resolved = resolve(&sources, &Disk).unwrap();
        assert!(resolved.settings.enabled);
    }
}
