//! `pac-watcher completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Prints a script that teaches `shell` our commands and flags.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Cli::command(), "pac-watcher", &mut std::io::stdout());
    ExitCode::SUCCESS
}
