//! What `cargo xtask bench` takes. It is a module of xtask, too, which builds what is asked for and hands on the arguments as they
//! are.

use clap::{Args, ValueEnum};
use pac_config::DriverKind;

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// What to measure; without any, everything, which takes hours.
    #[arg(value_enum)]
    pub(crate) what: Vec<What>,
    /// Only with these drivers; those left out are left out of the result, too.
    #[arg(long, value_enum)]
    pub(crate) driver: Vec<DriverKind>,
    /// How often to measure each figure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// For how long to measure, where a figure is so much a second.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Show what changed since this earlier result (a file like docs/benchmarks.json, or a revision that has it). If something
    /// became worse, or was not measured any more, fail and leave docs/ as it is.
    #[arg(long, value_name = "BASE")]
    pub(crate) compare: Option<String>,
    /// Only print: leave docs/ as it is.
    #[arg(long)]
    pub(crate) dry: bool,
}

/// The kinds of benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Slots taken and given back, beside the server's own transactions.
    Store,
    /// How quickly a slot is handed on, and whole batches of work.
    Handoff,
    /// Large clusters: time until ready, memory, and what an event costs.
    Scale,
    /// How long the gate's webhook takes to answer.
    Webhook,
    /// The decision alone, which needs no server.
    Plan,
}
