//! The programs that demo and chaos run.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cargo::{cargo, run};
use crate::root;

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
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        Ok(Self { folder: target.join(if release { "release" } else { "debug" }) })
    }

    /// Where one of them is.
    pub(crate) fn find(&self, program: &str) -> Result<PathBuf> {
        let file = self.folder.join(program);
        if file.is_file() { Ok(file) } else { bail!("built {program}, and it isn't at {}", file.display()) }
    }
}
