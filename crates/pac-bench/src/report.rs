//! What was measured, as it is kept from one time to the next.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::figure::Table;
use crate::machine::Machine;

/// The newest figures of each kind, which need not be of one day.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// In the order they are shown in.
    pub(crate) sections: Vec<Section>,
}

/// What one kind of benchmark came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Section {
    /// As on the command line: `store`, `handoff`, `scale`, `webhook` or `plan`.
    pub(crate) name: String,
    /// Where and with what.
    pub(crate) machine: Machine,
    /// The figures.
    pub(crate) tables: Vec<Table>,
}

// === impl Report ===

impl Report {
    /// What `file` holds; nothing if there is none.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no result of an earlier benchmark", file.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))
    }

    /// Takes `section` in, in place of the one of that name.
    pub(crate) fn put(&mut self, section: Section) {
        match self.sections.iter_mut().find(|other| other.name == section.name) {
            Some(other) => *other = section,
            None => self.sections.push(section),
        }
    }

    /// The section of that name.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}
