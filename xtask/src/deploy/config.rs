//! `config/` and `charts/`: what is committed of all this, and whether it is still what would be generated.
//!
//! On top of `config/` are the two files of the deployment guide, with every key at its default, those of the port for tenants, and the
//! dashboard; below, a folder for each mode with each driver, and one for shadow mode, which has none. `charts/` has the Helm chart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use pac_config::DriverKind;

use super::live::Live;
use super::options::{Mode, VariantOptions};
use super::set::manifests;
use super::variant::Variant;
use super::{chart, config_map, dashboard, secret, tenants};
use crate::root;

const FOLDERS: [&str; 2] = ["config", "charts"];

/// Writes the folders anew.
pub(super) fn write() -> Result<()> {
    let (root, files) = (root(), files()?);
    for path in present(&root)?.into_iter().filter(|path| !files.contains_key(path)) {
        fs::remove_file(root.join(&path)).with_context(|| format!("can't remove {path}"))?;
    }
    for (path, text) in &files {
        write_file(&root.join(path), text)?;
    }
    eprintln!("wrote {} files in {}/", files.len(), FOLDERS.join("/ and "));
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
    let files = files()?;
    let is_current = |path: &str, text: &String| fs::read_to_string(root.join(path)).is_ok_and(|now| now == *text);
    let differing = files.iter().filter(|(path, text)| !is_current(path, text)).map(|(path, _)| path.clone());
    let unknown = present(root)?.into_iter().filter(|path| !files.contains_key(path));
    Ok(differing.chain(unknown).collect())
}

/// Every file by its path from the root.
fn files() -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for options in variants() {
        let (variant, _) = Variant::of(&options, &Live::default())?;
        for manifest in manifests(&variant)? {
            files.insert(format!("config/{}/{}", folder(&variant), manifest.file), manifest.text());
        }
    }
    let (plain, _) = Variant::of(&VariantOptions::default(), &Live::default())?;
    let beside = [tenants::manifest(&plain)?, tenants::patch(&plain)?];
    for manifest in [config_map::manifest(&plain)?, secret::manifest(&plain)?].into_iter().chain(beside) {
        files.insert(format!("config/{}", manifest.file), manifest.text());
    }
    files.insert(format!("config/{}", dashboard::FILE), dashboard::text());
    files.extend(chart::files()?.into_iter().map(|(path, text)| (format!("charts/{path}"), text)));
    Ok(files)
}

/// Where a variant's files are.
fn folder(variant: &Variant) -> String {
    match variant.mode {
        Mode::Shadow => variant.mode.name().to_owned(),
        Mode::Standalone | Mode::Companion => format!("{}-{}", variant.mode.name(), variant.settings.driver()),
    }
}

/// All there are: each mode with each driver, where it has one.
pub(super) fn variants() -> Vec<VariantOptions> {
    let modes = [Mode::Standalone, Mode::Companion].into_iter();
    let with_drivers = |mode| {
        DriverKind::ALL.into_iter().map(move |driver| VariantOptions {
            mode: Some(mode),
            driver: Some(driver),
            ..VariantOptions::default()
        })
    };
    let shadow = VariantOptions { mode: Some(Mode::Shadow), ..VariantOptions::default() };
    modes.flat_map(with_drivers).chain([shadow]).collect()
}

/// The files there are in the folders, by their paths from `root`.
fn present(root: &Path) -> Result<Vec<String>> {
    let mut folders: Vec<String> = FOLDERS.map(str::to_owned).to_vec();
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let entry = entry.with_context(|| format!("can't list {folder}"))?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() { folders.push(path) } else { paths.push(path) }
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
        let folder = root.path().join("config");
        let files = files().unwrap();
        for (path, text) in &files {
            write_file(&root.path().join(path), text).unwrap();
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
