//! How many ran and waited over the last hour: a sample every ten seconds, of each repository and of all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pac_concurrency::RepositoryKey;
use pac_state::index::Index;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

/// How often a sample is taken.
const EVERY: Duration = Duration::from_secs(10);
/// How many samples are kept: an hour's.
const SAMPLES: usize = 360;

/// The samples of the last hour.
#[derive(Debug, Default)]
pub struct Plot(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    all: VecDeque<Sample>,
    of: BTreeMap<RepositoryKey, VecDeque<Sample>>,
}

/// How many runs there were at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sample {
    running: u32,
    waiting: u32,
}

/// The answer of `/debug/queue/plot`: what is drawn, the latest last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlotView {
    /// Seconds from one sample to the next.
    pub every_seconds: u64,
    /// Runs that ran.
    pub running: Vec<u32>,
    /// Runs that waited.
    pub waiting: Vec<u32>,
}

// === impl Plot ===

impl Plot {
    /// Takes samples of `index`, for ever.
    pub async fn follow(self: Arc<Self>, index: Arc<Index>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let tallies = index.tallies().into_iter();
            let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
            let sample = |running, waiting| Sample { running: count(running), waiting: count(waiting) };
            self.take(tallies.map(|(key, (_, tally))| (key, sample(tally.running, tally.waiting))).collect());
        }
    }

    fn take(&self, samples: BTreeMap<RepositoryKey, Sample>) {
        let mut kept = self.kept();
        let sum = |of: fn(&Sample) -> u32| samples.values().map(of).fold(0, u32::saturating_add);
        let all = Sample { running: sum(|sample| sample.running), waiting: sum(|sample| sample.waiting) };
        add(&mut kept.all, all);
        kept.of.retain(|key, _| samples.contains_key(key));
        for (key, sample) in samples {
            add(kept.of.entry(key).or_default(), sample);
        }
    }

    /// The samples of `repository`, or of all.
    pub fn view(&self, repository: Option<&RepositoryKey>) -> PlotView {
        let kept = self.kept();
        let samples = match repository {
            Some(key) => kept.of.get(key).cloned().unwrap_or_default(),
            None => kept.all.clone(),
        };
        PlotView {
            every_seconds: EVERY.as_secs(),
            running: samples.iter().map(|sample| sample.running).collect(),
            waiting: samples.iter().map(|sample| sample.waiting).collect(),
        }
    }

    /// The samples of those repositories that `is_asked` says yes to, added up.
    pub fn sum(&self, is_asked: impl Fn(&RepositoryKey) -> bool) -> PlotView {
        let kept = self.kept();
        let asked: Vec<_> = kept.of.iter().filter(|(key, _)| is_asked(key)).map(|(_, samples)| samples).collect();
        let longest = asked.iter().map(|samples| samples.len()).max().unwrap_or_default();
        // Of a repository that came later there are fewer: the latest are of the same moment.
        let at = |back: usize, of: fn(&Sample) -> u32| {
            let samples = asked.iter().filter_map(|samples| samples.get(samples.len().checked_sub(back)?));
            samples.map(of).fold(0, u32::saturating_add)
        };
        PlotView {
            every_seconds: EVERY.as_secs(),
            running: (1..=longest).rev().map(|back| at(back, |sample| sample.running)).collect(),
            waiting: (1..=longest).rev().map(|back| at(back, |sample| sample.waiting)).collect(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(samples: &mut VecDeque<Sample>, sample: Sample) {
    if samples.len() == SAMPLES {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_of_what_is_there_and_nothing_of_what_is_gone() {
        let key = |name| RepositoryKey::new("ns", name).unwrap();
        let sample = |running, waiting| Sample { running, waiting };
        let plot = Plot::default();
        plot.take(BTreeMap::from([(key("gone"), sample(1, 1))]));
        for number in 0..400 {
            plot.take(BTreeMap::from([(key("a"), sample(1, number)), (key("b"), sample(2, 0))]));
        }
        let all = plot.view(None);
        assert_eq!((all.running.len(), all.running[0], all.waiting.last()), (SAMPLES, 3, Some(&399)));
        assert_eq!(plot.view(Some(&key("b"))).running, vec![2; SAMPLES]);
        assert!(plot.view(Some(&key("gone"))).running.is_empty());
    }
}
