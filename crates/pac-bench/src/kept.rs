//! Where results are kept: `docs/benchmarks.json`, and beside it, for people, a page and a plot.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::RESULTS;
use crate::report::{Report, Section};
use crate::{markdown, scale};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Kept {
    figures: PathBuf,
    shown: PathBuf,
    plotted: PathBuf,
}

// === impl Kept ===

impl Kept {
    /// In the workspace at `root`.
    ///
    /// # Errors
    ///
    /// If what is there can't be read.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let [figures, shown, plotted] = RESULTS.map(|result| root.join(result));
        Report::read(&figures)?;
        Ok(Self { figures, shown, plotted })
    }

    /// Puts `section` in the place of the one of its name.
    pub(crate) fn put(&self, section: &Section) -> Result<()> {
        let shown = &self.shown;
        let document = std::fs::read_to_string(shown).with_context(|| format!("can't read {}", shown.display()))?;
        std::fs::write(shown, markdown::replace(&document, section)?)?;
        if section.name == "scale" {
            std::fs::write(&self.plotted, scale::plot(&section.tables))?;
        }
        let mut report = Report::read(&self.figures)?;
        report.put(section.clone());
        report.write(&self.figures)
    }
}
