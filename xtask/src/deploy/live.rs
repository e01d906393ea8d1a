//! What the cluster has of all this already: whatever isn't chosen anew stays as it is there.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, PodTemplateSpec};
use pac_config::{Key, find_key};

use super::folders::{EXTERNAL, SECRET_FOLDER};
use super::names::{PAC_WATCHER, WATCHER};
use super::options::Mode;

/// See the [module](self). The default is a cluster with nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    /// Our ConfigMap.
    pub(super) own: ConfigMap,
    /// PAC's.
    pub(super) pacs: ConfigMap,
    /// Our own Deployment: standalone mode.
    pub(super) our_watcher: Option<Deployment>,
    pub(super) pacs_watcher: Option<Deployment>,
}

// === impl Live ===

impl Live {
    /// Every setting that counts now; passwords aside, which are not for us to copy.
    pub(super) fn settings(&self) -> BTreeMap<String, String> {
        let is_password = |name: &str| find_key(name).is_some_and(|key| key.secret);
        let given = |map: &ConfigMap| {
            let data = map.data.clone().unwrap_or_default().into_iter();
            data.filter(|(name, value)| !value.trim().is_empty() && !is_password(name)).collect::<Vec<_>>()
        };
        let of_pacs = given(&self.pacs).into_iter().filter(|(name, _)| find_key(name).is_some());
        of_pacs.chain(given(&self.own)).collect()
    }

    /// What PAC's ConfigMap says of a setting.
    pub(super) fn in_pacs(&self, key: &Key) -> Option<&str> {
        let value = self.pacs.data.as_ref()?.get(key.name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The mode there is, if we are there.
    pub(super) fn mode(&self) -> Option<Mode> {
        let is_companion = self.container(Mode::Companion).is_some();
        is_companion.then_some(Mode::Companion).or_else(|| self.our_watcher.as_ref().map(|_| Mode::Standalone))
    }

    /// Our container's image.
    pub(super) fn image(&self, mode: Mode) -> Option<String> {
        self.container(mode)?.image.clone()
    }

    pub(super) fn replicas(&self) -> Option<u16> {
        self.our_watcher.as_ref()?.spec.as_ref()?.replicas?.try_into().ok()
    }

    /// The file that our container reads a password from, if it isn't the one from the Secret.
    pub(super) fn password_file(&self, mode: Mode, key: &Key) -> Option<String> {
        let variables = self.container(mode)?.env.as_ref()?;
        let file = variables.iter().find(|variable| variable.name == key.file_variable())?.value.clone()?;
        (!file.starts_with(SECRET_FOLDER)).then_some(file)
    }

    /// The SecretProviderClass that is mounted.
    pub(super) fn secret_provider_class(&self, mode: Mode) -> Option<String> {
        let volumes = self.pod(mode)?.volumes.as_ref()?;
        let volume = volumes.iter().find(|volume| volume.name == EXTERNAL)?;
        volume.csi.as_ref()?.volume_attributes.as_ref()?.get("secretProviderClass").cloned()
    }

    /// Annotations of our own pods; those of PAC's pod stay by themselves.
    pub(super) fn pod_annotations(&self) -> BTreeMap<String, String> {
        let template = self.our_watcher.as_ref().and_then(template);
        let annotations = template.and_then(|template| template.metadata.as_ref()?.annotations.clone());
        let is_kubectls = |name: &str| name.starts_with("kubectl.kubernetes.io/");
        annotations.unwrap_or_default().into_iter().filter(|(name, _)| !is_kubectls(name)).collect()
    }

    /// Why applying `mode` would have two start PipelineRuns side by side, if it would.
    pub(super) fn conflict(&self, mode: Mode, namespace: &str) -> Option<String> {
        match mode {
            Mode::Standalone => (scale(self.pacs_watcher.as_ref()) > 0).then(|| {
                format!(
                    "PAC's own watcher is at work (Deployment {PAC_WATCHER} in {namespace}): it starts PipelineRuns from a queue of \
                     its own, and together with ours more than the limit. Stop it: kubectl scale deployment/{PAC_WATCHER} -n \
                     {namespace} --replicas=0; or choose --mode companion"
                )
            }),
            Mode::Companion => (scale(self.our_watcher.as_ref()) > 0).then(|| {
                format!(
                    "our watcher is at work in standalone mode (Deployment {WATCHER} in {namespace}): it writes final states that \
                     are PAC's to write in companion mode. Remove it: kubectl delete deployment/{WATCHER} -n {namespace}; \
                     docs/installation.md has the rest"
                )
            }),
        }
    }

    fn container(&self, mode: Mode) -> Option<&Container> {
        self.pod(mode)?.containers.iter().find(|container| container.name == WATCHER)
    }

    fn pod(&self, mode: Mode) -> Option<&PodSpec> {
        let deployment = match mode {
            Mode::Standalone => &self.our_watcher,
            Mode::Companion => &self.pacs_watcher,
        };
        template(deployment.as_ref()?)?.spec.as_ref()
    }
}

fn template(deployment: &Deployment) -> Option<&PodTemplateSpec> {
    deployment.spec.as_ref().map(|spec: &DeploymentSpec| &spec.template)
}

/// How many pods a Deployment has; one if it doesn't say.
fn scale(deployment: Option<&Deployment>) -> i32 {
    deployment.map_or(0, |deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(data: serde_json::Value) -> ConfigMap {
        serde_json::from_value(json!({ "data": data })).unwrap()
    }

    #[test]
    fn what_counts_is_ours_then_pacs_without_passwords_and_without_keys_of_pacs() {
        let live = Live {
            own: map(json!({"postgresql-host": "new", "etcd-mode": "", "postgresql-hots": "x"})),
            pacs: map(
                json!({"postgresql-host": "old", "etcd-mode": "mock", "postgresql-password": "p", "application-name": "CI"}),
            ),
            ..Live::default()
        };
        let found: Vec<_> = live.settings().into_iter().collect();
        let expected = [("etcd-mode", "mock"), ("postgresql-host", "new"), ("postgresql-hots", "x")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn two_that_would_start_runs_are_named_unless_one_has_no_pods() {
        let deployment = |replicas: serde_json::Value| {
            let spec = json!({"replicas": replicas, "selector": {}, "template": {}});
            Some(serde_json::from_value(json!({ "spec": spec })).unwrap())
        };
        for (replicas, conflicts) in [(json!(0), false), (json!(2), true), (json!(null), true)] {
            let beside_pacs = Live { pacs_watcher: deployment(replicas.clone()), ..Live::default() };
            assert_eq!(beside_pacs.conflict(Mode::Standalone, "ns").is_some(), conflicts);
            assert_eq!(beside_pacs.conflict(Mode::Companion, "ns"), None);
            let beside_ours = Live { our_watcher: deployment(replicas), ..Live::default() };
            assert_eq!(beside_ours.conflict(Mode::Companion, "ns").is_some(), conflicts);
            assert_eq!(beside_ours.conflict(Mode::Standalone, "ns"), None);
        }
    }
}
