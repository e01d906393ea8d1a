//! `cargo xtask sabotage`: whether the recorder has teeth.
//!
//! The tests of the whole binary are judged by a recorder that reads the API server's history (see pac-devcluster's
//! `verdict`). Here the watcher is built with a bug put in on purpose, one at a time, in a copy of the workspace; the test
//! has to fail, with the recorder's word that a promise is broken.

mod bugs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::bugs::{BUGS, Bug};
use crate::cargo::cargo;
use crate::{root, say, services};

#[derive(Debug, Args)]
pub(crate) struct SabotageOptions {
    /// Which bug: version, absence or merge-patch [default: all, one after the other].
    bug: Option<String>,
}

/// Puts bugs in; an error if one of them is not noticed.
pub(crate) fn sabotage(options: &SabotageOptions) -> Result<()> {
    let asked_for = |bug: &&Bug| options.bug.as_ref().is_none_or(|name| name == bug.name);
    let bugs: Vec<&Bug> = BUGS.iter().filter(asked_for).collect();
    ensure!(!bugs.is_empty(), "no such bug; there are {}", BUGS.map(|bug| bug.name).join(", "));
    services::bring_all()?;
    let tree = root().join("target/sabotage/tree");
    for bug in bugs {
        copy_sources(&tree)?;
        put_in(bug, &tree)?;
        say::print(&format!("{}: {}; {}::{} …\n", bug.name, bug.what, bug.test.0, bug.test.1))?;
        expect_to_be_noticed(bug, &tree)?;
        say::print(&format!("{}: noticed, {} is broken\n", bug.name, bug.breaks))?;
    }
    Ok(())
}

fn expect_to_be_noticed(bug: &Bug, tree: &Path) -> Result<()> {
    let (file, test) = bug.test;
    let mut command = cargo(&["test", "--package", "pac", "--test", file, "--", "--exact", test, "--nocapture"])?;
    command.current_dir(tree).env("CARGO_TARGET_DIR", root().join("target/sabotage/target"));
    let output = command.output().context("can't run cargo")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let log = root().join(format!("target/sabotage/{}.log", bug.name));
    fs::write(&log, said.as_bytes())?;
    ensure!(said.contains("running 1 test"), "the test did not run: see {}", log.display());
    let noticed = !output.status.success() && said.contains(&format!("{} BROKEN", bug.breaks));
    ensure!(noticed, "the recorder did not notice it: see {}", log.display());
    Ok(())
}

/// The files git knows of or would take, as they are now. What is the same already is left alone: cargo goes by its time.
fn copy_sources(tree: &Path) -> Result<()> {
    for file in sources()? {
        let (from, to) = (root().join(&file), tree.join(&file));
        // One that is deleted and not yet committed.
        let Ok(content) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|there| there == content) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(tree))?;
        fs::write(&to, content).with_context(|| format!("can't write {}", to.display()))?;
    }
    Ok(())
}

fn sources() -> Result<Vec<PathBuf>> {
    let mut git = std::process::Command::new("git");
    let listed = git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root()).output()?;
    if !listed.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    }
    Ok(String::from_utf8_lossy(&listed.stdout).lines().map(PathBuf::from).collect())
}

fn put_in(bug: &Bug, tree: &Path) -> Result<()> {
    let path = tree.join(bug.file);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let found = text.matches(bug.from).count();
    ensure!(found == 1, "what bug {} changes is {found} times in {}", bug.name, bug.file);
    Ok(fs::write(&path, text.replace(bug.from, bug.to))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bugs_change_is_there() {
        for bug in &BUGS {
            let text = fs::read_to_string(root().join(bug.file)).unwrap();
            assert_eq!(text.matches(bug.from).count(), 1, "{}", bug.name);
        }
    }
}
