//! `config/`: what is committed of all this, and whether it is still what would be generated.
//!
//! On top are the two files of the deployment guide, with every key at its default, and the dashboard; below, a folder for
//! each variant.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use pac_config::DriverKind;

use super::live::Live;
use super::options::{Mode, VariantOptions};
use super::set::manifests;
use super::variant::Variant;
use super::{config_map, dashboard, secret};
use crate::root;

const FOLDER: &str = "config";

/// Writes the folder anew.
pub(super) fn write() -> Result<()> {
    let folder = root().join(FOLDER);
    let files = files()?;
    for path in present(&folder)?.into_iter().filter(|path| !files.contains_key(path)) {
        fs::remove_file(folder.join(&path)).with_context(|| format!("can't remove {FOLDER}/{path}"))?;
    }
    for (path, text) in &files {
        write_file(&folder.join(path), text)?;
    }
    eprintln!("wrote {} files in {FOLDER}/", files.len());
    Ok(())
}

/// Writes one file, and the folder it is in.
pub(super) fn write_file(path: &Path, text: &str) -> Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.with_context(|| format!("can't write {}", path.display()))
}

/// An error that names every file that isn't as it would be generated now.
pub(super) fn check() -> Result<()> {
    let stale = stale(&root())?;
    if stale.is_empty() {
        return Ok(());
    }
    bail!("not what `cargo xtask deploy` makes; run it:\n{}", stale.join("\n"))
}

fn stale(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FOLDER);
    let files = files()?;
    let is_current = |path: &str, text: &String| fs::read_to_string(folder.join(path)).is_ok_and(|now| now == *text);
    let differing = files.iter().filter(|(path, text)| !is_current(path, text)).map(|(path, _)| path.clone());
    let unknown = present(&folder)?.into_iter().filter(|path| !files.contains_key(path));
    Ok(differing.chain(unknown).map(|path| format!("{FOLDER}/{path}")).collect())
}

/// Every file by its path in the folder.
fn files() -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for options in variants() {
        let (variant, _) = Variant::of(&options, &Live::default())?;
        let driver = variant.settings.driver();
        for manifest in manifests(&variant)? {
            files.insert(format!("{}-{driver}/{}", variant.mode.name(), manifest.file), manifest.text());
        }
    }
    let (plain, _) = Variant::of(&VariantOptions::default(), &Live::default())?;
    for manifest in [config_map::manifest(&plain)?, secret::manifest(&plain)?] {
        files.insert(manifest.file.to_owned(), manifest.text());
    }
    files.insert(dashboard::FILE.to_owned(), dashboard::text());
    Ok(files)
}

/// All there are: each mode with each driver.
pub(super) fn variants() -> Vec<VariantOptions> {
    let modes = [Mode::Standalone, Mode::Companion].into_iter();
    let with_drivers = |mode| {
        DriverKind::ALL.into_iter().map(move |driver| VariantOptions {
            mode: Some(mode),
            driver: Some(driver),
            ..VariantOptions::default()
        })
    };
    modes.flat_map(with_drivers).collect()
}

/// The files there are in `folder` and the folders in it.
fn present(folder: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    let list = |folder: &Path| fs::read_dir(folder).with_context(|| format!("can't list {}", folder.display()));
    for entry in list(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            for inner in list(&entry.path())? {
                paths.push(format!("{name}/{}", inner?.file_name().to_string_lossy()));
            }
        } else {
            paths.push(name);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_is_what_would_be_generated() {
        check().unwrap();
    }

    #[test]
    fn a_file_that_was_edited_is_missing_or_is_unknown_is_found() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        let files = files().unwrap();
        for (path, text) in &files {
            write_file(&folder.join(path), text).unwrap();
        }
        assert_eq!(stale(root.path()).unwrap(), Vec::<String>::new());
        fs::write(folder.join("302-pac-configmap.yaml"), "edited").unwrap();
        fs::remove_file(folder.join("concurrency-secret.yaml")).unwrap();
        fs::write(folder.join("standalone-etcd/more.yaml"), "more").unwrap();
        let found =
            ["config/302-pac-configmap.yaml", "config/concurrency-secret.yaml", "config/standalone-etcd/more.yaml"];
        assert_eq!(stale(root.path()).unwrap(), found);
    }
}
