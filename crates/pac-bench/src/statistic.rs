//! From many measurements to the few numbers that are told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The middle one of several runs, and how far apart they were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Half of them are at most this.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The most.
    pub(crate) max: f64,
    /// How many there were.
    pub(crate) runs: usize,
}

// === impl Spread ===

impl Spread {
    /// Of what the runs of a benchmark came to; none of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { median, min, max, runs: values.len() })
    }
}

/// Times of single operations within one run.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

// === impl Times ===

impl Times {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// What `percent` of them take at most, in milliseconds, once sorted; 0 of none.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0, runs: 3 }));
        assert_eq!(Spread::of([4.0, 2.0]).map(|spread| spread.median), Some(3.0));
    }

    #[test]
    fn percentiles_are_of_those_there_are() {
        let mut times = Times::default();
        (1..=200).rev().for_each(|n| times.add(Duration::from_millis(n)));
        times.sort();
        assert_eq!((times.percentile(50), times.percentile(99), times.percentile(100)), (100.0, 198.0, 200.0));
        assert_eq!(Times::default().percentile(50), 0.0);
    }
}
