//! The word of the API server itself on one run.

use pac_concurrency::RunKey;

use crate::convert::{Phase, RunView};

/// What a live read found out about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// There is no such run (any more, or of this repository).
    Gone(RunKey),
    /// The run as it is.
    Is(RunView),
}

// === impl Confirmed ===

impl Confirmed {
    /// Which run.
    pub fn run(&self) -> &RunKey {
        match self {
            Self::Gone(run) => run,
            Self::Is(view) => &view.key,
        }
    }

    /// Where it is in its life; none if there is no such run.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Gone(_) => None,
            Self::Is(view) => Some(view.phase),
        }
    }

    /// Whether the run can never run (again), for certain.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Gone(_) => true,
            Self::Is(view) => matches!(view.phase, Phase::Done(_) | Phase::Withdrawn | Phase::Released),
        }
    }
}
