//! Starts under way: what nobody waits for is written behind them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long no start may have begun for a moment to be quiet: those of a burst follow each other more closely.
const QUIET_FOR: Duration = Duration::from_millis(50);
/// A start that is still under way after this hangs, in a webhook of its namespace, say, and holds up nobody else.
const HANGS_AFTER: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct StartTraffic(Mutex<Starts>);

#[derive(Debug, Default)]
struct Starts {
    number: u64,
    under_way: BTreeMap<u64, Instant>,
    last: Option<Instant>,
}

/// A start that is under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay<'a> {
    traffic: &'a StartTraffic,
    number: u64,
}

// === impl StartTraffic ===

impl StartTraffic {
    /// Notes that a start is about to be sent.
    pub fn begin(&self, now: Instant) -> UnderWay<'_> {
        let mut starts = self.starts();
        starts.number += 1;
        let number = starts.number;
        starts.under_way.insert(number, now);
        starts.last = Some(now);
        UnderWay { traffic: self, number }
    }

    /// Whether no start is under way, and none began just now.
    pub fn is_quiet(&self, now: Instant) -> bool {
        let starts = self.starts();
        let is_past = |began: Instant, after| now.saturating_duration_since(began) >= after;
        starts.last.is_none_or(|last| is_past(last, QUIET_FOR))
            && starts.under_way.values().all(|began| is_past(*began, HANGS_AFTER))
    }

    fn starts(&self) -> MutexGuard<'_, Starts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl UnderWay ===

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.traffic.starts().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_quiet_when_no_start_is_under_way_but_one_that_hangs() {
        let (traffic, began) = (StartTraffic::default(), Instant::now());
        assert!(traffic.is_quiet(began));
        let start = traffic.begin(began);
        assert!(!traffic.is_quiet(began + QUIET_FOR), "it is under way");
        assert!(traffic.is_quiet(began + HANGS_AFTER), "it hangs");
        drop(start);
        assert!(traffic.is_quiet(began + QUIET_FOR));
        assert!(!traffic.is_quiet(began), "another may follow at once");
    }
}
