//! What one set of manifests is for: everything that was chosen, complete and checked.

use std::collections::BTreeMap;
use std::time::Duration;

use pac_config::Key;

use super::folders::EXTERNAL_FOLDER;
use super::former::Former;
use super::gate_choice::GateChoice;
use super::live::Live;
use super::names::{COMPANION_LABEL, PAC_WATCHER, SHADOW, WATCHER, name_label};
use super::options::{Gate, Mode, Placement, VariantOptions};
use super::settings::{Chosen, Store, Unusable};
use super::tenants_port::Tenants;

/// Stands for where the runbook is until somebody says it; nobody can know where these files are put up.
const RUNBOOK: &str = "https://pac-watcher.example.com/docs/operations.md";

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) mode: Mode,
    pub(super) placement: Placement,
    /// What keeps PAC's own queue out: companion mode alone.
    pub(super) gate: Option<GateChoice>,
    /// What the cluster has besides, and what goes once all this is there.
    pub(super) former: Former,
    pub(super) namespace: String,
    pub(super) image: String,
    pub(super) replicas: u16,
    /// How long a PipelineRun may wait.
    pub(super) wait_target: Duration,
    /// Where the runbook of the alerts is.
    pub(super) runbook_url: String,
    pub(super) settings: Chosen,
    /// Where the pod has the store's password, if not from the Secret.
    pub(super) password_file: Option<String>,
    /// What the Secrets Store CSI driver mounts.
    pub(super) secret_provider_class: Option<String>,
    pub(super) pod_annotations: BTreeMap<String, String>,
    /// The port for tenants, if it is served.
    pub(super) tenants: Option<Tenants>,
}

// === impl Variant ===

impl Variant {
    /// All problems at once, or the variant, with what is suspicious about it. What wasn't chosen is as in `live`.
    pub(super) fn of(options: &VariantOptions, live: &Live) -> Result<(Self, Vec<String>), Unusable> {
        let namespace = options.namespace().to_owned();
        let mode = options.mode.or_else(|| live.mode()).unwrap_or_default();
        if mode == Mode::Shadow {
            return Self::shadow(options, live).map(|variant| (variant, Vec::new()));
        }
        let placement = match mode {
            Mode::Standalone | Mode::Shadow => Placement::Deployment,
            Mode::Companion => options.placement.or_else(|| live.placement()).unwrap_or_default(),
        };
        let chosen = Chosen::of(options, &namespace, &live.settings());
        let store = chosen.as_ref().ok().map(|(chosen, _)| &chosen.store);
        let in_memory = store == Some(&Store::Memory);
        let password = store.and_then(Store::password);
        let mut problems = mode_problems(options, mode);
        problems.extend(replica_problems(options, placement, in_memory));
        problems.extend(password_problems(options, live.secret_provider_class(), store));
        let tenants = tenants(options, live).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let gate = (mode == Mode::Companion).then(|| GateChoice::of(options.gate, live)).transpose();
        let gate = gate.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        match chosen {
            Ok((settings, warnings)) if problems.is_empty() => {
                let several = options.replicas.or_else(|| live.replicas()).unwrap_or(2);
                let wait_target = Duration::from_mins(options.wait_target.unwrap_or(30).into());
                let runbook_url = options.runbook_url.clone().unwrap_or_else(|| RUNBOOK.to_owned());
                let in_cluster = password.and_then(|key| live.password_file(key));
                let in_pacs_pod = placement == Placement::Pod;
                let variant = Self {
                    mode,
                    placement,
                    former: Former::of(live, gate.as_ref().map(|choice| choice.gate), in_pacs_pod, options.tenants),
                    gate,
                    namespace,
                    image: image(options, live, mode),
                    replicas: if in_memory { 1 } else { several },
                    wait_target,
                    runbook_url,
                    settings,
                    password_file: options.password_file.clone().or(in_cluster),
                    secret_provider_class: options
                        .secret_provider_class
                        .clone()
                        .or_else(|| live.secret_provider_class()),
                    pod_annotations: pod_annotations(options, live, mode),
                    tenants,
                };
                Ok((variant, warnings))
            }
            Ok(_) => Err(Unusable(problems)),
            Err(Unusable(mut found)) => {
                found.append(&mut problems);
                Err(Unusable(found))
            }
        }
    }

    /// Shadow mode has what others have by default, and of the settings none counts.
    fn shadow(options: &VariantOptions, live: &Live) -> Result<Self, Unusable> {
        let problems = shadow_problems(options);
        if !problems.is_empty() {
            return Err(Unusable(problems));
        }
        let mode = Mode::Shadow;
        let plain = VariantOptions { mode: Some(Mode::Standalone), ..VariantOptions::default() };
        let (plain, _) = Self::of(&plain, &Live::default())?;
        Ok(Self {
            mode,
            namespace: options.namespace().to_owned(),
            image: image(options, live, mode),
            pod_annotations: pod_annotations(options, live, mode),
            ..plain
        })
    }

