//! `cargo xtask bench`: builds what measures and what is measured, pins both to two cores, and runs it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{cargo, run, target_folder};
use crate::root;
use crate::services::{self, ETCD, POSTGRES};

/// The arguments of pac-bench, by the file that has them. xtask doesn't link it, nor what it measures.
#[path = "../../crates/pac-bench/src/options.rs"]
#[allow(dead_code, reason = "what is only measured by is pac-bench's to read")]
mod options;

pub(crate) use options::{BenchOptions, What};

/// The figures of the design are for two.
const CORES: &str = "0,1";

/// Measures as the command line says; an error if a promise was broken, or something became worse than in the result compared with.
pub(crate) fn bench(options: &BenchOptions) -> Result<()> {
    let needs_servers = |what: &What| !matches!(what, What::Plan | What::Webhook);
    if options.what.is_empty() || options.what.iter().any(needs_servers) {
        services::bring(&[POSTGRES, ETCD])?;
    }
    run(cargo(&["build", "--release", "--package", "pac", "--package", "pac-bench"])?)?;
    let criterion = target_folder().join("criterion");
    if options.what.is_empty() || options.what.contains(&What::Plan) {
        // What was measured under another name must not be told again.
        if criterion.exists() {
            std::fs::remove_dir_all(&criterion).context("can't remove criterion's earlier figures")?;
        }
        run(pinned(cargo(&["bench", "--package", "pac-concurrency", "--bench", "plan"])?))?;
    }
    let mut command = Command::new(target_folder().join("release/pac-bench"));
    command.current_dir(root()).arg("--criterion").arg(&criterion).arg("--root").arg(root());
    command.arg("--from").arg(std::env::current_dir()?);
    // Behind the subcommand.
    command.args(std::env::args_os().skip(2));
    run(pinned(command))
}

/// `command` and all that it starts on two cores, where there is a way to have it so.
fn pinned(command: Command) -> Command {
    let taskset = || {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", CORES]);
        command
    };
    if !taskset().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("can't pin it to cores {CORES} by taskset (Debian package util-linux): it takes all there are");
        return command;
    }
    let mut pinned = taskset();
    pinned.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        pinned.current_dir(folder);
    }
    pinned
}
