//! `cargo xtask simulate`: builds the simulator, and has it go through its seeds.

use std::process::Command;

use anyhow::Result;

use crate::cargo::{cargo, run, target_folder};

/// The arguments of pac-sim, by the file that has them. xtask doesn't link it.
#[path = "../../crates/pac-sim/src/options.rs"]
#[allow(dead_code, reason = "they are pac-sim's to read")]
mod options;

pub(crate) use options::SimulateOptions;

/// Simulates as the command line says; an error if a promise was broken.
pub(crate) fn simulate(_: &SimulateOptions) -> Result<()> {
    run(cargo(&["build", "--profile", "simulation", "--package", "pac-sim"])?)?;
    let mut command = Command::new(target_folder().join("simulation/pac-sim"));
    // Behind the subcommand.
    command.args(std::env::args_os().skip(2));
    run(command)
}
