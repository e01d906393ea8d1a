//! How often something may be done: so many times at once, and one more each time so much time has passed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// See the [module](self). It holds one time: that at which all of it would be there again.
#[derive(Debug)]
pub(crate) struct Budget {
    whole_again: Mutex<Instant>,
    every: Duration,
    at_once: u32,
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(every: Duration, at_once: u32) -> Self {
        Self { whole_again: Mutex::new(Instant::now()), every, at_once }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut whole_again = self.whole_again.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*whole_again).max(now) + self.every;
        let is_there = after <= now + self.every * self.at_once;
        if is_there {
            *whole_again = after;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_one_each_time_after_that() {
        let budget = Budget::new(Duration::from_millis(100), 3);
        let now = Instant::now() + Duration::from_secs(1);
        let taken = |after: u64| (0..10).filter(|_| budget.take_at(now + Duration::from_millis(after))).count();
        assert_eq!([0, 50, 100, 350, 10_000].map(taken), [3, 0, 1, 2, 3]);
    }
}
