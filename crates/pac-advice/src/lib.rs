//! What-if: what the waits of the last week, and the use of its slots, would have been under other limits.
//!
//! [`advise`] takes what a watcher kept of a repository ([`QueueTimes`]), and has the same runs arrive again. `past` makes arrivals
//! of it, each with the time it takes, and `patience` says when they are cancelled; `replay` has [`pac_concurrency::plan()`] decide who is admitted when, under each limit; and
//! `spread` says how far another week of such days may be off.
//!
//! # What is taken as given
//!
//! - **Arrivals.** They come when they came. Pushes that wait for the end of an earlier run would have come sooner under a higher
//!   limit, and later under a lower one.
//! - **Durations.** A run takes as long as it took, however many run beside it.
//! - **Cancellations.** They come when they came. A run that was cancelled while it waited may have been started by then under a
//!   higher limit, and has its slot until it is cancelled. Under a lower one, runs that are there for longer than they were are
//!   cancelled as often as others were that were there so long (`patience`).
//! - **Pauses.** During one nobody is admitted, whatever the limit.
//! - **The beginning.** Nobody waits or runs before the first arrival that is known.
//!
//! How long a run would have taken that was cancelled, or hasn't ended yet, nobody knows. It is taken to be as long as one of those
//! that took longer than it had so far, drawn by lot, and [`Advice::guessed`] counts them.
//!
//! The same replay under the limits that really held is the proof of it: [`Advice::check`] stands beside what was measured.
//!
//! # What is not here
//!
//! No clock, no I/O: the same times have the same advice, chance included.

mod past;
mod patience;
mod replay;
mod spread;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::Limit;
use pac_queue::times::QueueTimes;
use pac_queue::view::LimitView;
use serde::{Deserialize, Serialize};

use crate::past::Past;
use crate::replay::{Replayed, replay};
use crate::spread::{Waits, percentile, range};

/// Fewer runs that came to their end than this say nothing.
pub const FEWEST_RUNS: usize = 30;
/// Fewer days than this don't tell how much days differ.
pub const FEWEST_DAYS: usize = spread::FEWEST_DAYS;
/// A check that is further off than this, as a part of what was measured, casts doubt on the rest.
pub const CHECK_WITHIN: f64 = 0.15;
/// Waits this short, in seconds, are no worse than others as short.
const AS_GOOD_AS_NONE: f64 = 2.0;
/// A queue that is longer at the end by more than this part of all runs isn't worked off.
const LEFT_OVER: f64 = 0.05;

/// What would have been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// `namespace/name`.
    pub repository: String,
    /// What its limit comes to now.
    pub limit_now: LimitView,
    /// When the first run arrived that is known.
    pub from: Timestamp,
    /// When the watcher was asked.
    pub until: Timestamp,
    /// How many runs arrived between the two.
    pub runs: usize,
    /// Of these, so many weren't seen to their end: how long they take is guessed.
    pub guessed: usize,
    /// What was measured.
    pub measured: WaitTimes,
    /// The replay of the same, under the limits that held.
    pub check: WaitTimes,
    /// And under others, from the lowest on.
    pub limits: Vec<LimitAdvice>,
}

/// How long runs waited, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WaitTimes {
    /// Half of them waited at most this long.
    pub median_seconds: f64,
    /// Nine of ten.
    pub p90_seconds: f64,
}

/// What would have been under one limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitAdvice {
    /// The limit.
    pub limit: u32,
    /// How long runs would have waited.
    pub waits: WaitTimes,
    /// In nine of ten weeks of such days the median would be between these, in seconds; none if there were too few days.
    pub median_between: Option<(f64, f64)>,
    /// Likewise what nine of ten runs wait at most.
    pub p90_between: Option<(f64, f64)>,
    /// The part of the time that slots would have been taken, from 0 to 1.
    pub utilisation: f64,
    /// Runs that would have been cancelled while they waited.
    pub left_waiting: usize,
    /// Runs that would still wait in the end.
    pub still_waiting: usize,
    /// Whether it would have sufficed: if not, the queue grows as long as runs come like this.
    pub keeps_up: bool,
}

/// Why there is no advice: so many runs came to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLittle(pub usize);

