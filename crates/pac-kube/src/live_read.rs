//! Reading one run from the API server itself, where the watch's word is not enough.

use std::fmt;

use kube::api::Api;
use kube::{Client, Resource};
use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_concurrency::{RepositoryKey, RunKey};

use crate::api::{PipelineRun, Readable};
use crate::convert::{self, RunView};
use crate::error::with_causes;

/// Why it can't be told what became of a run.
#[derive(Debug)]
pub enum LiveReadError {
    /// The API server didn't say.
    NoAnswer(String),
    /// It did, and nobody can make sense of it (P10): no trouble of the API server's.
    Unreadable(String),
}

/// What a live read found out about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// There is no such run any more.
    Gone(RunKey),
    /// There is, and it names another repository as its own.
    Elsewhere(RunKey),
    /// The run as it is.
    Is(RunView),
}

/// What became of `run` of `repository`, or why that can't be told.
pub async fn confirm(client: &Client, repository: &RepositoryKey, run: &RunKey) -> Result<Confirmed, LiveReadError> {
    let runs: Api<Readable<PipelineRun>> = Api::namespaced(client.clone(), run.namespace());
    let read = tokio::time::timeout(REQUEST_DEADLINE, runs.get_opt(run.name())).await;
    let found = read
        .map_err(|_| LiveReadError::NoAnswer(format!("no answer within {} s", REQUEST_DEADLINE.as_secs())))?
        .map_err(|error| LiveReadError::NoAnswer(with_causes(&error)))?;
    let gone = Ok(Confirmed::Gone(run.clone()));
    let Some(found) = found.filter(|found| found.meta().uid.as_deref() == Some(run.uid())) else { return gone };
    let found = found.0.map_err(|unreadable| LiveReadError::Unreadable(unreadable.to_string()))?;
    // Without a name of its own it is of the repository that has a slot or a place for it.
    match convert::run_view(&found, Some(repository)) {
        Ok(view) if view.repository == *repository => Ok(Confirmed::Is(view)),
        // Nothing of it is this one's.
        Ok(_) => Ok(Confirmed::Elsewhere(run.clone())),
        Err(error) => Err(LiveReadError::Unreadable(error.to_string())),
    }
}

// === impl LiveReadError ===

impl fmt::Display for LiveReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoAnswer(why) | Self::Unreadable(why)) = self;
        f.write_str(why)
    }
}

// === impl Confirmed ===

impl Confirmed {
    /// Which run.
    pub fn run(&self) -> &RunKey {
        match self {
            Self::Gone(run) | Self::Elsewhere(run) => run,
            Self::Is(view) => &view.key,
        }
    }
}
