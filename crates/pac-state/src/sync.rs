//! Locks, notifications and clock of what threads share: pac-threads puts others in their place, with which it tries thousands of
//! orders of turns.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use tokio::sync::Notify;
pub(crate) use tokio::time::{Instant, sleep_until};
