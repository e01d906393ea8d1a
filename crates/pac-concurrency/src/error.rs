//! What a driver's call can come to, when not to a result.

use std::error::Error;
use std::fmt;

/// Why a call failed, in words for whoever is paged, and the cause. A part of a [`DriverError`], which prints the words and has
/// the cause as its source.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What went wrong and, where there is one, the setting to look at. One sentence, no secret.
    pub what: String,
    /// The library's own error.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// The outcome of a call that has no result. Each says whether to try again.
#[derive(Debug)]
pub enum DriverError {
    /// The repository is not at the expected version; nothing was changed. Load, plan and commit again.
    Conflict,
    /// Nothing happened. Try again later, for ever.
    Unavailable(Fault),
    /// It may have happened. Load again and look.
    Indeterminate(Fault),
    /// The server said no and will go on saying so until a person changes something.
    Rejected(Fault),
    /// What the store holds can't be read; the place is named.
    Corrupt(Fault),
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

    /// What went wrong, without the kind of outcome it is.
    pub fn reason(&self) -> &str {
        self.fault().map_or("the repository was changed by another watcher", |fault| &fault.what)
    }

    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Conflict => None,
            Self::Unavailable(fault) | Self::Indeterminate(fault) | Self::Rejected(fault) | Self::Corrupt(fault) => {
                Some(fault)
            }
        }
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conflict => "",
            Self::Unavailable(_) => "the store is unavailable: ",
            Self::Indeterminate(_) => "the store's answer was lost: ",
            Self::Rejected(_) => "the store refused: ",
            Self::Corrupt(_) => "the store holds something unreadable: ",
        })?;
        f.write_str(self.reason())
    }
}

impl Error for DriverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = &**self.fault()?.source.as_ref()?;
        Some(source)
    }
}
