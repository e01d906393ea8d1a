//! The client alone: `kubectl pac-queue` and `tkn queue` by its file name, and by any other what `pac-watcher` has of it.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use pac_client::{Command, program};

/// The client of pac-watcher. What runs a watcher is in the watcher's own program.
#[derive(Debug, Parser)]
#[command(name = "pac-watcher", version = program::VERSION)]
struct Client {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    program::called_otherwise(Client::command).unwrap_or_else(|| carry_out(&Client::parse().command))
}

#[tokio::main]
async fn carry_out(command: &Command) -> ExitCode {
    command.carry_out(&Client::command()).await
}
