//! From milliseconds measured to the few that are told.

use std::time::Duration;

use super::LatencySummary;

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

pub(super) fn summarize(mut measured: Vec<Duration>) -> LatencySummary {
    measured.sort_unstable();
    let at = |share: usize| {
        let index = (measured.len() * share).div_ceil(100).saturating_sub(1);
        measured.get(index).copied().map(milliseconds).unwrap_or_default()
    };
    LatencySummary { count: measured.len(), median: at(50), p99: at(99), max: at(100) }
}
