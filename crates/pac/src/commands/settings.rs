//! The settings as a command finds them: in the watcher's pod, or on a laptop, which has other files.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use pac_client::patience::Patience;
use pac_config::{Disk, Origin, ReadFile, Resolved, Sources};
use pac_watcher::reload::SettingsSource;

use super::{Failure, failure, settings_place};
use crate::cli::Place;

/// Files that settings name, where the settings may be those of a pod and this machine isn't.
#[derive(Debug)]
pub(super) struct Files {
    in_pod: bool,
    missing: RefCell<Vec<PathBuf>>,
}

/// What the settings are made from.
pub(super) async fn read(place: &Place, patience: Patience) -> Result<Sources, Failure> {
    let source = SettingsSource::at(&settings_place(place, patience.request_timeout)).await.map_err(failure)?;
    source.sources().await.map_err(failure)
}

/// An error if there are no settings at all, only defaults: far likelier a wrong namespace than what anybody wants to know.
pub(super) fn insist_on_any(sources: &Sources, resolved: &Resolved) -> Result<(), Failure> {
    let is_given = |origin: &Origin| !matches!(origin, Origin::Default | Origin::CommandLine { .. });
    match sources.missing() {
        [] => Ok(()),
        _ if resolved.effective.iter().any(|row| is_given(&row.origin)) => Ok(()),
        missing => Err((
            2,
            format!(
                "there are no settings: {} is missing. PAC's namespace is named by --namespace, its ConfigMap by --configmap",
                missing.join(", and ")
            ),
        )),
    }
}

// === impl Files ===

impl Files {
    pub(super) fn new() -> Self {
        // Kubernetes puts it into every container.
        Self { in_pod: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(), missing: RefCell::default() }
    }

    /// Those that were wanted and aren't on this machine.
    pub(super) fn missing(&self) -> Vec<PathBuf> {
        self.missing.borrow().clone()
    }
}

impl ReadFile for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let read = Disk.read(path);
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.missing.borrow_mut().push(path.to_owned());
        }
        read
    }

    fn may_be_elsewhere(&self) -> bool {
        !self.in_pod
    }
}
