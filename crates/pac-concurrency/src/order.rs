//! A run's place in the queue of its repository.

use crate::key::RunKey;

/// The first position that no event gives. Those from here on were given to runs that waited in a queue of somebody else's, and
/// keep the order they had there.
pub const FIRST_KEPT: u32 = 1 << 30;

/// What a queue is sorted by, before the run's own name. Set when the run is enqueued, and stored with it; if the order
/// of its event is told only then, the run is moved.
///
/// Times are whole seconds since 1970 as the API server wrote them into `creationTimestamp`; they are compared with one
/// another only, never with the clock of this machine (P9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// When the first run of the webhook event was created, in seconds.
    pub event_created: i64,
    /// The run's place among the runs of its event, from 0; from [`FIRST_KEPT`] on, its place among runs whose order was kept.
    pub position: u32,
    /// When the run itself was created, in seconds.
    pub created: i64,
}

/// A run and its place: what a queue consists of, sorted by place, then name, then uid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Where in the queue.
    pub order: OrderKey,
    /// Who.
    pub run: RunKey,
}

// === impl OrderKey ===

impl OrderKey {
    /// The place of a run that belongs to no known event: by its own creation time, in seconds.
    pub fn alone(created: i64) -> Self {
        Self { event_created: created, position: 0, created }
    }

    /// Whether the place was taken over from somebody else's queue, whatever the run's event says.
    pub fn is_kept(&self) -> bool {
        self.position >= FIRST_KEPT
    }
}

// === impl Entry ===

impl Entry {
    /// `run` at `order`.
    pub fn new(run: RunKey, order: OrderKey) -> Self {
        Self { order, run }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_event_then_position_then_creation_then_name() {
        let entry = |event_created, position, created, name| {
            Entry::new(RunKey::new("ns", name, "1").unwrap(), OrderKey { event_created, position, created })
        };
        let sorted =
            [entry(1, 0, 3, "z"), entry(1, 1, 1, "y"), entry(2, 0, 2, "x"), entry(2, 0, 3, "a"), entry(2, 0, 3, "b")];
        assert!(sorted.is_sorted());
    }
}
