//! What reaches a watcher, and what it does thereupon.

use std::sync::Arc;

use pac_concurrency::{Delta, Snapshot, Version, Window};

use crate::cluster::{Event, Id, Life};
use crate::known::Known;

/// What a run is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Purpose {
    /// What became of it.
    Confirm,
    /// Whether it was started, now that it doesn't fit the limit.
    OverLimit,
    /// What became of its start, which was refused or not.
    Start {
        /// Whether it was.
        refused: bool,
    },
}

/// What reaches a watcher.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// Its watch tells of a change.
    See(Event),
    /// Its watch of Repositories does.
    SeeLimit(u8),
    /// The store tells that others changed the repository.
    News,
    /// A worker takes the repository up.
    Look,
    /// It is time to look at everything.
    Resync,
    /// The store answers a load.
    Loaded(Known<Snapshot>),
    /// The store answers a commit.
    Committed(Outcome),
    /// The next start's turn has come.
    Send,
    /// The API server says that a run was started.
    Acknowledged(Id),
    /// A start was refused, answered by something else than that it was done, or not answered.
    LookAgain {
        /// The run.
        id: Id,
        /// Whether it was refused.
        refused: bool,
        /// How many ticks ago it was sent, if it was not answered.
        unanswered_for: Option<u8>,
    },
    /// A read was answered; none if the answer was lost.
    Read(Purpose, Id, Option<Life>),
    /// Time passes.
    Tick,
    /// Its lease was renewed.
    Renewed,
    /// Its lease was lost, and it has a term of its own again.
    NewTerm(u8),
    /// It leads from now on, and takes over what its predecessor had in hand.
    Lead,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// It was done, and this is the version.
    Done(u64),
    /// The version was another one.
    Conflict,
    /// Nobody knows.
    Indeterminate,
}

/// What a watcher does thereupon.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Output {
    /// What it asks of the store.
    pub(crate) ask: Option<Ask>,
    /// The run it starts, and the limit by which it was admitted.
    pub(crate) start: Option<(Id, u8)>,
    /// The runs it reads.
    pub(crate) reads: Vec<(Purpose, Id)>,
}

/// A request to the store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// For a snapshot.
    Load(Window),
    /// For a change against that version.
    Commit(Version, Arc<Delta>),
}
