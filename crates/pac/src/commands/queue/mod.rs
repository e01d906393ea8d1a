//! `pac-watcher queue`: asks the watcher's admin port and prints what it says; what changes anything goes through the API
//! server, with the user's own rights.
#![allow(clippy::print_stdout, reason = "the answer is what the command is for")]

mod admin;
mod answer;
mod operator;
mod output;
mod table;
mod times;

use std::process::ExitCode;

use crate::cli::queue::{Queue, What};

/// Why a command was not carried out: with what exit code, and what is said.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The watcher or the API server can't be reached, or would not.
    Unreachable(String),
    /// There is no such repository or run.
    Missing(String),
    /// It would do harm, or nothing.
    Refused(String),
    /// The command line can't be used.
    Usage(String),
}

// === impl Failure ===

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Unreachable(_) => 1,
            Self::Usage(_) => 2,
            Self::Missing(_) => 3,
            Self::Refused(_) => 4,
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Unreachable(why) | Self::Missing(why) | Self::Refused(why) | Self::Usage(why) => why,
        }
    }
}

/// Does what `queue` asks. See `pac-watcher queue --help` for the exit codes.
pub(crate) async fn queue(queue: &Queue) -> ExitCode {
    let done = match &queue.what {
        What::List | What::Show { .. } | What::Explain { .. } => answer::answer(queue).await,
        What::Pause { repository, reason, lasts } => operator::pause(queue, repository, reason, *lasts).await,
        What::Resume { repository, reason } => operator::resume(queue, repository, reason).await,
        What::Release { run, reason, force } => operator::release(queue, run, reason, *force).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.why());
            ExitCode::from(failure.code())
        }
    }
}
