//! What was, made into arrivals that can be replayed.

use std::num::NonZeroU32;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Entry, Limit, OrderKey, RunKey};
use pac_queue::times::{QueueTimes, RunTimesView};
use pac_queue::week::Outcome;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::patience::Patience;

/// A run that arrives. Times are in seconds since the watcher was asked, and so negative.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// When.
    pub(crate) at: f64,
    /// Its place in the queue.
    pub(crate) entry: Entry,
    /// How long it has its slot, if nobody cancels it, in seconds.
    pub(crate) takes: f64,
    /// When it is cancelled or deleted.
    pub(crate) leaves: Option<f64>,
}

/// See the [module](self). Times are those of [`Arrival`].
pub(crate) struct Past {
    pub(crate) arrivals: Vec<Arrival>,
    /// Of each arrival, how long it really waited until it got its slot; none if it never did.
    pub(crate) waited: Vec<Option<f64>>,
    /// How many came to their end.
    pub(crate) ended: usize,
    pub(crate) from: f64,
    pub(crate) until: f64,
    rules: Vec<(f64, Option<u32>)>,
    origin: Timestamp,
}

// === impl Past ===

impl Past {
    pub(crate) fn of(times: &QueueTimes) -> Self {
        let origin = times.watcher.at;
        let seconds = |at: Timestamp| at.duration_since(origin).as_secs_f64();
        let done = times.runs.iter().filter(|run| run.outcome == Outcome::Done);
        let mut durations: Vec<f64> = done.filter_map(|run| run.held_seconds).collect();
        durations.sort_by(f64::total_cmp);
        let there_for = |run: &RunTimesView| run.waited_seconds + run.held_seconds.unwrap_or_default();
        let patience = times.runs.iter().map(|run| (there_for(run), run.outcome == Outcome::Left));
        let patience = Patience::of(patience);
        let mut lot = SmallRng::seed_from_u64(durations.len() as u64);
        let mut runs: Vec<&RunTimesView> = times.runs.iter().collect();
        runs.sort_by_key(|run| run.arrived);
        let known = runs.iter().zip(0..).filter_map(|(run, number)| {
            let at = seconds(run.arrived);
            let so_far = run.held_seconds.unwrap_or_default();
            let left = match run.outcome {
                Outcome::Left => Some(there_for(run)),
                Outcome::Done | Outcome::Unfinished => patience.cancels(there_for(run), lot.random()),
            };
            let arrival = Arrival {
                at,
                entry: entry(run, number)?,
                takes: match (run.outcome, run.held_seconds) {
                    (Outcome::Done, Some(held)) => held,
                    _ => longer(&durations, so_far, &mut lot),
                },
                leaves: left.map(|after| at + after),
            };
            Some((arrival, run.held_seconds.map(|_| run.waited_seconds)))
        });
        let (arrivals, waited): (Vec<Arrival>, Vec<Option<f64>>) = known.unzip();
        Self {
            from: arrivals.first().map_or(0.0, |first| first.at),
            until: 0.0,
            waited,
            ended: durations.len(),
            rules: times.rules.iter().map(|rule| (seconds(rule.at), rule.limit)).collect(),
            arrivals,
            origin,
        }
    }

    /// The time that so many seconds are.
    pub(crate) fn at(&self, seconds: f64) -> Timestamp {
        let milliseconds = (seconds * 1000.0) as i64;
        Timestamp::from_millisecond(self.origin.as_millisecond() + milliseconds).unwrap_or(self.origin)
    }

    /// Who may be admitted since when, if `limit` says what becomes of each limit there was; pauses stay.
    ///
    /// In the end nothing is paused, so that whoever still waits gets a slot.
    pub(crate) fn rules(&self, limit: impl Fn(Limit) -> Limit) -> Vec<(f64, Limit)> {
        let as_it_was = |rule: Option<u32>| match rule.map(NonZeroU32::new) {
            None => Limit::Unlimited,
            Some(None) => Limit::Unknown,
            Some(Some(most)) => Limit::AtMost(most),
        };
        let known = self.rules.iter().map(|(at, rule)| (*at, as_it_was(*rule)));
        let first_known = known.clone().map(|(_, limit)| limit).find(|limit| *limit != Limit::Unknown);
        let last_known = known.clone().map(|(_, limit)| limit).rfind(|limit| *limit != Limit::Unknown);
        let before = (f64::NEG_INFINITY, first_known.unwrap_or(Limit::Unlimited));
        let after = (self.until, last_known.unwrap_or(Limit::Unlimited));
        let all = [before].into_iter().chain(known).chain([after]);
        all.map(|(at, was)| (at, if was == Limit::Unknown { was } else { limit(was) })).collect()
    }
}

/// Its place in the queue, and behind all that have the same.
fn entry(run: &RunTimesView, number: u32) -> Option<Entry> {
    let order =
        OrderKey { event_created: run.event.as_second(), position: run.position, created: run.arrived.as_second() };
    let run = RunKey::new("replay", &format!("run-{number:010}"), &number.to_string()).ok()?;
    Some(Entry::new(run, order))
}

/// One of the times that are longer than `so_far`.
fn longer(durations: &[f64], so_far: f64, lot: &mut SmallRng) -> f64 {
    let longer = durations.get(durations.partition_point(|time| *time <= so_far)..).unwrap_or_default();
    match longer.len() {
        // Longer than any before: it may end now, or go on for as long again.
        0 => so_far * (1.0 + lot.random::<f64>()),
        many => longer.get(lot.random_range(0..many)).copied().unwrap_or(so_far),
    }
}
