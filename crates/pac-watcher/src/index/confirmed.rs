//! The word of the API server itself on one run.

use pac_concurrency::RunKey;

use crate::convert::RunView;

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
