//! The arguments of `cargo xtask judge`, which xtask's help shows, too.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pac_devservers::patroni::Replication;

/// A store that has a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// PostgreSQL, by its driver.
    Postgresql,
    /// etcd, by its driver.
    Etcd,
}

/// Which store is judged, and by how much.
#[derive(Debug, Args)]
pub struct JudgeOptions {
    /// The store; a server is started for it.
    #[arg(long, value_enum, default_value_t = StoreKind::Postgresql)]
    pub driver: StoreKind,
    /// Not one server of PostgreSQL's, but three with Patroni, whose replication is synchronous or asynchronous, and who fail over.
    #[arg(long, value_name = "REPLICATION", conflicts_with_all = ["driver", "check"])]
    pub failover: Option<Replication>,
    /// How many operations clients get answers to, or lose those of.
    #[arg(long, default_value_t = 100_000, value_name = "NUMBER")]
    pub operations: u64,
    /// How many clients there are, three to a driver.
    #[arg(long, default_value_t = 12, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=300))]
    pub clients: u16,
    /// How many repositories they work on.
    #[arg(long, default_value_t = 10, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repositories: u16,
    /// What is asked and what fails follows from it; when, and what comes of it, doesn't.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where to write the history, whatever comes of it. One that has no explanation is always written.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Asks nobody, but judges the history in this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["operations", "clients", "repositories", "seed", "history"])]
    pub check: Option<PathBuf>,
}

// === impl StoreKind ===

impl StoreKind {
    /// Its name, as the option has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Etcd => "etcd",
        }
    }
}
