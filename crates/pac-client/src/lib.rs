//! `pac-watcher queue`: asks the watcher's admin port and prints what it says; what changes anything goes through the API
//! server, with the user's own rights.
//!
//! `switch` takes companion mode into use, and out of it; `shadow` prints what shadow mode has measured.
//!
//! [`args`] is the command line, [`queue()`] does what it asks: `answer` and `table` show what the watcher said (`admin`), `operator`
//! writes what an operator decides (`cluster`). [`patience`] bounds every request; [`say`] is how anything is printed.

mod admin;
mod answer;
pub mod args;
mod cluster;
mod operator;
mod output;
pub mod patience;
pub mod say;
mod shadow;
mod switch;
mod table;
mod times;

use std::process::ExitCode;

use crate::args::{Queue, What};

pub use shadow::shadow;
pub use switch::switch;

/// Why a command was not carried out: with what exit code, and what is said.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The watcher or the API server can't be reached, or would not.
    Unreachable(String),
    /// Something is wrong on this side: no kubeconfig to go by, a full disk.
    Local(String),
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
            Self::Unreachable(_) | Self::Local(_) => 1,
            Self::Usage(_) => 2,
            Self::Missing(_) => 3,
            Self::Refused(_) => 4,
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Unreachable(why) | Self::Local(why) | Self::Missing(why) | Self::Refused(why) | Self::Usage(why) => {
                why
            }
        }
    }

    /// Whether to ask again may help; what was there once may come back.
    fn may_pass(&self, was_answered: bool) -> bool {
        matches!(self, Self::Unreachable(_)) || was_answered && matches!(self, Self::Missing(_))
    }
}

/// Does what `queue` asks. See `pac-watcher queue --help` for the exit codes.
pub async fn queue(queue: &Queue) -> ExitCode {
    let done = match &queue.what {
        What::List | What::Show { .. } | What::Explain { .. } => answer::answer(queue).await,
        What::Pause { repository, reason, lasts } => operator::pause(&queue.reach, repository, reason, *lasts).await,
        What::Resume { repository, reason } => operator::resume(&queue.reach, repository, reason.as_deref()).await,
        What::Release { run, reason, force } => operator::release(&queue.reach, run, reason, *force).await,
    };
    ended(done)
}

/// The exit code of a command that came to this, after saying why if it was not carried out.
fn ended(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::error(failure.why());
            ExitCode::from(failure.code())
        }
    }
}
