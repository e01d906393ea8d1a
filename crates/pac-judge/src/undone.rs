//! Commits that were acknowledged, and are no more: what it costs to fail over to a standby that missed them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use crate::history::{History, Number, Operation, Outcome};

/// What histories show to have been undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// How many commits.
    pub commits: usize,
    /// How many times a repository went back to a version that it had left.
    pub times: usize,
    /// The longest time between the first and the last that were acknowledged and then undone at once.
    pub longest: Duration,
    /// How many commits were acknowledged in all.
    pub of: usize,
}

// === impl Undone ===

impl Undone {
    /// Looks for versions that a repository is seen at again, after a commit on them had been acknowledged.
    pub fn of(histories: &[History]) -> Self {
        let mut all = Self::default();
        histories.iter().for_each(|history| all.add(history));
        all
    }

    fn add(&mut self, history: &History) {
        let mut next: HashMap<Number, Vec<(Number, u64)>> = HashMap::new();
        // At which versions the repository was seen to be, by whoever asked last.
        let mut seen: HashMap<Number, u64> = HashMap::new();
        for record in &history.records {
            let version = match &record.call.operation {
                Operation::Load { seen, .. } => seen.version,
                Operation::Commit { expected, outcome: Outcome::Done(version), .. } => {
                    self.of += 1;
                    let returned = record.call.returned.unwrap_or(u64::MAX);
                    next.entry(*expected).or_default().push((*version, returned));
                    *expected
                }
                Operation::Commit { .. } => continue,
            };
            let last = seen.entry(version).or_default();
            *last = record.call.called.max(*last);
        }
        // Each undone version with the time of its acknowledgement, under the version that came back: the earliest there is.
        let mut undone: BTreeMap<Number, u64> = BTreeMap::new();
        let mut ages: Vec<(Number, u64, u64)> = Vec::new();
        for (&came_back, &at) in &seen {
            let (mut behind, mut first, mut last) = (vec![came_back], u64::MAX, 0);
            while let Some(version) = behind.pop() {
                for &(later, returned) in next.get(&version).into_iter().flatten() {
                    if returned < at && later != came_back {
                        undone.insert(later, returned);
                        (first, last) = (first.min(returned), last.max(returned));
                        behind.push(later);
                    }
                }
            }
            if last > 0 {
                ages.push((came_back, first, last));
            }
        }
        self.commits += undone.len();
        // A version that is itself undone came back no more than those before it did.
        let came_back = ages.iter().filter(|(version, ..)| !undone.contains_key(version));
        for (_, first, last) in came_back {
            self.times += 1;
            self.longest = self.longest.max(Duration::from_nanos(last - first));
        }
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commits, times, longest, of } = self;
        write!(
            f,
            "at least {commits} of {of} acknowledged commits were undone, {times} times a repository's last ones, which had been acknowledged within \
             {:.1} s at most",
            longest.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Change, Record, Seen};
    use crate::linearizability::Call;

    fn commit(called: u64, returned: u64, expected: Number, version: Number) -> Record {
        let outcome = Outcome::Done(version);
        let operation = Operation::Commit { expected, holder: 0, change: Change::default(), outcome };
        Record { client: 0, call: Call { called, returned: Some(returned), operation } }
    }

    fn load(called: u64, version: Number) -> Record {
        let seen = Seen { version, slots: Vec::new(), waiting: Vec::new(), waiting_count: 0, whole: true };
        let operation = Operation::Load { window: None, seen };
        Record { client: 1, call: Call { called, returned: Some(called + 1), operation } }
    }

    fn undone(records: Vec<Record>) -> (usize, usize, u128) {
        let undone = Undone::of(&[History { repository: "ns/repo".to_owned(), records }]);
        (undone.commits, undone.times, undone.longest.as_nanos())
    }

    #[test]
    fn what_came_after_a_version_that_is_seen_again_is_undone() {
        let done = || vec![commit(0, 10, 0, 1), commit(20, 30, 1, 2), commit(40, 50, 2, 3)];
        let then = |more: Vec<Record>| done().into_iter().chain(more).collect();
        assert_eq!(undone(then(vec![load(60, 3)])), (0, 0, 0));
        assert_eq!(undone(then(vec![load(45, 2)])), (0, 0, 0), "the next was under way");
        assert_eq!(undone(then(vec![load(60, 1), load(70, 1)])), (2, 1, 20));
        assert_eq!(
            undone(then(vec![commit(60, 70, 1, 4), load(80, 4)])),
            (2, 1, 20),
            "nor does it show by loads alone"
        );
    }
}
