//! `cargo xtask bench`: builds what measures and what is measured, pins both to two cores, and runs it.

use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::cargo::{cargo, run, target_folder};
use crate::demo::Driver;
use crate::root;
use crate::services::{self, ETCD, POSTGRES};

/// The figures of the design are for two.
const CORES: &str = "0,1";

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// What to measure; without any, everything, which takes hours.
    #[arg(value_enum)]
    what: Vec<What>,
    /// Only with these drivers; those left out are left out of the result, too.
    #[arg(long, value_enum)]
    driver: Vec<Driver>,
    /// How often to measure each figure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// For how long to measure, where a figure is so much a second.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Show what changed since this earlier result (a file like docs/benchmarks.json, or a revision that has it). If something
    /// became worse, or was not measured any more, fail and leave docs/ as it is.
    #[arg(long, value_name = "BASE")]
    compare: Option<String>,
    /// Only print: leave docs/ as it is.
    #[arg(long)]
    dry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Slots taken and given back, beside the server's own transactions.
    Store,
    /// How quickly a slot is handed on, and whole batches of work.
    Handoff,
    /// Large clusters: time until ready, memory, and what an event costs.
    Scale,
    /// The decision alone, which needs no server.
    Plan,
}

/// Measures; an error if a promise was broken, or something became worse than in the result compared with.
pub(crate) fn bench(options: &BenchOptions) -> Result<()> {
    if options.what != [What::Plan] {
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
    command.args(options.what.iter().filter_map(name)).args(["--rounds", &options.rounds.to_string()]);
    command.args(["--seconds", &options.seconds.to_string()]);
    for driver in options.driver.iter().filter_map(name) {
        command.arg("--driver").arg(driver);
    }
    if let Some(base) = &options.compare {
        // A file is one seen from here, which need not be the workspace's folder.
        let file = std::path::absolute(base).ok().filter(|file| file.exists());
        command.arg("--compare").arg(file.unwrap_or_else(|| base.into()));
    }
    if options.dry {
        command.arg("--dry");
    }
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

fn name<T: ValueEnum>(value: &T) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}
