//! What one set of manifests is for: everything that was chosen, complete and checked.

use std::time::Duration;

use super::options::{Mode, VariantOptions};
use super::settings::{Chosen, Store, Unusable};

/// Stands for where the runbook is until somebody says it; nobody can know where these files are put up.
const RUNBOOK: &str = "https://pac-watcher.example.com/docs/operations.md";

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) mode: Mode,
    pub(super) namespace: String,
    pub(super) image: String,
    pub(super) replicas: u16,
    /// How long a PipelineRun may wait.
    pub(super) wait_target: Duration,
    /// Where the runbook of the alerts is.
    pub(super) runbook_url: String,
    pub(super) settings: Chosen,
}

// === impl Variant ===

impl Variant {
    /// All problems at once, or the variant, with what is suspicious about it.
    pub(super) fn of(options: &VariantOptions) -> Result<(Self, Vec<String>), Unusable> {
        let namespace = options.namespace.clone().unwrap_or_else(|| "pipelines-as-code".to_owned());
        let image =
            options.image.clone().unwrap_or_else(|| concat!("pac-watcher:", env!("CARGO_PKG_VERSION")).to_owned());
        let mode = options.mode.unwrap_or_default();
        let chosen = Chosen::of(options, &namespace);
        let in_memory = chosen.as_ref().is_ok_and(|(chosen, _)| chosen.store == Store::Memory);
        let mut problems = replica_problems(options, mode, in_memory);
        match chosen {
            Ok((settings, warnings)) if problems.is_empty() => {
                let replicas = options.replicas.unwrap_or(if in_memory { 1 } else { 2 });
                let wait_target = Duration::from_mins(options.wait_target.unwrap_or(30).into());
                let runbook_url = options.runbook_url.clone().unwrap_or_else(|| RUNBOOK.to_owned());
                Ok((Self { mode, namespace, image, replicas, wait_target, runbook_url, settings }, warnings))
            }
            Ok(_) => Err(Unusable(problems)),
            Err(Unusable(mut found)) => {
                found.append(&mut problems);
                Err(Unusable(found))
            }
        }
    }

    pub(super) fn is_companion(&self) -> bool {
        self.mode == Mode::Companion
    }

    pub(super) fn in_memory(&self) -> bool {
        self.settings.store == Store::Memory
    }
}

fn replica_problems(options: &VariantOptions, mode: Mode, in_memory: bool) -> Vec<String> {
    match options.replicas {
        Some(_) if mode == Mode::Companion => {
            vec!["--replicas: the pods are PAC's in companion mode; scale PAC's Deployment".to_owned()]
        }
        Some(replicas) if replicas > 1 && in_memory => {
            vec!["--replicas: the memory of one watcher can't be shared; there is one at a time".to_owned()]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Driver;

    #[test]
    fn replicas_are_for_those_that_can_have_them() {
        let with = |mode, driver, replicas| {
            let options =
                VariantOptions { mode: Some(mode), driver: Some(driver), replicas, ..VariantOptions::default() };
            Variant::of(&options).map(|(variant, _)| variant.replicas).map_err(|Unusable(problems)| problems.len())
        };
        assert_eq!(with(Mode::Standalone, Driver::Memory, None), Ok(1));
        assert_eq!(with(Mode::Standalone, Driver::Etcd, None), Ok(2));
        assert_eq!(with(Mode::Standalone, Driver::Postgresql, Some(5)), Ok(5));
        assert_eq!(with(Mode::Standalone, Driver::Memory, Some(2)), Err(1));
        assert_eq!(with(Mode::Companion, Driver::Postgresql, Some(2)), Err(1));
    }
}
