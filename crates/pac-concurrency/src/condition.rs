//! How a store fares, besides whether it can be used. For metrics and for people: nothing is decided by it.

use std::time::Duration;

/// What a driver knows of it at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// How others' changes are learned of, where the driver is meant to hear of them and can do without.
    pub news: Option<News>,
    /// Age of the oldest transaction for which the server keeps rows that were deleted, or replaced, since it began; zero if there
    /// is none. Not known where the server keeps none, or won't tell.
    pub oldest_transaction: Option<Duration>,
}

/// How a driver learns of what other watchers change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The server sends word at once.
    Heard,
    /// The driver asks again and again, for want of a connection to listen on.
    LookedFor {
        /// Why there is none, for people.
        why: String,
    },
}