    /// What our Deployment is called, and what belongs to it.
    pub(super) fn app(&self) -> &'static str {
        if self.mode == Mode::Shadow { SHADOW } else { WATCHER }
    }

    /// What a pod that our container is in is found by. PAC's pod has its own name, so that it needs another label.
    pub(super) fn pod_labels(&self) -> BTreeMap<String, String> {
        match self.placement {
            Placement::Deployment => name_label(self.app()),
            Placement::Pod => BTreeMap::from([(COMPANION_LABEL.to_owned(), "true".to_owned())]),
        }
    }

    /// The key of the password that the store asks for.
    pub(super) fn password(&self) -> Option<&'static Key> {
        self.settings.store.password()
    }

    pub(super) fn gate(&self) -> Option<Gate> {
        self.gate.as_ref().map(|choice| choice.gate)
    }

    pub(super) fn in_pacs_pod(&self) -> bool {
        self.placement == Placement::Pod
    }

    /// The service account of the watcher there, if a watcher is there, for now or for good.
    pub(super) fn account(&self, placement: Placement) -> Option<&'static str> {
        let account = match placement {
            Placement::Deployment => WATCHER,
            Placement::Pod => PAC_WATCHER,
        };
        (self.placement == placement || self.former.placement == Some(placement)).then_some(account)
    }

    /// The same once what was there before is gone.
    pub(super) fn settled(&self) -> Self {
        Self { former: Former::default(), ..self.clone() }
    }

    pub(super) fn in_memory(&self) -> bool {
        self.settings.store == Store::Memory
    }
}

fn image(options: &VariantOptions, live: &Live, mode: Mode) -> String {
    let image = options.image.clone().or_else(|| live.image(mode));
    image.unwrap_or_else(|| concat!("pac-watcher:", env!("CARGO_PKG_VERSION")).to_owned())
}

fn pod_annotations(options: &VariantOptions, live: &Live, mode: Mode) -> BTreeMap<String, String> {
    let mut annotations = live.pod_annotations(mode);
    annotations.extend(options.pod_annotation.iter().cloned());
    annotations
}

/// The port for tenants as it was chosen, or as it is.
fn tenants(options: &VariantOptions, live: &Live) -> Result<Option<Tenants>, String> {
    let audiences = &options.tenants_audience;
    match options.tenants {
        Some(false) if audiences.is_empty() => Ok(None),
        Some(false) => Err("--tenants-audience: there is no port for tenants with --tenants=false".to_owned()),
        None if audiences.is_empty() => Ok(live.tenants()),
        _ if audiences.is_empty() => Ok(Some(live.tenants().unwrap_or_default())),
        _ => Ok(Some(Tenants { audiences: audiences.clone() })),
    }
}

/// What was chosen and has no place in shadow mode.
fn shadow_problems(options: &VariantOptions) -> Vec<String> {
    let given = [
        ("--placement", options.placement.is_some()),
        ("--gate", options.gate.is_some()),
        ("--driver", options.driver.is_some()),
        ("--replicas", options.replicas.is_some()),
        ("--tenants", options.tenants == Some(true)),
        ("--tenants-audience", !options.tenants_audience.is_empty()),
        ("--wait-target", options.wait_target.is_some()),
        ("--runbook-url", options.runbook_url.is_some()),
        ("--set", !options.set.is_empty()),
        ("--settings", options.settings.is_some()),
        ("--password-file", options.password_file.is_some()),
        ("--secret-provider-class", options.secret_provider_class.is_some()),
    ];
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    given
        .map(|(flag, _)| {
            format!(
                "{flag}: is not for --mode shadow, where one watcher looks on, without settings, store, gate, tenants or alerts"
            )
        })
        .collect()
}

fn mode_problems(options: &VariantOptions, mode: Mode) -> Vec<String> {
    let given = [("--placement", options.placement.is_some()), ("--gate", options.gate.is_some())];
    let given = given.into_iter().filter(|(_, is_given)| *is_given && mode == Mode::Standalone);
    given.map(|(flag, _)| format!("{flag}: is for --mode companion, where PAC's own watcher is at work, too")).collect()
}

fn replica_problems(options: &VariantOptions, placement: Placement, in_memory: bool) -> Vec<String> {
    match options.replicas {
        Some(_) if placement == Placement::Pod => {
            vec!["--replicas: the pods are PAC's; scale PAC's Deployment".to_owned()]
        }
        Some(replicas) if replicas > 1 && in_memory => {
            vec!["--replicas: the memory of one watcher can't be shared; there is one at a time".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn password_problems(options: &VariantOptions, mounted: Option<String>, store: Option<&Store>) -> Vec<String> {
    let nobody_logs_in = store.is_some_and(|store| store.password().is_none());
    let class = options.secret_provider_class.is_some();
    if nobody_logs_in && (options.password_file.is_some() || class) {
        return vec![
            "--password-file, --secret-provider-class: nobody logs in to this store, so that it takes no password"
                .to_owned(),
        ];
    }
    if class && options.password_file.is_none() && mounted.is_none() {
        let why =
            format!("--secret-provider-class: say which file it mounts, by --password-file {EXTERNAL_FOLDER}/NAME");
        return vec![why];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use pac_config::DriverKind;

    use super::*;

    #[test]
    fn replicas_are_for_those_that_can_have_them() {
        let with = |mode, placement, driver, replicas| {
            let (mode, driver) = (Some(mode), Some(driver));
            let options = VariantOptions { mode, placement, driver, replicas, ..VariantOptions::default() };
            Variant::of(&options, &Live::default())
                .map(|(variant, _)| variant.replicas)
                .map_err(|Unusable(problems)| problems.len())
        };
        assert_eq!(with(Mode::Standalone, None, DriverKind::Memory, None), Ok(1));
        assert_eq!(with(Mode::Standalone, None, DriverKind::Etcd, None), Ok(2));
        assert_eq!(with(Mode::Standalone, None, DriverKind::PostgreSql, Some(5)), Ok(5));
        assert_eq!(with(Mode::Standalone, None, DriverKind::Memory, Some(2)), Err(1));
        assert_eq!(with(Mode::Companion, None, DriverKind::PostgreSql, None), Ok(2));
        assert_eq!(with(Mode::Companion, Some(Placement::Pod), DriverKind::PostgreSql, Some(2)), Err(1));
    }
}
