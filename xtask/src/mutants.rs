//! `cargo xtask mutants`: whether the tests of a crate notice when one thing in it is changed.

use anyhow::{Result, ensure};
use clap::Args;

use crate::cargo::{cargo, run, target_folder};
use crate::services;
use crate::test::has_nextest;

#[derive(Debug, Args)]
pub(crate) struct MutantsOptions {
    /// The crate whose code is changed [default: each of those in .cargo/mutants.toml].
    #[arg(value_name = "CRATE")]
    package: Option<String>,
    /// Passed on to cargo-mutants, behind a `--`: `--list`, `--re '/plan\.rs'`, `--re Plan::grant`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Has cargo-mutants change a copy of the workspace; an error if a change goes unnoticed.
pub(crate) fn mutants(options: &MutantsOptions) -> Result<()> {
    let is_there = cargo(&["mutants", "--version"])?.output().is_ok_and(|output| output.status.success());
    ensure!(is_there, "cargo-mutants is missing; it comes by `cargo install --locked cargo-mutants`");
    ensure!(has_nextest(), "cargo-nextest is missing; it comes by `cargo install --locked cargo-nextest`");
    services::bring(services::STORES)?;
    let which = options.package.as_ref().map_or(vec!["--workspace"], |package| vec!["--package", package]);
    let target = target_folder();
    let output = target.to_string_lossy();
    let extra: Vec<&str> = options.arguments.iter().map(String::as_str).collect();
    let mut mutants = cargo(&[&["mutants", "--output", &output], &which[..], &extra].concat())?;
    // One change rebuilds one crate and what links it: what is built once is kept, from run to run.
    mutants.env("CARGO_TARGET_DIR", target.join("mutants")).env("CARGO_INCREMENTAL", "1");
    run(mutants)
}
