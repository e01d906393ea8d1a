//! Slots that a store had acknowledged and lost, as in a fail-over to a standby that missed the last commits.

use std::collections::BTreeSet;
use std::time::Duration;

/// How long after that a start of such a run may still be on its way: it is sent within 4 s of the commit, and given up after 10 s.
const ON_ITS_WAY: Duration = Duration::from_secs(15);

/// What was lost at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSlots {
    /// The moment, since the server's start.
    pub at: Duration,
    /// The uids of the runs that had a slot before, and none afterwards.
    pub runs: BTreeSet<String>,
}

// === impl LostSlots ===

impl LostSlots {
    /// Whether the start of `run` at the moment `at` was on its way when its slot was lost.
    pub(super) fn had_on_its_way(&self, run: &str, at: Duration) -> bool {
        self.runs.contains(run) && at >= self.at && at < self.at + ON_ITS_WAY
    }

    /// Whether, at the moment `at`, nobody need know that `run` runs, which was `started` then: no store says so, and no cache does
    /// that is `behind` by so much.
    pub(super) fn hides(&self, run: &str, started: Duration, at: Duration, behind: Duration) -> bool {
        let is_shown_by_then = started + behind <= self.at;
        self.runs.contains(run) && at >= self.at && !is_shown_by_then && at < started.max(self.at) + behind
    }
}
