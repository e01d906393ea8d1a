//! Which live reads are under way: a run is not read twice at once for the same purpose, after failures less and less often, and not while it
//! would tell the same.
//!
//! Every pass asks for the reads it misses, and passes go on while the API server is slow: without this, reads of the same
//! runs would pile up. Dropping the later of two is safe, since what the earlier one finds is used either way, and is
//! followed by another pass, which asks again for what is still missing.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pac_concurrency::RunKey;
use pac_kube::backoff;
use tokio::time::Instant;

/// First wait after a failed read; doubles with each further one.
const WAIT: Duration = Duration::from_millis(100);
const WAIT_MOST: Duration = Duration::from_secs(15);
/// How long after its time a failure is forgotten: nobody asks for that read any more.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What a run is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// What became of it.
    Confirm,
    /// Whether it was started, now that it doesn't fit the limit.
    OverLimit,
}

/// Whether a run is to be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planned {
    /// Yes, by whoever asked.
    Now,
    /// It is being read.
    UnderWay,
    /// Not before this: it could not be read a moment ago, or would tell the same.
    Later(Instant),
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    under_way: HashSet<(Purpose, RunKey)>,
    failed: HashMap<(Purpose, RunKey), Failed>,
    /// What would tell the same until then.
    told: HashMap<(Purpose, RunKey), Instant>,
}

/// What came of a read so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    /// How often it failed in a row.
    pub(super) times: u32,
    /// When to try again.
    pub(super) until: Instant,
}

/// As long as this lives, the read is under way.
#[derive(Debug)]
pub(super) struct ReadUnderWay<'a> {
    reads: &'a Reads,
    read: (Purpose, RunKey),
}

// === impl Reads ===

impl Reads {
    /// Notes that `run` is going to be read, unless it is being read, or may not be yet.
    pub(super) fn plan(&self, purpose: Purpose, run: &RunKey, now: Instant) -> Planned {
        let (mut state, read) = (self.lock(), (purpose, run.clone()));
        if let Some(failed) = state.failed.get(&read).filter(|failed| failed.until > now) {
            return Planned::Later(failed.until);
        }
        if let Some(until) = state.told.get(&read).filter(|until| **until > now) {
            return Planned::Later(*until);
        }
        if state.under_way.insert(read) { Planned::Now } else { Planned::UnderWay }
    }

    /// The read that was planned; it is over when this is dropped.
    pub(super) fn begin(&self, purpose: Purpose, run: &RunKey) -> ReadUnderWay<'_> {
        ReadUnderWay { reads: self, read: (purpose, run.clone()) }
    }

    /// Has everything read again as soon as somebody asks.
    pub(super) fn forget_waits(&self) {
        let mut state = self.lock();
        state.failed.clear();
        state.told.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ReadUnderWay ===

impl ReadUnderWay<'_> {
    /// It told what was asked; if not for good, it would tell the same until `again_at`.
    pub(super) fn told(self, again_at: Option<Instant>, now: Instant) {
        let mut state = self.reads.lock();
        state.failed.remove(&self.read);
        state.told.retain(|_, until| *until > now);
        state.told.extend(again_at.map(|until| (self.read.clone(), until)));
    }

    /// It didn't.
    pub(super) fn failed(self, now: Instant) -> Failed {
        let mut state = self.reads.lock();
        state.failed.retain(|_, failed| now < failed.until + REMEMBERED);
        let before = state.failed.get(&self.read).map_or(0, |failed| failed.times);
        let failed = Failed { times: before + 1, until: now + backoff::wait(WAIT, WAIT_MOST, before) };
        state.failed.insert(self.read.clone(), failed);
        failed
    }
}

impl Drop for ReadUnderWay<'_> {
    fn drop(&mut self) {
        self.reads.lock().under_way.remove(&self.read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_once_at_a_time_for_each_purpose() {
        let (reads, run, now) = (Reads::default(), RunKey::new("ns", "run", "uid").unwrap(), Instant::now());
        assert_eq!(reads.plan(Purpose::Confirm, &run, now), Planned::Now);
        assert_eq!(reads.plan(Purpose::Confirm, &run, now), Planned::UnderWay);
        assert_eq!(reads.plan(Purpose::OverLimit, &run, now), Planned::Now);
        drop(reads.begin(Purpose::Confirm, &run));
        assert_eq!(reads.plan(Purpose::Confirm, &run, now), Planned::Now);
        assert_eq!(reads.plan(Purpose::OverLimit, &run, now), Planned::UnderWay);
    }

    #[test]
    fn what_fails_is_tried_less_and_less_often_until_it_tells() {
        let (reads, run, mut now) = (Reads::default(), RunKey::new("ns", "run", "uid").unwrap(), Instant::now());
        let mut waits = Vec::new();
        for times in 1..=3 {
            assert_eq!(reads.plan(Purpose::Confirm, &run, now), Planned::Now);
            let failed = reads.begin(Purpose::Confirm, &run).failed(now);
            assert_eq!((failed.times, reads.plan(Purpose::Confirm, &run, now)), (times, Planned::Later(failed.until)));
            waits.push(failed.until - now);
            now = failed.until;
        }
        assert!(waits.is_sorted(), "{waits:?}");
        assert_eq!(reads.plan(Purpose::Confirm, &run, now), Planned::Now);
        reads.begin(Purpose::Confirm, &run).told(None, now);
        assert!(reads.lock().failed.is_empty());
        assert_eq!(reads.plan(Purpose::Confirm, &run, now), Planned::Now);
    }

    #[test]
    fn what_would_tell_the_same_is_not_asked_again_before_it_may_tell_more() {
        let (reads, run, now) = (Reads::default(), RunKey::new("ns", "run", "uid").unwrap(), Instant::now());
        let until = now + WAIT;
        assert_eq!(reads.plan(Purpose::OverLimit, &run, now), Planned::Now);
        reads.begin(Purpose::OverLimit, &run).told(Some(until), now);
        assert_eq!(reads.plan(Purpose::OverLimit, &run, now), Planned::Later(until));
        assert_eq!(reads.plan(Purpose::Confirm, &run, now), Planned::Now);
        assert_eq!(reads.plan(Purpose::OverLimit, &run, until), Planned::Now);
        reads.begin(Purpose::OverLimit, &run).told(None, until);
        assert!(reads.lock().told.is_empty());
    }
}
