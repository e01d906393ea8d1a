//! Which live reads are under way: a run is not read twice at once for the same purpose.
//!
//! Every pass asks for the reads it misses, and passes go on while the API server is slow: without this, reads of the same
//! runs would pile up. Dropping the later of two is safe, since what the earlier one finds is used either way, and is
//! followed by another pass, which asks again for what is still missing.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pac_concurrency::RunKey;

/// What a run is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// What became of it.
    Confirm,
    /// Whether it was started, now that it doesn't fit the limit.
    Surplus,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<HashSet<(Purpose, RunKey)>>);

/// As long as this lives, the read is under way.
#[derive(Debug)]
pub(super) struct ReadUnderWay<'a> {
    reads: &'a Reads,
    read: (Purpose, RunKey),
}

// === impl Reads ===

impl Reads {
    /// Notes that `run` is going to be read; false if that is so already.
    pub(super) fn plan(&self, purpose: Purpose, run: &RunKey) -> bool {
        self.lock().insert((purpose, run.clone()))
    }

    /// The read that was planned; it is over when this is dropped.
    pub(super) fn begin(&self, purpose: Purpose, run: &RunKey) -> ReadUnderWay<'_> {
        ReadUnderWay { reads: self, read: (purpose, run.clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(Purpose, RunKey)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ReadUnderWay ===

impl Drop for ReadUnderWay<'_> {
    fn drop(&mut self) {
        self.reads.lock().remove(&self.read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_once_at_a_time_for_each_purpose() {
        let (reads, run) = (Reads::default(), RunKey::new("ns", "run", "uid").unwrap());
        assert!(reads.plan(Purpose::Confirm, &run) && !reads.plan(Purpose::Confirm, &run));
        assert!(reads.plan(Purpose::Surplus, &run));
        drop(reads.begin(Purpose::Confirm, &run));
        assert!(reads.plan(Purpose::Confirm, &run) && !reads.plan(Purpose::Surplus, &run));
    }
}
