//! A run's wait that is over.

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{RepositoryKey, RunKey};
use pac_kube::trace_context::Traced;

use crate::reason::Reason;

/// A run's wait that is over, as its span tells it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wait {
    /// The run.
    pub(crate) run: RunKey,
    /// Its Repository.
    pub(crate) repository: RepositoryKey,
    /// Where it belongs, and what it is.
    pub(crate) traced: Traced,
    /// When it began: when the run was created.
    pub(crate) began: Timestamp,
    /// When it ended; not before it began.
    pub(crate) ended: Timestamp,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The place at which it joined the queue, from 1 on; none if it did so under another watcher, or not at all.
    pub(crate) place: Option<usize>,
    /// The limit at its end; none if there is none, or it can't be told.
    pub(crate) limit: Option<u32>,
    /// What it waited for, each once, in the order in which that began.
    pub(crate) reasons: Vec<Reason>,
    /// What happened to it meanwhile, in that order.
    pub(crate) events: Vec<(Timestamp, Event)>,
    /// How many more happened.
    pub(crate) events_dropped: u32,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// This watcher started the run.
    Started,
    /// Somebody else did.
    StartedElsewhere,
    /// The run was cancelled, or its deletion began.
    Withdrawn,
    /// The run is gone.
    Gone,
}

/// What happens to a run that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It joined the queue.
    Queued,
    /// It got a slot.
    Admitted,
    /// Its slot was taken over from another watcher.
    TakenOver,
    /// Its slot was given back.
    GivenBack,
    /// The API server refused to start it.
    Refused,
    /// Nobody knows whether a start took effect.
    Unanswered,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::StartedElsewhere => "started-elsewhere",
            Self::Withdrawn => "withdrawn",
            Self::Gone => "gone",
        }
    }

    /// Whether the run was never started.
    pub(crate) fn is_cancelled(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Gone)
    }
}

// === impl Event ===

impl Event {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Admitted => "admitted",
            Self::TakenOver => "taken-over",
            Self::GivenBack => "given-back",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}