/// What `times` would have been under each of `limits` and under that of now; where none are named, under those around it.
///
/// # Errors
///
/// [`TooLittle`] where fewer than [`FEWEST_RUNS`] runs came to their end.
pub fn advise(times: &QueueTimes, limits: &[NonZeroU32]) -> Result<Advice, TooLittle> {
    let past = Past::of(times);
    if past.ended < FEWEST_RUNS {
        return Err(TooLittle(past.ended));
    }
    let now: Option<NonZeroU32> = times.limit.text.parse().ok();
    let limits = if limits.is_empty() { around(now) } else { limits.iter().copied().chain(now).collect() };
    let really = replay(&past.arrivals, &past.rules(|limit| limit), past.until);
    let measured: Vec<f64> = past.waited.iter().flatten().copied().collect();
    // Of the same runs: those that wait still will have waited for longer.
    let waits = really.waits.iter().zip(&past.waited).filter(|(_, waited)| waited.is_some());
    let check: Vec<f64> = waits.filter_map(|(replayed, _)| *replayed).collect();
    let advice = |limit: NonZeroU32| {
        let rules = past.rules(|_| Limit::AtMost(limit));
        judge(limit.get(), &past, &really, &replay(&past.arrivals, &rules, past.until))
    };
    Ok(Advice {
        repository: times.repository.clone(),
        limit_now: times.limit.clone(),
        from: past.at(past.from),
        until: times.watcher.at,
        runs: past.arrivals.len(),
        guessed: past.arrivals.len() - past.ended,
        measured: WaitTimes::of(&measured),
        check: WaitTimes::of(&check),
        limits: limits.into_iter().map(advice).collect(),
    })
}

/// Limits worth looking at beside that of now.
fn around(now: Option<NonZeroU32>) -> BTreeSet<NonZeroU32> {
    let limits = match now.map(NonZeroU32::get) {
        Some(now) => vec![now / 2, now - 1, now, now.saturating_add(1), now.saturating_add(2), now.saturating_mul(2)],
        None => vec![1, 2, 4, 8, 16],
    };
    limits.into_iter().filter_map(NonZeroU32::new).collect()
}

fn judge(limit: u32, past: &Past, really: &Replayed, replayed: &Replayed) -> LimitAdvice {
    let waits = Waits::new(past.arrivals.iter().zip(&replayed.waits).filter_map(|(arrival, wait)| {
        let day = ((arrival.at - past.from) / 86_400.0) as usize;
        wait.map(|wait| (day, wait))
    }));
    let grown = replayed.still_waiting.saturating_sub(really.still_waiting);
    LimitAdvice {
        limit,
        waits: WaitTimes { median_seconds: waits.percentile(0.5), p90_seconds: waits.percentile(0.9) },
        median_between: range(&waits, 0.5),
        p90_between: range(&waits, 0.9),
        utilisation: replayed.slot_seconds / (f64::from(limit) * (past.until - past.from).max(1.0)),
        left_waiting: replayed.left_waiting,
        still_waiting: replayed.still_waiting,
        keeps_up: grown as f64 <= LEFT_OVER * past.arrivals.len() as f64,
    }
}

// === impl Advice ===

impl Advice {
    /// How many days it goes by.
    pub fn days(&self) -> f64 {
        self.until.duration_since(self.from).as_secs_f64() / 86_400.0
    }

    /// Whether the replay of what was comes near enough to what was measured.
    pub fn is_sound(&self) -> bool {
        self.check.is_near(self.measured)
    }
}

// === impl WaitTimes ===

impl WaitTimes {
    fn of(waits: &[f64]) -> Self {
        let mut waits = waits.to_vec();
        waits.sort_by(f64::total_cmp);
        Self { median_seconds: percentile(&waits, 0.5), p90_seconds: percentile(&waits, 0.9) }
    }

    /// Whether these are those, but for [`CHECK_WITHIN`].
    fn is_near(self, those: Self) -> bool {
        let near = |one: f64, other: f64| (one - other).abs() <= (other * CHECK_WITHIN).max(AS_GOOD_AS_NONE);
        near(self.median_seconds, those.median_seconds) && near(self.p90_seconds, those.p90_seconds)
    }
}

// === impl TooLittle ===

impl std::fmt::Display for TooLittle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "too little is known: {} runs came to their end in the last week, and {FEWEST_RUNS} are needed",
            self.0
        )
    }
}
