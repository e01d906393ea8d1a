//! Which systems go on alike, and so are explored once: those that differ by nothing but which of the watchers is called the first,
//! and how versions and holders are called.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Answer, System};
use crate::known::{Label, Labels};
use crate::watcher::Outcome;

// === impl System ===

impl Hash for System {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let first: Vec<usize> = (0..self.watchers.len()).collect();
        let last: Vec<usize> = first.iter().rev().copied().collect();
        self.digest_in(&first).min(self.digest_in(&last)).hash(state);
    }
}

impl System {
    /// By all it is, names included.
    #[cfg(test)]
    pub(crate) fn exact_digest(&self) -> u64 {
        let mut digest = DefaultHasher::new();
        (&self.cluster, &self.watchers, &self.store, &self.leases, &self.starts, &self.reads).hash(&mut digest);
        (self.budget, self.excused, self.breach).hash(&mut digest);
        digest.finish()
    }

    /// With the watchers in this order.
    fn digest_in(&self, order: &[usize]) -> u64 {
        let (mut digest, mut labels) = (DefaultHasher::new(), Labels::default());
        (&self.cluster, self.budget, self.excused, self.breach).hash(&mut digest);
        for number in order {
            let watching = &self.watchers[*number];
            labels.feed_all(&watching.watcher, &mut digest);
            (watching.seen, watching.has_news).hash(&mut digest);
            match &watching.answer {
                None => 0.hash(&mut digest),
                Some(Answer::Loaded(snapshot)) => {
                    1.hash(&mut digest);
                    labels.feed_all(snapshot, &mut digest);
                }
                Some(Answer::Committed(Outcome::Done(number))) => {
                    2.hash(&mut digest);
                    labels.feed(Label::Version(*number), &mut digest);
                }
                Some(Answer::Committed(Outcome::Conflict)) => 3.hash(&mut digest),
                Some(Answer::Committed(Outcome::Indeterminate)) => 4.hash(&mut digest),
            }
        }
        labels.feed_all(&self.store, &mut digest);
        let place = |by: u8| order.iter().position(|number| *number == usize::from(by));
        let mut starts: Vec<_> = self.starts.iter().map(|start| (start.by.map(place), start)).collect();
        starts.sort_unstable_by(|(by, one), (other, two)| (by, one.parts()).cmp(&(other, two.parts())));
        for (by, start) in starts {
            (by, start.parts()).hash(&mut digest);
        }
        let mut reads: Vec<_> =
            self.reads.iter().map(|read| (place(read.by), read.purpose, read.id, read.found)).collect();
        reads.sort_unstable();
        reads.hash(&mut digest);
        // A lease behind which nothing is any more matters to nobody, but that there are only so many.
        self.leases.len().hash(&mut digest);
        labels.holders().for_each(|holder| self.leases[usize::from(holder)].hash(&mut digest));
        digest.finish()
    }
}
