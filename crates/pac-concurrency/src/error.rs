//! What a driver's call can come to, when not to a result.

use std::error::Error;

/// Why a call failed, in words for whoever is paged, and the cause.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What went wrong and, where there is one, the setting to look at. One sentence, no secret.
    pub what: String,
    /// The library's own error.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// The outcome of a call that has no result. Each says whether to try again.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The repository is not at the expected version; nothing was changed. Load, plan and commit again.
    #[error("the repository was changed by another watcher")]
    Conflict,
    /// Nothing happened. Try again later, for ever.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Fault),
    /// It may have happened. Load again and look.
    #[error("the store's answer was lost: {0}")]
    Indeterminate(#[source] Fault),
    /// The server said no and will go on saying so until a person changes something.
    #[error("the store refused: {0}")]
    Rejected(#[source] Fault),
    /// What the store holds can't be read; the place is named.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(#[source] Fault),
}

// === impl Fault ===

impl Fault {
    /// A fault without a cause of its own.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    /// A fault and the error behind it.
    pub fn because(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }
}

// === impl DriverError ===

impl DriverError {
    /// Whether loading and planning again at once is the answer, rather than waiting.
    pub fn is_settled_by_loading(&self) -> bool {
        matches!(self, Self::Conflict | Self::Indeterminate(_))
    }

    /// A word for metrics, from a closed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::Indeterminate(_) => "indeterminate",
            Self::Rejected(_) => "rejected",
            Self::Corrupt(_) => "corrupt",
        }
    }
}
