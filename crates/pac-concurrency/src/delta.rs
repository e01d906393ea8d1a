//! A change of one repository in the store: all of it, or none.

use crate::key::RunKey;
use crate::order::Entry;

/// What a commit does, in this order. Every part is idempotent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// These runs' slots and queue entries go. Neither there: nothing happens.
    pub release: Vec<RunKey>,
    /// These runs' slots go back into the queue, each at the place it had. No slot there: nothing happens.
    pub give_back: Vec<RunKey>,
    /// These runs wait from now on. With a slot or an entry already: nothing happens, least of all a slot lost or a
    /// place changed.
    pub enqueue: Vec<Entry>,
    /// These runs have a slot from now on, held by the committer, and no entry in the queue: admitted, adopted or
    /// claimed. With a slot already: only its holder changes.
    pub hold: Vec<Entry>,
}

// === impl Delta ===

impl Delta {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records it touches at most.
    pub fn len(&self) -> usize {
        self.release.len() + self.give_back.len() + self.enqueue.len() + self.hold.len()
    }
}
