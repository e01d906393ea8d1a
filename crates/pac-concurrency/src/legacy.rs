//! What an earlier implementation left in the store, and how its slots and its order are taken over.
//!
//! It knew runs by name alone, kept finished ones, and let its leases run out under runs that still ran. So what it says is
//! compared with the cluster, run by run: the cluster says who runs, and what was left says who is next.

use crate::delta::Delta;
use crate::key::RepositoryKey;
use crate::order::{Entry, FIRST_KEPT, OrderKey};
use crate::snapshot::CorruptRecord;

/// All that was left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Legacy {
    /// Where it was found, for people.
    pub source: String,
    /// Each repository once.
    pub repositories: Vec<LegacyRepository>,
    /// Records that can't be read.
    pub corrupt: Vec<CorruptRecord>,
}

/// One repository as it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyRepository {
    /// Which.
    pub repository: RepositoryKey,
    /// Runs (`namespace/name`) that had a slot, the oldest first.
    pub running: Vec<String>,
    /// Runs (`namespace/name`) that waited, in order.
    pub queued: Vec<String>,
}

/// What the cluster says of a run that was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegacyRun {
    /// It runs.
    Running(Entry),
    /// It waits.
    Waiting(Entry),
    /// It is neither: done, or gone, or another repository's.
    Ghost,
}

/// What was taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegacyImport {
    /// Repositories.
    pub repositories: usize,
    /// Runs that run.
    pub slots: usize,
    /// Runs that wait.
    pub waiting: usize,
    /// Runs that were left and are no more.
    pub ghosts: usize,
    /// Records that can't be read.
    pub corrupt: usize,
}

// === impl LegacyRepository ===

impl LegacyRepository {
    /// What to commit, given what the cluster says of a run, and what that comes to.
    ///
    /// A run with a slot that has not started waits from now on, before all others: so it gets its slot back at once, if
    /// there are as many as the limit allows.
    pub fn import(&self, in_cluster: &dyn Fn(&str) -> LegacyRun) -> (Delta, LegacyImport) {
        let mut delta = Delta::default();
        let mut taken = LegacyImport { repositories: 1, ..LegacyImport::default() };
        for run in self.running.iter().chain(&self.queued) {
            match in_cluster(run) {
                LegacyRun::Running(entry) => push_new(&mut delta.hold, entry),
                LegacyRun::Waiting(entry) => push_new(&mut delta.enqueue, entry),
                LegacyRun::Ghost => taken.ghosts += 1,
            }
        }
        keep_order(&mut delta.enqueue);
        (taken.slots, taken.waiting) = (delta.hold.len(), delta.enqueue.len());
        (delta, taken)
    }
}

fn push_new(entries: &mut Vec<Entry>, entry: Entry) {
    if entries.iter().all(|known| known.run != entry.run) {
        entries.push(entry);
    }
}

/// Gives `entries` places in the order they are in, before whoever comes later.
fn keep_order(entries: &mut [Entry]) {
    let Some(oldest) = entries.iter().map(|entry| entry.order.event_created).min() else { return };
    for (position, entry) in (FIRST_KEPT..).zip(entries) {
        entry.order = OrderKey { event_created: oldest.saturating_sub(1), position, created: entry.order.created };
    }
}

// === impl LegacyImport ===

impl LegacyImport {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            repositories: self.repositories + other.repositories,
            slots: self.slots + other.slots,
            waiting: self.waiting + other.waiting,
            ghosts: self.ghosts + other.ghosts,
            corrupt: self.corrupt + other.corrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::RunKey;

    fn entry(name: &str, created: i64) -> Entry {
        Entry::new(RunKey::new("ns", name, "uid").unwrap(), OrderKey::alone(created))
    }

    fn left(running: &[&str], queued: &[&str]) -> LegacyRepository {
        let names = |names: &[&str]| names.iter().map(|name| format!("ns/{name}")).collect();
        LegacyRepository { repository: "ns/repo".parse().unwrap(), running: names(running), queued: names(queued) }
    }

    /// Those whose name begins with an r run, those with a w wait.
    fn in_cluster(run: &str) -> LegacyRun {
        let name = run.trim_start_matches("ns/");
        match name.as_bytes().first() {
            Some(b'r') => LegacyRun::Running(entry(name, 100)),
            Some(b'w') => LegacyRun::Waiting(entry(name, 100)),
            _ => LegacyRun::Ghost,
        }
    }

    #[test]
    fn the_order_is_the_one_that_was_left_and_comes_before_newcomers() {
        let (delta, taken) = left(&["r1"], &["w3", "gone", "w1", "w2"]).import(&in_cluster);
        let mut sorted = delta.enqueue.clone();
        sorted.sort();
        let names: Vec<&str> = sorted.iter().map(|entry| entry.run.name()).collect();
        assert_eq!(names, ["w3", "w1", "w2"]);
        assert!(sorted.iter().all(|old| old.order.is_kept() && *old < entry("newcomer", 100)));
        assert_eq!(delta.hold, [entry("r1", 100)]);
        assert_eq!(taken, LegacyImport { repositories: 1, slots: 1, waiting: 3, ghosts: 1, corrupt: 0 });
    }

    #[test]
    fn a_slot_whose_run_has_not_started_is_next() {
        let (delta, _) = left(&["w9"], &["w1"]).import(&in_cluster);
        let first = delta.enqueue.iter().min().map(|entry| entry.run.name().to_owned());
        assert_eq!(first.as_deref(), Some("w9"));
        assert!(delta.hold.is_empty());
    }

    #[test]
    fn a_run_that_was_left_twice_counts_once() {
        let (delta, taken) = left(&["r1"], &["r1", "w1", "w1"]).import(&in_cluster);
        assert_eq!((delta.hold.len(), delta.enqueue.len(), taken.ghosts), (1, 1, 0));
    }
}
