//! `cargo xtask krew`: the manifest by which krew installs `kubectl pac-queue` from a release.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::say;

/// What the archives of the client are called: `kubectl-pac_queue-v1.2.3-TARGET.tar.gz`, or `.zip`.
const PROGRAM: &str = "kubectl-pac_queue";
/// The targets of the release, and what krew calls each.
const PLATFORMS: &[(&str, &str, &str)] = &[
    ("x86_64-unknown-linux-musl", "linux", "amd64"),
    ("aarch64-unknown-linux-musl", "linux", "arm64"),
    ("x86_64-apple-darwin", "darwin", "amd64"),
    ("aarch64-apple-darwin", "darwin", "arm64"),
    ("x86_64-pc-windows-msvc", "windows", "amd64"),
];

#[derive(Debug, Args)]
pub(crate) struct KrewOptions {
    /// What sha256sum printed of the release's files.
    #[arg(long, value_name = "FILE")]
    checksums: PathBuf,
    /// The project's page, like `https://github.com/owner/name`: the release's files are below it.
    #[arg(long, value_name = "URL")]
    repository: String,
    /// Where the manifest goes.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// Writes the manifest.
pub(crate) fn krew(options: &KrewOptions) -> Result<()> {
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| path.display().to_string());
    let manifest = manifest(&read(&options.checksums)?, options.repository.trim_end_matches('/'))?;
    fs::write(&options.output, serde_yaml::to_string(&manifest)?)
        .with_context(|| options.output.display().to_string())?;
    say::print(&format!("wrote {}\n", options.output.display()))
}

fn manifest(checksums: &str, repository: &str) -> Result<Value> {
    let sums = sums(checksums);
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let platform = |(target, os, arch): &(&str, &str, &str)| {
        let (suffix, program) = match *os {
            "windows" => ("zip", format!("{PROGRAM}.exe")),
            _ => ("tar.gz", PROGRAM.to_owned()),
        };
        let archive = format!("{PROGRAM}-{version}-{target}.{suffix}");
        let Some(sum) = sums.get(archive.as_str()) else { bail!("the checksums have no {archive}") };
        Ok(json!({
            "selector": {"matchLabels": {"os": os, "arch": arch}},
            "uri": format!("{repository}/releases/download/{version}/{archive}"),
            "sha256": sum,
            "bin": program,
            "files": [{"from": program, "to": "."}, {"from": "LICENSE", "to": "."}],
        }))
    };
    Ok(json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "pac-queue"},
        "spec": {
            "version": version,
            "homepage": repository,
            "shortDescription": "Shows why PipelineRuns wait, and when they start",
            "description": "Asks the watcher that holds PipelineRuns of Pipelines-as-Code to the concurrency_limit of their \
                            Repository: who waits, at which place, for what and how long still. Pauses a Repository, and waits \
                            for a run.\n",
            "caveats": "For TAB behind `kubectl pac-queue`, link the program into a folder of your PATH as kubectl_complete-pac_queue:\n\
                        ln -s ~/.krew/bin/kubectl-pac_queue ~/.krew/bin/kubectl_complete-pac_queue\n",
            "platforms": PLATFORMS.iter().map(platform).collect::<Result<Vec<_>>>()?,
        },
    }))
}

/// The sums by file.
fn sums(checksums: &str) -> BTreeMap<&str, &str> {
    checksums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, file)| (file.trim(), sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: &str = "https://github.com/owner/name";

    fn checksums() -> String {
        let file = |(number, (target, os, _)): (usize, &(&str, &str, &str))| {
            let suffix = if *os == "windows" { "zip" } else { "tar.gz" };
            let version = env!("CARGO_PKG_VERSION");
            format!("{number:064x}  {PROGRAM}-v{version}-{target}.{suffix}\n")
        };
        PLATFORMS.iter().enumerate().map(file).collect::<String>() + "0123  install-standalone-memory.yaml\n"
    }

    /// What krew's own check asks for (internal/index/validation).
    #[test]
    fn the_manifest_is_one_that_krew_takes() {
        let manifest = manifest(&checksums(), REPOSITORY).unwrap();
        assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
        assert_eq!((&manifest["kind"], &manifest["metadata"]["name"]), (&json!("Plugin"), &json!("pac-queue")));
        let short = manifest["spec"]["shortDescription"].as_str().unwrap();
        assert!(!short.is_empty() && !short.contains('\n'));
        assert!(manifest["spec"]["version"].as_str().unwrap().starts_with('v'));
        let platforms = manifest["spec"]["platforms"].as_array().unwrap();
        assert_eq!(platforms.len(), PLATFORMS.len());
        for (number, platform) in platforms.iter().enumerate() {
            assert_eq!(platform["sha256"], format!("{number:064x}"));
            let labels = platform["selector"]["matchLabels"].as_object().unwrap();
            assert!(labels.keys().eq(["arch", "os"]), "{labels:?}");
            let program = platform["bin"].as_str().unwrap();
            // `kubectl pac-queue` is found by this name.
            assert_eq!(program.trim_end_matches(".exe"), "kubectl-pac_queue");
            assert_eq!(program.ends_with(".exe"), labels["os"] == "windows");
            assert_eq!(platform["files"][0]["from"], program);
            assert!(platform["uri"].as_str().unwrap().starts_with("https://github.com/owner/name/releases/download/v"));
        }
    }

    #[test]
    fn an_archive_that_is_missing_is_named() {
        let without = checksums().replace("x86_64-apple-darwin", "another");
        let error = manifest(&without, REPOSITORY).unwrap_err().to_string();
        assert!(error.contains("x86_64-apple-darwin.tar.gz"), "{error}");
    }
}
