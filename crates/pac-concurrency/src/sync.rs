//! Locks of what threads share: pac-threads puts others in their place, with which it tries thousands of orders of turns.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
