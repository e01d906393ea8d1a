//! The connections behind a driver, and the calls that wait for one.

use std::sync::atomic::{AtomicU32, Ordering};

/// The connections calls go through, at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// How many there may be.
    pub most: u32,
    /// How many have a call under way, or are shared by all calls.
    pub in_use: u32,
    /// How many are open and wait for a call.
    pub idle: u32,
    /// How many calls wait for one.
    pub waiting: u32,
}

/// How many calls wait for a connection.
#[derive(Debug, Default)]
pub struct Waiters(AtomicU32);

/// One call that waits, until dropped: whoever asked may stop waiting at any time.
#[derive(Debug)]
pub struct Waiter<'a>(&'a Waiters);

// === impl Waiters ===

impl Waiters {
    /// One more, until what is returned is dropped.
    pub fn enter(&self) -> Waiter<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waiter(self)
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
