//! What is tried: how many of what, and how often what goes wrong.

use crate::cluster::Life;

/// One space of states to explore whole.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// How many watchers are at work.
    pub watchers: u8,
    /// The runs, as they are found at first. Those not born yet are created in this order.
    pub runs: Vec<Life>,
    /// The limit at first; 0 is none.
    pub limit: u8,
    /// What else it may become.
    pub limits: Vec<u8>,
    /// How many of those waiting a watcher remembers.
    pub window: usize,
    /// Whose answers take their time.
    pub slow: Slow,
    /// Whether time passes as often as it likes.
    pub ticks: bool,
    /// How long a lease lasts, in ticks; none: until its holder is gone.
    pub lease: Option<u8>,
    /// How many terms there may be in all.
    pub terms: u8,
    /// What may go wrong.
    pub budget: Budget,
}

/// Whose answers take their time. Starts are on their way for a while whatever is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// Nobody's: who asks is answered at once.
    Nobody,
    /// Those to commits.
    Commits,
    /// All, and starts wait to be sent.
    Everybody,
}

/// How often things may happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// A run is cancelled while it waits.
    pub cancelled: u8,
    /// A run is deleted.
    pub deleted: u8,
    /// A name is used again.
    pub recreated: u8,
    /// The limit changes.
    pub limits: u8,
    /// A watcher is killed.
    pub crashes: u8,
    /// The answer to a commit is lost, before or after it took effect.
    pub lost_commits: u8,
    /// A start is lost, or its answer.
    pub lost_starts: u8,
    /// The connection breaks on which a start is on its way.
    pub broken_starts: u8,
    /// A start is refused.
    pub refusals: u8,
    /// A read is lost.
    pub lost_reads: u8,
    /// A watcher comes to lead, and takes over what others have in hand.
    pub elections: u8,
    /// Everything is looked at.
    pub resyncs: u8,
    /// Time passes, by 5 s; where it doesn't as often as it likes.
    pub ticks: u8,
    /// Not a budget: the names whose start was refused, which others may pass. One bit each.
    pub refused: u8,
}
