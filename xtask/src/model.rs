//! `cargo xtask model`: the protocol explored whole, the large systems, too.

use anyhow::Result;
use clap::Args;

use crate::cargo::{cargo, run};

#[derive(Debug, Args)]
pub(crate) struct ModelOptions {
    /// Explore those systems alone whose name has this in it.
    name: Option<String>,
}

/// Explores one system after the other, each on all processors, and says what was found.
pub(crate) fn model(options: &ModelOptions) -> Result<()> {
    let name = options.name.as_deref().unwrap_or_default();
    let test = ["test", "--package", "pac-model", "--test", "explored", "--"];
    let mut explore = cargo(&[&test[..], &["--nocapture", "--test-threads", "1", "--include-ignored", name]].concat())?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    explore.env("MODEL_THREADS", threads.to_string());
    run(explore)
}
