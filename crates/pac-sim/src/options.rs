//! The arguments of `cargo xtask simulate`, which xtask's help shows, too.

use std::path::PathBuf;

use clap::Args;

/// Which seeds are simulated, for how long, and what is shown of them.
#[derive(Debug, Args)]
pub(crate) struct SimulateOptions {
    /// The first seed: everything that happens follows from it.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many seeds, from the first one on.
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    pub(crate) seeds: u64,
    /// How long it storms, in virtual hours; all work has to be done after that.
    #[arg(long, default_value_t = 0.1)]
    pub(crate) hours: f64,
    /// How much real time a seed may take, in seconds. One that takes longer is told like one that breaks a promise.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub(crate) seed_limit: u64,
    /// Go on after a seed that breaks a promise, and don't look for less of it that does, too.
    #[arg(long)]
    pub(crate) go_on: bool,
    /// How many are simulated at once [default: as many as there are processors].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) jobs: Option<usize>,
    /// Of the schedule only the steps with these numbers happen, as a shortened one has them; `none` for none at all.
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    pub(crate) steps: Option<Vec<String>>,
    /// Only the Repositories with these numbers are there.
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    pub(crate) repositories: Option<Vec<String>>,
    /// Don't look for less of a seed that breaks the same promise.
    #[arg(long)]
    pub(crate) no_shrink: bool,
    /// Where to write the history of the first seed: each request, each commit, each version of each object.
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Where to write what its watchers log, with virtual times.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Simulates the one seed in this very process, and tells what came of it in JSON.
    #[arg(long, hide = true)]
    pub(crate) one: bool,
}
