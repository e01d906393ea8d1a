//! The files of the workspace that the checks look at.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Texts by path, relative to the workspace, with `/` between folders.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) texts: BTreeMap<String, String>,
}

/// Endings of files that are text and ours.
const ENDINGS: &[&str] = &["rs", "toml", "md", "sql", "yaml", "yml", "sh", "json"];

// === impl Sources ===

impl Sources {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut sources = Self::default();
        sources.read_folder(root, "")?;
        Ok(sources)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("can't list {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if entry.file_type()?.is_dir() {
                if name != ".git" && !name.starts_with("target") {
                    self.read_folder(&entry.path(), &path)?;
                }
            } else if ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}"))) || prefix == ".ci" {
                self.texts.insert(path, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The folders of crates, with their manifests.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        let manifests =
            self.texts.iter().filter_map(|(path, text)| Some((path.strip_suffix("/Cargo.toml")?, text.as_str())));
        manifests.filter(|(folder, _)| *folder == "xtask" || folder.starts_with("crates/"))
    }
}

/// A file's text without its own tests, as rustfmt indents them.
pub(super) fn without_tests(text: &str) -> String {
    let Some((before, tests)) = text.split_once("#[cfg(test)]\nmod tests") else { return text.to_owned() };
    let after = tests.split_once("\n}\n").map_or("", |(_, after)| after);
    format!("{before}{after}")
}

#[cfg(test)]
impl Sources {
    pub(super) fn of(texts: &[(&str, &str)]) -> Self {
        Self { texts: texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }
}
