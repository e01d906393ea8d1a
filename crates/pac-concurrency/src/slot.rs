//! A slot: the right of one run to run.
//!
//! A slot counts from the commit that takes it until the commit that releases it, whatever becomes of its lease.

use crate::lease::Holder;
use crate::order::Entry;

/// A taken slot, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The run, with the place it had in the queue: a slot given back returns there.
    pub entry: Entry,
    /// Whose lease is behind it.
    pub holder: Holder,
    /// Whether that lease had run out when the store answered, by the store's clock.
    pub lapsed: bool,
}

/// What a slot is to the watcher that looks at it; see [`crate::manager`] for how it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotOwnership {
    /// Ours: we start its run, and we alone give it back.
    Mine,
    /// Another living watcher's: it will start the run.
    Foreign,
    /// Another watcher's that has had long enough to start the run, and didn't.
    Stalled,
    /// Its holder's lease ran out: whoever sees it claims it.
    Lapsed,
}
