//! Runs that were passed although there was a slot for them, too: fine if they follow at once.
//!
//! If a lower limit or a pause takes that slot from one, it waits like others, and whoever passes it from then on is judged then.

use std::{collections::BTreeMap, time::Duration};

use super::limits::RepositoryKey;

/// A start that passed an earlier run.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) key: RepositoryKey,
    /// The limit under which there was a slot for both.
    pub(super) limit: Option<u64>,
    /// Until when the earlier run must have followed.
    pub(super) until: Duration,
    pub(super) violation: String,
}

/// The starts that passed runs, by the uid of who was passed.
#[derive(Debug, Default)]
pub(super) struct PassedRuns(BTreeMap<String, Vec<Passed>>);

// === impl PassedRuns ===

impl PassedRuns {
    /// Notes that a run was passed, with `open` as the limit at the moment.
    pub(super) fn note(&mut self, uid: String, passed: Passed, open: Option<u64>) {
        if !passed.is_cut_off_by(open) {
            self.0.entry(uid).or_default().push(passed);
        }
    }

    /// Forgets those of a Repository that there is no slot for under the limit `open`.
    pub(super) fn lose_slots(&mut self, key: &RepositoryKey, open: Option<u64>) {
        for passed in self.0.values_mut() {
            passed.retain(|passed| passed.key != *key || !passed.is_cut_off_by(open));
        }
    }

    /// A run has left the queue: the violations by which it came too late.
    pub(super) fn leave(&mut self, uid: &str, at: Duration) -> impl Iterator<Item = String> + use<> {
        let passed = self.0.remove(uid).unwrap_or_default();
        passed.into_iter().filter(move |passed| at > passed.until).map(|passed| passed.violation)
    }

    pub(super) fn uids(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

// === impl Passed ===

impl Passed {
    /// Whether `open` is a lower limit; none is the highest.
    fn is_cut_off_by(&self, open: Option<u64>) -> bool {
        open.is_some_and(|open| self.limit.is_none_or(|limit| open < limit))
    }
}
