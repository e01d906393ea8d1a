//! `cargo xtask chaos`: everything that can go wrong, for as long as one likes.

use anyhow::Result;
use clap::Args;
use pac_config::DriverKind;
use pac_devservers::patroni::Replication;

use crate::cargo::{cargo, run};
use crate::services;

#[derive(Debug, Args)]
pub(crate) struct ChaosOptions {
    /// What happens follows from it; when, not quite.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// How many storms, each of the next seed and with a store of its own.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seeds: u32,
    /// How long a storm lasts; the calm after it, in which all work has to be done, comes on top.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Where slots and queues are kept; a server is started for it.
    #[arg(long, value_enum, default_value_t = DriverKind::PostgreSql)]
    driver: DriverKind,
    /// Not one server of PostgreSQL's, but three with Patroni, whose replication is synchronous or asynchronous, and who fail over.
    #[arg(long, value_name = "REPLICATION", conflicts_with_all = ["driver", "drills"])]
    failover: Option<Replication>,
    /// How many watchers; one, whatever is said here, on the memory driver.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    replicas: u32,
    /// No storm, but one fault at a time, each so often: how long it takes until runs are started again.
    #[arg(long, value_name = "TIMES", conflicts_with_all = ["seed", "seeds", "minutes", "replicas"])]
    drills: Option<u32>,
    /// Leave the watchers' logs behind, and say where.
    #[arg(long)]
    keep_logs: bool,
}

/// Runs storms until one breaks a promise, which is an error.
pub(crate) fn chaos(options: &ChaosOptions) -> Result<()> {
    services::bring_all()?;
    // Nobody else sees into the memory of one.
    let replicas = if options.driver == DriverKind::Memory { 1 } else { options.replicas };
    let test = match options.failover {
        Some(replication) => {
            services::bring(services::FAILOVER)?;
            replication.to_string()
        }
        None => options.driver.name().to_owned(),
    };
    let mut command = cargo(&["test", "--package", "pac", "--test", "chaos", "--", "--exact", &test, "--nocapture"])?;
    if options.failover.is_some() {
        command.arg("--ignored");
    }
    command.env("CHAOS_SEED", options.seed.to_string()).env("CHAOS_SEEDS", options.seeds.to_string());
    command.env("CHAOS_MINUTES", options.minutes.to_string()).env("CHAOS_REPLICAS", replicas.to_string());
    command.env("RUST_BACKTRACE", "0");
    if let Some(rounds) = options.drills {
        command.env("CHAOS_DRILLS", rounds.to_string());
    }
    if options.keep_logs {
        command.env("CHAOS_KEEP", "1");
    }
    run(command)
}
