//! `pac-watcher completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use pac_client::say;

use crate::cli::Cli;

/// Our name, and how it begins the names of functions that clap_complete makes for bash: as its command matches it, and as
/// its subcommands do, which differ where the name has a hyphen.
const NAME: &str = "pac-watcher";
const MATCHED: &str = "pac__watcher__subcmd__";
const MISNAMED: &str = "pac__subcmd__watcher__subcmd__";

/// Prints a script that teaches `shell` our commands and flags.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script).replace(MISNAMED, MATCHED);
    match say::print(&script) {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            say::error(why);
            ExitCode::FAILURE
        }
    }
}
