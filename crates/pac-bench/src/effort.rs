//! How much to measure.

use std::time::Duration;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often.
    pub(crate) rounds: u32,
    /// For how long each time.
    pub(crate) time: Duration,
}
