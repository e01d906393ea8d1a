//! Times by their magnitude: of bounded size, however many there are.

use std::collections::BTreeMap;

use pac_queue::shadow::Times;

/// What a time may differ by from others of its bucket: a factor of 2^(1/4), 19 %.
const BUCKETS_A_DOUBLING: f64 = 4.0;
/// Seconds up to which times are not told apart.
const FINEST: f64 = 0.01;
/// Times beyond some eight years have one bucket.
const MOST_BUCKETS: u8 = 160;

/// See the [module](self). Some 100 buckets hold all between a hundredth of a second and a fortnight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distribution {
    buckets: BTreeMap<u8, u32>,
    count: u64,
    total: f64,
    longest: f64,
}

// === impl Distribution ===

impl Distribution {
    /// Adds a time in seconds.
    pub(crate) fn add(&mut self, seconds: f64) {
        let seconds = seconds.max(0.0);
        *self.buckets.entry(bucket(seconds)).or_default() += 1;
        self.count += 1;
        self.total += seconds;
        self.longest = self.longest.max(seconds);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    pub(crate) fn times(&self) -> Times {
        Times {
            count: self.count,
            median_seconds: self.percentile(50),
            p95_seconds: self.percentile(95),
            longest_seconds: self.longest,
            total_seconds: self.total,
        }
    }

    /// What so many in 100 are at most.
    fn percentile(&self, percent: u64) -> f64 {
        let mut still = (self.count * percent).div_ceil(100);
        for (bucket, count) in &self.buckets {
            still = still.saturating_sub(u64::from(*count));
            if still == 0 {
                return upper(*bucket).min(self.longest);
            }
        }
        self.longest
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn bucket(seconds: f64) -> u8 {
    let magnitude = (seconds / FINEST).log2() * BUCKETS_A_DOUBLING;
    magnitude.ceil().clamp(0.0, f64::from(MOST_BUCKETS)) as u8
}

fn upper(bucket: u8) -> f64 {
    FINEST * (f64::from(bucket) / BUCKETS_A_DOUBLING).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_never_too_low_and_a_fifth_too_high_at_most() {
        let mut distribution = Distribution::default();
        (1..=1000).for_each(|second| distribution.add(f64::from(second)));
        let Times { count, median_seconds, p95_seconds, longest_seconds, total_seconds } = distribution.times();
        assert_eq!((count, longest_seconds, total_seconds), (1000, 1000.0, 500_500.0));
        assert!((500.0..=600.0).contains(&median_seconds), "{median_seconds}");
        assert!((950.0..=1000.0).contains(&p95_seconds), "{p95_seconds}");
    }

    #[test]
    fn whatever_comes_its_size_is_bounded() {
        let mut distribution = Distribution::default();
        for seconds in [0.0, -1.0, 1e-9, 1e12, f64::MAX] {
            distribution.add(seconds);
        }
        assert!(distribution.buckets.keys().all(|bucket| *bucket <= MOST_BUCKETS));
        assert_eq!(distribution.times().longest_seconds, f64::MAX);
        assert_eq!(Distribution::default().times(), Times::default());
    }

    #[test]
    fn two_together_are_as_one() {
        let (mut one, mut other, mut both) = Default::default();
        let fill =
            |distribution: &mut Distribution, times: &[f64]| times.iter().for_each(|time| distribution.add(*time));
        fill(&mut one, &[1.0, 2.0]);
        fill(&mut other, &[3.0, 400.0]);
        fill(&mut both, &[1.0, 2.0, 3.0, 400.0]);
        one.merge(&other);
        assert_eq!(one.times(), both.times());
    }
}
