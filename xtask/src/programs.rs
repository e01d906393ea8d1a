//! The programs that demo and chaos run.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cargo::{cargo, run, target_folder};

/// Watcher and development cluster, built.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

// === impl Programs ===

impl Programs {
    /// Builds them.
    pub(crate) fn build(release: bool) -> Result<Self> {
        let mut arguments = vec!["build", "--package", "pac", "--package", "pac-devcluster"];
        arguments.extend(release.then_some("--release"));
        run(cargo(&arguments)?)?;
        Ok(Self { folder: target_folder().join(if release { "release" } else { "debug" }) })
    }

    /// Where one of them is.
    pub(crate) fn find(&self, program: &str) -> Result<PathBuf> {
        let file = self.folder.join(program);
        if file.is_file() { Ok(file) } else { bail!("built {program}, and it isn't at {}", file.display()) }
    }
}
