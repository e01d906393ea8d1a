//! The life of a run, as one watcher sees it: what the cluster shows of the run, and what this watcher itself did to start it.

/// Where a run is in its life.
///
/// ```text
///   Pending ──► Starting ──► Running ──► Finished
///     │ ▲          │
///     │ └──────────┤ the start may have been lost: ConfirmedPending; it was refused: BackingOff
///     ├──► Cancelled, Stopping ──► Finished
///     └──► AwaitingSecret ──► Pending
/// ```
///
/// From every state a run may vanish from the cache: [`RunState::NotCached`], and [`RunState::Unreadable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Pending, and free to be started.
    Pending,
    /// Pending for certain, by a live read of just now, and no start of it is under way: nor one of a watcher from which its slot
    /// was claimed.
    ConfirmedPending,
    /// Pending, and not to be started just now: its start was refused a while ago. A refusal from before a slot was claimed
    /// doesn't count, since its former holder may have started the run since; nor does one from so soon after that a start of
    /// that holder may still be under way.
    BackingOff,
    /// Pending, and free to be started but for a Secret that is still to be made for it: it keeps its place, and nobody passes it
    /// meanwhile.
    AwaitingSecret,
    /// Pending, and this watcher's start of it is under way, or may have taken effect.
    Starting,
    /// Started and not done.
    Running,
    /// Pending, but not to be started by us any more: cancelled, being deleted, or another's to start. Without a slot it is over; with one, its start may just
    /// be happening, and only a live read tells.
    Cancelled,
    /// Never started, and asked to stop gracefully: Tekton may yet run its last tasks. In the queue it is over; a slot it has
    /// counts until it is done, or was given long enough to begin.
    Stopping,
    /// Over, as far as slots go: done, or confirmed gone, or confirmed cancelled before it started, or released by an operator.
    Finished,
    /// The cache has no such run. That alone means nothing (P5): a live read is to tell.
    NotCached,
    /// The cache has no such run, and what a live read found nobody can make sense of (P10): it keeps what it has, and may be passed.
    Unreadable,
}

// === impl RunState ===

impl RunState {
    /// Whether a run that waits is to be admitted when its turn comes.
    pub fn may_be_admitted(self) -> bool {
        matches!(self, Self::Pending | Self::AwaitingSecret | Self::ConfirmedPending)
    }

    /// Whether the run waits: for a slot, for its next try, or for the answer to its start.
    pub fn is_waiting(self) -> bool {
        self.may_be_admitted() || matches!(self, Self::BackingOff | Self::Starting)
    }
}
