//! What the watches show, told to shadow mode, which measures it.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Limit, RepositoryKey, RunKey};
use pac_kube::convert::{Phase, RunView};
use pac_shadow::{Shadow, Stage};
use pac_state::index::Index;

/// Has what the watches show measured.
#[derive(Debug, Clone)]
pub(crate) struct Observer {
    pub shadow: Arc<Shadow>,
    pub index: Arc<Index>,
}

/// What is measured by, of one version of a run.
#[derive(Debug)]
pub(crate) struct SeenRun {
    key: RunKey,
    repository: RepositoryKey,
    event: Option<u64>,
    stage: Option<Stage>,
}

// === impl SeenRun ===

impl SeenRun {
    pub(crate) fn of(view: &RunView) -> Self {
        let stage = match view.phase {
            Phase::Waiting => Some(Stage::Waiting),
            Phase::Running => Some(Stage::Running),
            Phase::Held | Phase::Withdrawn | Phase::Stopping | Phase::ForceReleased | Phase::Done(_) => {
                Some(Stage::Over)
            }
            // PAC is about to queue it, or, where there is no limit, never does.
            Phase::Arriving => None,
        };
        Self { key: view.key.clone(), repository: view.repository.clone(), event: view.event, stage }
    }
}

// === impl Observer ===

impl Observer {
    /// The index has taken in a version of a run, which touched these.
    pub(crate) fn saw_run(&self, seen: &SeenRun, touched: &[RepositoryKey]) {
        let now = Timestamp::now();
        for former in touched.iter().filter(|key| **key != seen.repository) {
            self.shadow.gone(former, seen.key.name(), now);
        }
        let entry = self.index.with(&seen.repository, |state| state.entry(&seen.key));
        if let (Some(stage), Some(entry)) = (seen.stage, entry) {
            self.shadow.run(&seen.repository, &entry, seen.event, stage, now);
        }
    }

    /// The index shows the run `path` of `repository` no longer.
    pub(crate) fn saw_run_gone(&self, repository: &RepositoryKey, path: &str) {
        let name = path.split_once('/').map_or(path, |(_, name)| name);
        self.shadow.gone(repository, name, Timestamp::now());
    }

    /// The limits of these may be others now.
    pub(crate) fn saw_limits(&self, repositories: &[RepositoryKey]) {
        for repository in repositories {
            let limit = match self.index.limit(repository) {
                Limit::AtMost(most) => Some(most.get()),
                Limit::Unlimited | Limit::Unknown => None,
            };
            self.shadow.limit(repository, limit, Timestamp::now());
        }
    }
}
