//! `cargo xtask sabotage`: whether those have teeth who judge the watcher.
//!
//! The tests of the whole binary are judged by a recorder that reads the API server's history (see pac-devcluster's
//! `verdict`), and so is the simulation. Here the watcher is built with a bug put in on purpose, one at a time, in a copy of the workspace: the
//! test has to fail, with the recorder's word that a promise is broken; or the simulation has to find it, within so many seeds; or the
//! exploration of a small system has to.

mod bugs;
mod explored;
mod protocol;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::bugs::{Bug, Judge, OF_TESTS};
use self::protocol::OF_THE_PROTOCOL;
use crate::cargo::{cargo, run};
use crate::{root, say, services};

#[derive(Debug, Args)]
pub(crate) struct SabotageOptions {
    /// Which bug [default: all, one after the other].
    bug: Option<String>,
    /// Those bugs that the simulation is to find, instead of those that a test is to notice.
    #[arg(long)]
    simulated: bool,
    /// Those bugs that the exploration of small systems is to find, instead of those that a test is to notice.
    #[arg(long, conflicts_with = "simulated")]
    explored: bool,
    /// How many seeds the simulation may need.
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    seeds: u64,
}

/// Puts bugs in; an error if one of them is not noticed.
pub(crate) fn sabotage(options: &SabotageOptions) -> Result<()> {
    let all: Vec<Bug> = match options {
        SabotageOptions { simulated: true, .. } => OF_THE_PROTOCOL.to_vec(),
        SabotageOptions { explored: true, .. } => explored::bugs().collect(),
        _ => OF_TESTS.to_vec(),
    };
    let asked_for = |bug: &&Bug| options.bug.as_ref().is_none_or(|name| name == bug.name);
    let bugs: Vec<&Bug> = all.iter().filter(asked_for).collect();
    let names: Vec<&str> = all.iter().map(|bug| bug.name).collect();
    ensure!(!bugs.is_empty(), "no such bug; there are {}", names.join(", "));
    if bugs.iter().any(|bug| matches!(bug.judge, Judge::Test { .. })) {
        services::bring_all()?;
    }
    let tree = root().join("target/sabotage/tree");
    if options.simulated {
        // Otherwise a bug would seem to be found by what is wrong without it.
        copy_sources(&tree)?;
        let found = found(options.seeds, &tree)?;
        ensure!(found.is_none(), "with no bug put in: {}", found.unwrap_or_default());
    }
    let mut missed = Vec::new();
    for bug in bugs {
        copy_sources(&tree)?;
        put_in(bug, &tree)?;
        say::print(&format!("{}: {} …\n", bug.name, bug.what))?;
        match bug.judge {
            Judge::Test { file, name, breaks } => {
                expect_to_be_noticed(bug, (file, name), breaks, &tree)?;
                say::print(&format!("{}: noticed by {file}::{name}, {breaks} is broken\n", bug.name))?;
            }
            Judge::Exploration { scenario, breaks } => match explored(bug, scenario, &tree)? {
                Some(found) if found.starts_with(breaks) => {
                    say::print(&format!("{}: found by {scenario}: {found}\n", bug.name))?;
                }
                found => {
                    let found = found.map_or_else(|| "NOT FOUND".into(), |found| format!("NOT {breaks}, {found}"));
                    say::print(&format!("{}: {scenario}: {found}\n", bug.name))?;
                    missed.push(bug.name);
                }
            },
            Judge::Simulation => match found(options.seeds, &tree)? {
                Some(found) => say::print(&format!("{}: {found}\n", bug.name))?,
                None => {
                    say::print(&format!("{}: NOT FOUND\n", bug.name))?;
                    missed.push(bug.name);
                }
            },
        }
    }
    let within = if options.simulated { format!(" within {} seeds", options.seeds) } else { String::new() };
    ensure!(missed.is_empty(), "not found{within}: {}", missed.join(", "));
    Ok(())
}

/// Which promise `scenario` says is broken, in how many steps, and how; none if it was explored to its end.
fn explored(bug: &Bug, scenario: &str, tree: &Path) -> Result<Option<String>> {
    let test = ["test", "--package", "pac-model", "--test", "explored", "--", "--nocapture"];
    let mut command = cargo(&[&test[..], &["--include-ignored", "--exact", scenario]].concat())?;
    let (is_whole, said) = run_test(&mut command, bug, tree)?;
    let broken = format!("{scenario} is broken: ");
    let found = said.lines().find_map(|line| Some(line.split_once(&broken)?.1.to_owned()));
    ensure!(is_whole || found.is_some(), "the exploration failed: see {}", log_of(bug).display());
    Ok(found)
}

/// What the simulation finds, and by which seed; none if it finds nothing.
fn found(seeds: u64, tree: &Path) -> Result<Option<String>> {
    let target = root().join("target/sabotage/target");
    let mut build = cargo(&["build", "--quiet", "--profile", "simulation", "--package", "pac-sim"])?;
    // A bug is a line or two of one crate: what else there is need not be made anew.
    build.current_dir(tree).env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "1");
    run(build)?;
    let mut simulator = Command::new(target.join("simulation/pac-sim"));
    simulator.args(["--no-shrink", "--seed-limit", "120", "--hours", "0.1", "--seeds", &seeds.to_string()]);
    let output = simulator.output().context("can't run the simulator")?;
    let said = String::from_utf8_lossy(&output.stdout);
    fs::write(root().join("target/sabotage/simulation.log"), said.as_bytes())?;
    if output.status.success() {
        return Ok(None);
    }
    let broken = said.lines().find_map(|line| line.strip_prefix("BROKEN: ")).context("the simulator failed")?;
    let seed = said.lines().find_map(|line| line.strip_prefix("to repeat it: "));
    Ok(Some(format!("{broken} is broken: {}", seed.unwrap_or_default())))
}

fn expect_to_be_noticed(bug: &Bug, (file, test): (&str, &str), breaks: &str, tree: &Path) -> Result<()> {
    let mut command = cargo(&["test", "--package", "pac", "--test", file, "--", "--exact", test, "--nocapture"])?;
    let (passed, said) = run_test(&mut command, bug, tree)?;
    let noticed = !passed && said.contains(&format!("{breaks} BROKEN"));
    ensure!(noticed, "the recorder did not notice it: see {}", log_of(bug).display());
    Ok(())
}

/// Runs the one test that `command` is, in `tree`; says whether it passed, and what it printed, which is kept as well.
fn run_test(command: &mut Command, bug: &Bug, tree: &Path) -> Result<(bool, String)> {
    command.current_dir(tree).env("CARGO_TARGET_DIR", root().join("target/sabotage/target"));
    let output = command.output().context("can't run cargo")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let log = log_of(bug);
    fs::write(&log, said.as_bytes())?;
    ensure!(said.contains("running 1 test"), "the test did not run: see {}", log.display());
    Ok((output.status.success(), said))
}

fn log_of(bug: &Bug) -> PathBuf {
    root().join(format!("target/sabotage/{}.log", bug.name))
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
    let mut git = Command::new("git");
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
        let is_elsewhere = |bug: &Bug| {
            let text = fs::read_to_string(root().join(bug.file)).unwrap();
            text.matches(bug.from).count() != 1
        };
        let bugs = OF_TESTS.into_iter().chain(OF_THE_PROTOCOL).chain(explored::bugs());
        let elsewhere: Vec<&str> = bugs.filter(is_elsewhere).map(|bug| bug.name).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}
