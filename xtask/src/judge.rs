//! `cargo xtask judge`: builds what judges stores, and has it do so.

use std::process::Command;

use anyhow::Result;

use crate::cargo::{cargo, run, target_folder};
use crate::services;

/// The arguments of pac-judge, by the file that has them. xtask doesn't link it.
#[path = "../../crates/pac-judge/src/options.rs"]
#[allow(dead_code, unreachable_pub, reason = "they are pac-judge's to read")]
mod options;

pub(crate) use options::JudgeOptions;

/// Judges as the command line says; an error if an answer has no explanation.
pub(crate) fn judge(options: &JudgeOptions) -> Result<()> {
    services::bring(services::STORES)?;
    if options.failover.is_some() {
        services::bring(services::FAILOVER)?;
    }
    run(cargo(&["build", "--package", "pac-judge"])?)?;
    let mut command = Command::new(target_folder().join("debug/pac-judge"));
    // Behind the subcommand.
    command.args(std::env::args_os().skip(2));
    run(command)
}
