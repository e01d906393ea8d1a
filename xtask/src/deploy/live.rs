//! What the cluster has of all this already: whatever isn't chosen anew stays as it is there.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodTemplateSpec};
use pac_config::{Key, find_key};

use super::folders::{EXTERNAL, SECRET_FOLDER};
use super::names::{PAC_WATCHER, SHADOW, WATCHER};
use super::options::{Gate, Mode, Placement};
use super::tenants_port::Tenants;

/// See the [module](self). The default is a cluster with nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    /// Our ConfigMap.
    pub(super) own: ConfigMap,
    /// PAC's.
    pub(super) pacs: ConfigMap,
    /// Our own Deployment.
    pub(super) our_watcher: Option<Deployment>,
    pub(super) pacs_watcher: Option<Deployment>,
    /// The one of shadow mode.
    pub(super) shadow: Option<Deployment>,
    /// Whether the Prometheus operator scrapes that.
    pub(super) shadow_is_scraped: bool,
    /// The gates that are there.
    pub(super) gates: Vec<Gate>,
    /// Whether there is a Service for tenants.
    pub(super) leads_tenants: bool,
    /// None where no cluster was asked.
    pub(super) server: Option<Server>,
}

/// The API server, as far as gates depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    /// Major and minor.
    pub(super) version: (u32, u32),
    /// Whether it serves MutatingAdmissionPolicies.
    pub(super) mutates: bool,
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

    /// The mode there is, if we are there. A gate tells it, too: an operator may have taken our container out.
    pub(super) fn mode(&self) -> Option<Mode> {
        let mode = self.deployment().map(|deployment| match is_companion(deployment) {
            true => Mode::Companion,
            false => Mode::Standalone,
        });
        let mode = mode.or_else(|| (!self.gates.is_empty()).then_some(Mode::Companion));
        mode.or_else(|| self.shadow.is_some().then_some(Mode::Shadow))
    }

    /// Where companion mode has its watcher, if it is there.
    pub(super) fn placement(&self) -> Option<Placement> {
        let deployment = self.deployment().filter(|deployment| is_companion(deployment))?;
        let is_ours = self.our_watcher.as_ref().is_some_and(|ours| std::ptr::eq(ours, deployment));
        Some(if is_ours { Placement::Deployment } else { Placement::Pod })
    }

    pub(super) fn is_in_pacs_pod(&self) -> bool {
        self.in_pacs_pod().is_some()
    }

    pub(super) fn pacs_pod_mounts(&self, volume: &str) -> bool {
        let volumes = self.in_pacs_pod().and_then(|deployment| template(deployment)?.spec.as_ref()?.volumes.as_ref());
        volumes.into_iter().flatten().any(|found| found.name == volume)
    }

    /// The gate that our watcher knows of, or one that is there.
    pub(super) fn gate(&self) -> Option<Gate> {
        let named = |deployment| {
            let name = argument(deployment, "--gate=")?;
            Gate::ALL.into_iter().find(|gate| gate.name() == name)
        };
        self.deployment().and_then(named).or_else(|| self.gates.first().copied())
    }

    /// Our container's image: of this mode, or what shadow mode had.
    pub(super) fn image(&self, mode: Mode) -> Option<String> {
        let deployment = self.deployment().filter(|_| mode != Mode::Shadow);
        container(deployment.or(self.shadow.as_ref())?)?.image.clone()
    }

    pub(super) fn replicas(&self) -> Option<u16> {
        self.our_watcher.as_ref()?.spec.as_ref()?.replicas?.try_into().ok()
    }

    /// The file that our container reads a password from, if it isn't the one from the Secret.
    pub(super) fn password_file(&self, key: &Key) -> Option<String> {
        let variables = container(self.deployment()?)?.env.as_ref()?;
        let file = variables.iter().find(|variable| variable.name == key.file_variable())?.value.clone()?;
        (!file.starts_with(SECRET_FOLDER)).then_some(file)
    }

    /// The port for tenants, if our container is told to serve it where ours is; elsewhere it is somebody's own.
    pub(super) fn tenants(&self) -> Option<Tenants> {
        let variables = container(self.deployment()?)?.env.as_ref()?;
        Tenants::served_by(|name| variables.iter().find(|variable| variable.name == name)?.value.clone())
    }

    /// The SecretProviderClass that is mounted.
    pub(super) fn secret_provider_class(&self) -> Option<String> {
        let volumes = template(self.deployment()?)?.spec.as_ref()?.volumes.as_ref()?;
        let volume = volumes.iter().find(|volume| volume.name == EXTERNAL)?;
        volume.csi.as_ref()?.volume_attributes.as_ref()?.get("secretProviderClass").cloned()
    }

    /// Annotations of our own pods, of this mode or what shadow mode had; those of PAC's pod stay by themselves.
    pub(super) fn pod_annotations(&self, mode: Mode) -> BTreeMap<String, String> {
        let ours = self.our_watcher.as_ref().filter(|_| mode != Mode::Shadow);
        let template = ours.or(self.shadow.as_ref()).and_then(template);
        let annotations = template.and_then(|template| template.metadata.as_ref()?.annotations.clone());
        let is_kubectls = |name: &str| name.starts_with("kubectl.kubernetes.io/");
        annotations.unwrap_or_default().into_iter().filter(|(name, _)| !is_kubectls(name)).collect()
    }

    /// Why applying this would have two start PipelineRuns side by side, or nothing to look at, if it would.
    pub(super) fn conflict(&self, mode: Mode, placement: Placement, namespace: &str) -> Option<String> {
        if mode == Mode::Shadow {
            return self.spoils_shadow(namespace);
        }
        let beside_pacs = mode == Mode::Standalone && scale(self.pacs_watcher.as_ref()) > 0;
        let standalone = self.our_watcher.as_ref().filter(|ours| !is_companion(ours));
        let beside_ours = placement == Placement::Pod && scale(standalone) > 0;
        if beside_pacs {
            return Some(format!(
                "PAC's own watcher is at work (Deployment {PAC_WATCHER} in {namespace}): it starts PipelineRuns from a queue of \
                 its own, and together with ours more than the limit. Stop it: kubectl scale deployment/{PAC_WATCHER} -n \
                 {namespace} --replicas=0; or choose --mode companion"
            ));
        }
        beside_ours.then(|| {
            format!(
                "our watcher is at work in standalone mode (Deployment {WATCHER} in {namespace}): it writes final states that \
                 are PAC's to write in companion mode. Remove it: kubectl delete deployment/{WATCHER} -n {namespace}; \
                 docs/installation.md has the rest"
            )
        })
    }

    /// What there is of ours that keeps PAC's queue from being what is measured.
    fn spoils_shadow(&self, namespace: &str) -> Option<String> {
        let mode = self.mode().filter(|mode| *mode != Mode::Shadow)?;
        Some(format!(
            "{} mode is installed in {namespace}, and shadow mode measures what PAC's own queue does without it. Remove it first, as \
             docs/{}.md has it",
            mode.name(),
            if mode == Mode::Companion { "companion" } else { "installation" }
        ))
    }

    /// The Deployment that we are in; of two, the one that has pods. Shadow mode's is none of them.
    fn deployment(&self) -> Option<&Deployment> {
        match (self.our_watcher.as_ref(), self.in_pacs_pod()) {
            (Some(ours), Some(pacs)) if scale(Some(ours)) == 0 => Some(pacs),
            (ours, pacs) => ours.or(pacs),
        }
    }

    /// PAC's Deployment, if our container is in it.
    fn in_pacs_pod(&self) -> Option<&Deployment> {
        self.pacs_watcher.as_ref().filter(|deployment| container(deployment).is_some())
    }
}

