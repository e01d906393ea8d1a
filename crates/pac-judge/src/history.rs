//! What clients asked of a driver, and what they were answered.
//!
//! Runs, places and holders are numbers here: a history has a million operations.

use crate::linearizability::Call;

/// A run of a repository, by its number.
pub type Run = u16;
/// A client, by its number; as a holder, its name.
pub type Client = u16;
/// A version's own number; 0 is that of a repository that isn't known.
pub type Number = u64;

/// A run and its place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Lower goes first.
    pub place: u32,
    /// Of one place the lower goes first.
    pub run: Run,
}

/// What a commit was to do, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Neither hold a slot nor wait any more.
    pub release: Vec<Run>,
    /// Go back into the queue.
    pub give_back: Vec<Run>,
    /// Wait, if they aren't there.
    pub enqueue: Vec<Entry>,
    /// Hold a slot.
    pub hold: Vec<Entry>,
}

/// What a load showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Of which version it is.
    pub version: Number,
    /// All slots, by run, with their holders.
    pub slots: Vec<(Entry, Client)>,
    /// The head of the queue.
    pub waiting: Vec<Entry>,
    /// How many wait.
    pub waiting_count: usize,
    /// Whether `waiting` was said to be all of them.
    pub whole: bool,
}

/// What was asked, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A load of so many of those waiting (none: all). One whose answer was lost is not worth keeping.
    Load {
        /// How many of those waiting.
        window: Option<usize>,
        /// What it showed.
        seen: Seen,
    },
    /// A commit.
    Commit {
        /// On which version.
        expected: Number,
        /// On whose behalf.
        holder: Client,
        /// What it was to do.
        change: Change,
        /// What became of it.
        outcome: Outcome,
    },
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and made this version.
    Done(Number),
    /// The repository was not at the version.
    Conflict,
    /// Nobody knows.
    Lost,
}

/// An operation of a client's, in nanoseconds from the history's beginning. One whose answer was lost has no return.
#[derive(Debug, Clone)]
pub struct Record {
    /// Whose it is.
    pub client: Client,
    /// When, and what.
    pub call: Call<Operation>,
}

/// All that was asked about one repository, in no order.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The repository's name.
    pub repository: String,
    /// What was asked.
    pub records: Vec<Record>,
}

// === impl Change ===

impl Change {
    /// How many runs it names.
    pub fn len(&self) -> usize {
        self.release.len() + self.give_back.len() + self.enqueue.len() + self.hold.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl Operation ===

impl Operation {
    /// Whether it left everything as it was, whatever that was.
    pub fn only_looked(&self) -> bool {
        matches!(self, Self::Load { .. } | Self::Commit { outcome: Outcome::Conflict, .. })
    }

    /// The version that the client knows of once it has the answer.
    pub fn tells(&self) -> Option<Number> {
        match self {
            Self::Load { seen, .. } => Some(seen.version),
            Self::Commit { outcome: Outcome::Done(version), .. } => Some(*version),
            Self::Commit { .. } => None,
        }
    }
}
