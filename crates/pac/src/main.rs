//! `pac-watcher`: the binary that composes settings, drivers and watcher. It only composes: see `cli` for what it takes,
//! `commands` for what it does, `driver` for the one place that knows all drivers.

mod addresses;
mod cli;
mod commands;
mod driver;
mod logging;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::CheckConfig(check) => commands::check_config::check_config(&check).await,
        Command::Migrate(migrate) => commands::migrate::migrate(&migrate).await,
        Command::Queue(queue) => pac_client::queue(&queue).await,
        Command::Shadow(shadow) => pac_client::shadow(&shadow).await,
        Command::Switch(switch) => pac_client::switch(&switch).await,
        Command::Completions { shell } => commands::completions::completions(shell),
        Command::Run(run) => commands::run::run(run).await,
    }
}