/// Our container.
fn container(deployment: &Deployment) -> Option<&Container> {
    let containers = &template(deployment)?.spec.as_ref()?.containers;
    containers.iter().find(|container| [WATCHER, SHADOW].contains(&container.name.as_str()))
}

/// What our container's command line says after `flag`.
fn argument<'a>(deployment: &'a Deployment, flag: &str) -> Option<&'a str> {
    container(deployment)?.args.as_ref()?.iter().find_map(|argument| argument.strip_prefix(flag))
}

fn is_companion(deployment: &Deployment) -> bool {
    argument(deployment, "--mode=") == Some(Mode::Companion.name())
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
            assert_eq!(beside_pacs.conflict(Mode::Standalone, Placement::Deployment, "ns").is_some(), conflicts);
            assert_eq!(beside_pacs.conflict(Mode::Companion, Placement::Pod, "ns"), None);
            let beside_ours = Live { our_watcher: deployment(replicas), ..Live::default() };
            assert_eq!(beside_ours.conflict(Mode::Companion, Placement::Pod, "ns").is_some(), conflicts);
            // The same Deployment, with another mode.
            assert_eq!(beside_ours.conflict(Mode::Companion, Placement::Deployment, "ns"), None);
            assert_eq!(beside_ours.conflict(Mode::Standalone, Placement::Deployment, "ns"), None);
        }
    }
}
