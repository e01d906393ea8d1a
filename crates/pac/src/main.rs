//! `pac-watcher`: the binary that composes settings, drivers and watcher. It only composes: see `cli` for what it takes,
//! `commands` for what it does, `driver` for the one place that knows all drivers.

mod addresses;
mod cli;
mod commands;
mod driver;
mod logging;
mod tenants;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

fn main() -> ExitCode {
    pac_client::program::called_otherwise(Cli::command).unwrap_or_else(|| carry_out(Cli::parse()))
}

#[tokio::main]
async fn carry_out(cli: Cli) -> ExitCode {
    match cli.command {
        Command::CheckConfig(check) => commands::check_config::check_config(&check).await,
        Command::Migrate(migrate) => commands::migrate::migrate(&migrate).await,
        Command::Client(command) => command.carry_out(&Cli::command()).await,
        Command::Run(run) => commands::run::run(*run).await,
    }
}
