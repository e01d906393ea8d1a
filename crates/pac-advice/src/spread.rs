//! Percentiles, and how far they may be off: the days are drawn again, by lot, as a bootstrap does.
//!
//! Waits within a day have to do with one another, those of different days hardly: so whole days are drawn.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Fewer days don't tell how much days differ.
pub(crate) const FEWEST_DAYS: usize = 3;
const DRAWS: usize = 200;
/// Of the draws, so many may be lower, and as many higher.
const TAIL: f64 = 0.05;

/// Waits in seconds, the shortest first, each with the day it is of.
#[derive(Debug)]
pub(crate) struct Waits(Vec<(usize, f64)>);

/// What the part `of` the sorted `times` is at most; 0 of none.
pub(crate) fn percentile(times: &[f64], of: f64) -> f64 {
    let place = (times.len() as f64 * of).ceil() as usize;
    times.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// Between what times the percentile is in nine of ten draws; none of too few days.
pub(crate) fn range(waits: &Waits, of: f64) -> Option<(f64, f64)> {
    let days = waits.0.iter().map(|(day, _)| day + 1).max().unwrap_or_default();
    if days < FEWEST_DAYS {
        return None;
    }
    // The same question has the same answer.
    let mut lot = SmallRng::seed_from_u64(waits.0.len() as u64);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let mut times = vec![0_usize; days];
            (0..days).for_each(|_| times[lot.random_range(0..days)] += 1);
            waits.percentile_of(of, |day| times[day])
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    Some((percentile(&drawn, TAIL), percentile(&drawn, 1.0 - TAIL)))
}

// === impl Waits ===

impl Waits {
    pub(crate) fn new(waits: impl Iterator<Item = (usize, f64)>) -> Self {
        let mut waits: Vec<(usize, f64)> = waits.collect();
        waits.sort_by(|one, other| one.1.total_cmp(&other.1));
        Self(waits)
    }

    pub(crate) fn percentile(&self, of: f64) -> f64 {
        self.percentile_of(of, |_| 1)
    }

    /// The percentile, if each wait were there as often as `times` says of its day.
    fn percentile_of(&self, of: f64, times: impl Fn(usize) -> usize) -> f64 {
        let all: usize = self.0.iter().map(|(day, _)| times(*day)).sum();
        let mut still = (all as f64 * of).ceil() as usize;
        for (day, wait) in &self.0 {
            still = still.saturating_sub(times(*day));
            if still == 0 {
                return *wait;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_wait_that_was() {
        let waits: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!((percentile(&waits, 0.5), percentile(&waits, 0.9), percentile(&[], 0.5)), (5.0, 9.0, 0.0));
        let waits = Waits::new((1..=10).rev().map(|wait| (0, f64::from(wait))));
        assert_eq!((waits.percentile(0.5), waits.percentile(0.9)), (5.0, 9.0));
    }

    #[test]
    fn days_that_differ_make_it_wide_and_days_alike_make_it_narrow() {
        let week = |of_day: fn(usize) -> f64| {
            Waits::new((0..7).flat_map(move |day| (0..10).map(move |run| (day, of_day(day) + f64::from(run)))))
        };
        assert_eq!(range(&week(|_| 100.0), 0.9), Some((108.0, 108.0)));
        let (low, high) = range(&week(|day| day as f64 * 100.0), 0.9).unwrap();
        assert!(low < 600.0 && high > 600.0, "{low} to {high}");
        assert_eq!(range(&Waits::new([(0, 1.0), (1, 2.0)].into_iter()), 0.9), None);
    }
}
