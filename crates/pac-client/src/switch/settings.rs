//! The settings that the switch turns, in the system's own ConfigMap.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use pac_config::{Key, keys};
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::args::Reach;
use crate::cluster::Cluster;

/// The ConfigMap with the system's own settings.
const NAME: &str = "pac-concurrency";

/// Those that the switch turns.
pub(super) static TURNED: [&Key; 3] =
    [&keys::CONCURRENCY_ENABLED, &keys::CONCURRENCY_PAUSED, &keys::CONCURRENCY_DRAINING];

/// What the ConfigMap says of each.
pub(super) async fn read(cluster: &Cluster, reach: &Reach) -> Result<Vec<(&'static Key, Option<String>)>, Failure> {
    let map: Option<ConfigMap> = cluster.find(&reach.pac_namespace, NAME).await?;
    let said: BTreeMap<String, String> = map.and_then(|map| map.data).unwrap_or_default();
    Ok(TURNED.into_iter().map(|key| (key, said.get(key.name).cloned())).collect())
}

/// Has the ConfigMap say these, and nothing of the others.
pub(super) async fn write(cluster: &Cluster, reach: &Reach, settings: &[(&Key, bool)]) -> Result<(), Failure> {
    let said = |key: &Key| settings.iter().find(|(said, _)| *said == key).map(|(_, value)| value.to_string());
    let data: Map<String, Value> = TURNED.into_iter().map(|key| (key.name.to_owned(), json!(said(key)))).collect();
    let maps: Api<ConfigMap> = cluster.api(&reach.pac_namespace);
    let (patch, parameters) = (Patch::Merge(json!({ "data": data })), PatchParams::default());
    match cluster.ask(&format!("the patch of ConfigMap {NAME}"), maps.patch(NAME, &parameters, &patch)).await? {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(Failure::Missing(format!(
            "there is no ConfigMap {NAME} in namespace {}: is companion mode installed (docs/companion.md)?",
            reach.pac_namespace
        ))),
        Err(error) => Err(cluster.explain(&error)),
    }
}
