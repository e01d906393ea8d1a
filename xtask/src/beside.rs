//! `cargo xtask beside`: today's watchers beside those of another version, on one store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cargo::{cargo, run};
use crate::{root, services};

#[derive(Debug, Args)]
pub(crate) struct BesideOptions {
    /// The other version: a tag or any other name of a revision. It is built as it was committed.
    revision: String,
    /// Run no test, but have the other version leave a store for the tests of every day to open, in crates/pac/tests/recorded.
    #[arg(long)]
    record: bool,
}

/// Builds the other version and runs the tests that need it; an error if one fails.
pub(crate) fn beside(options: &BesideOptions) -> Result<()> {
    services::bring_all()?;
    let program = build(&options.revision)?;
    let tests: &[&str] = if options.record { &["--exact", "record"] } else { &["beside::"] };
    let runner =
        ["test", "--package", "pac", "--test", "versions", "--", "--ignored", "--nocapture", "--test-threads=1"];
    let mut command = cargo(&[&runner, tests].concat())?;
    command.env("PAC_TEST_BESIDE", program);
    run(command)
}

/// The program of that revision. One that was built before is there still.
fn build(revision: &str) -> Result<PathBuf> {
    let commit = commit(revision)?;
    let folder = root().join("target/beside");
    let program = folder.join(format!("pac-watcher-{commit}"));
    if program.exists() {
        return Ok(program);
    }
    let tree = folder.join("tree");
    export(&commit, &tree)?;
    let target = folder.join("target");
    let mut command = cargo(&["build", "--package", "pac"])?;
    command.current_dir(&tree).env("CARGO_TARGET_DIR", &target).env("CARGO_PROFILE_DEV_DEBUG", "false");
    run(command)?;
    fs::copy(target.join("debug/pac-watcher"), &program).context("can't keep what was built")?;
    fs::remove_dir_all(&tree)?;
    Ok(program)
}

fn commit(revision: &str) -> Result<String> {
    let asked = format!("{revision}^{{commit}}");
    let output = git(&["rev-parse", "--verify", "--quiet", &asked]).output().context("can't run git")?;
    ensure!(output.status.success(), "there is no revision {revision}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Puts the files of `commit` into `tree`, and nothing else.
fn export(commit: &str, tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    fs::create_dir_all(tree)?;
    let mut archive = git(&["archive", commit]).stdout(Stdio::piped()).spawn().context("can't run git")?;
    let files = archive.stdout.take().context("git says nothing")?;
    let unpacked = Command::new("tar").arg("-x").current_dir(tree).stdin(files).status().context("can't run tar")?;
    if !archive.wait()?.success() || !unpacked.success() {
        bail!("the files of {commit} could not be had");
    }
    Ok(())
}

fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(root());
    command
}
