//! How long to wait before trying again.

use std::time::Duration;

use rand::Rng;

/// The wait after the `failures`-th failure in a row (from 0): `first`, doubling, at most `most`, less up to a quarter of
/// jitter, so that what failed together isn't tried together.
pub fn wait(first: Duration, most: Duration, failures: u32) -> Duration {
    let wait = first.saturating_mul(1 << failures.min(16)).min(most);
    wait.mul_f64(rand::rng().random_range(0.75..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_most() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let between = |wait: Duration, of: Duration| wait >= of.mul_f64(0.75) && wait <= of;
        assert!(between(wait(first, most, 0), first));
        assert!(between(wait(first, most, 3), first * 8));
        assert!(between(wait(first, most, 400), most));
    }
}
