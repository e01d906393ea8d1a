//! The commands that need nothing but a way to the cluster: the watcher's program has them beside its own, and the client has them
//! alone.

use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::Shell;

use crate::args::{Queue, Shadow, Switch};
use crate::{program, say};

/// What is asked of the client.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at the queues; pause a repository, take the slot of a run that will never end.
    Queue(Box<Queue>),
    /// Switch companion mode on or off in a cluster where runs wait: step by step, with checks, and a way back at each.
    Switch(Switch),
    /// What a watcher in shadow mode (run --mode shadow) has measured of PAC's own queue.
    Shadow(Shadow),
    /// Print a script by which a shell completes commands, flags and names: source <(pac-watcher completions bash)
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

// === impl Command ===

impl Command {
    /// Does what is asked, `own` being the command line of the program it was asked of.
    pub async fn carry_out(&self, own: &clap::Command) -> ExitCode {
        match self {
            Self::Queue(queue) => crate::queue(queue).await,
            Self::Switch(switch) => crate::switch(switch).await,
            Self::Shadow(shadow) => crate::shadow(shadow).await,
            Self::Completions { shell } => completions(*shell, own),
        }
    }
}

/// Prints a script by which `shell` asks the program what TAB offers.
fn completions(shell: Shell, own: &clap::Command) -> ExitCode {
    match program::registration(&shell.to_string(), own).and_then(|script| say::print(&script)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            say::error(why);
            ExitCode::FAILURE
        }
    }
}
