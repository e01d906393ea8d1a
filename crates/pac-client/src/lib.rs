//! `pac-watcher queue`: asks the watcher's admin port and prints what it says; what changes anything goes through the API
//! server, with the user's own rights.
//!
//! `switch` takes companion mode into use, and out of it; `shadow` prints what shadow mode has measured. [`Command`] has all of them,
//! [`program`] is what the program's file name makes of it, and `complete` what TAB offers.
//!
//! [`args`] is the command line, and `queue` does what it asks: `scope` is what is asked about, `answer` asks (`source`: `admin` or `tenants`) and takes what is
//! wanted (`select`, `sort`), `pages`, `table` and `jsonpath` are how it looks (`output`); `advise` replays what was; `operator` writes what an operator decides
//! (`cluster`). [`patience`] bounds every request; [`say`] is how anything is printed.

mod admin;
mod advise;
mod answer;
pub mod args;
mod cluster;
mod commands;
mod complete;
mod jsonpath;
mod operator;
mod output;
mod pages;
pub mod patience;
pub mod program;
mod progress;
pub mod say;
mod scope;
mod select;
mod shadow;
mod sort;
mod source;
mod switch;
mod table;
mod tenants;
mod times;
mod wait;

use std::process::ExitCode;

use crate::args::{Queue, What};

pub use commands::Command;
use shadow::shadow;
use switch::switch;

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
    /// It took longer than somebody wanted to wait.
    TimedOut(String),
}

// === impl Failure ===

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Unreachable(_) | Self::Local(_) => 1,
            Self::Usage(_) => 2,
            Self::Missing(_) => 3,
            Self::Refused(_) => 4,
            Self::TimedOut(_) => 5,
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Unreachable(why)
            | Self::Local(why)
            | Self::Missing(why)
            | Self::Refused(why)
            | Self::Usage(why)
            | Self::TimedOut(why) => why,
        }
    }

    /// Whether to ask again may help; what was there once may come back.
    fn may_pass(&self, was_answered: bool) -> bool {
        matches!(self, Self::Unreachable(_)) || was_answered && matches!(self, Self::Missing(_))
    }
}

/// Does what `queue` asks. See `pac-watcher queue --help` for the exit codes.
async fn queue(queue: &Queue) -> ExitCode {
    ended(carry_out(queue).await)
}

async fn carry_out(queue: &Queue) -> Result<(), Failure> {
    args::form::check(&queue.what, &queue.scope, &queue.form)?;
    queue.server.check(&queue.what, &queue.reach)?;
    match &queue.what {
        What::List | What::Show { .. } | What::Explain { .. } | What::Advise { .. } => answer::answer(queue).await,
        What::Wait { run, goal, timeout } => wait::wait(queue, run, *goal, *timeout).await,
        What::Pause { repository, reason, lasts } => operator::pause(queue, repository, reason, *lasts).await,
        What::Resume { repository, reason } => operator::resume(queue, repository, reason.as_deref()).await,
        What::Release { run, reason, force } => operator::release(queue, run, reason, *force).await,
    }
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
