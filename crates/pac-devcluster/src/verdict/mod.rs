//! The recorder: reads the server's own history, and that alone, and says which promises were held.
//!
//! It knows the words and promises of the system, not its code. [`judge`] walks through all versions once, keeps a
//! model of each repository (who waits, who runs, which limit is in force) and writes down every version that breaks a
//! promise:
//!
//! - **P1** a run started although, with it, more runs than the limit were running, or while an operator had paused the
//!   repository. Runs that already ran when the limit was lowered count but aren't to blame, nor is a run that was created
//!   running, or one that Tekton starts to stop it. A run that an operator released counts no more;
//! - **P2** a run started twice, was started while it was cancelled or being deleted, or lost its user's wish; where
//!   [`VerdictOptions::secret_wait`] asks for it, a run started before its Secret was there, unless by PAC's own
//!   queue, which looks at none;
//! - **P3** a run started although one with an earlier place was waiting, unless there was a slot for both and the
//!   other followed at once, or a lower limit or a pause took that slot from it;
//! - **P4** a run still waits, or is lost, at the end; or a slot was free for too long while a run waited.

mod facts;
mod latency;
mod limits;
mod lost;
mod order;
mod passed;
mod recorder;
mod repository;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::Serialize;

pub use self::lost::LostSlots;
use self::recorder::Recorder;
pub(crate) use self::repository::summary;
use crate::history::Version;

/// How many violations of a promise are spelled out.
const SHOWN_VIOLATIONS: usize = 20;

/// What the verdict allows for.
#[derive(Clone, Debug)]
pub struct VerdictOptions {
    /// Namespace and name of the global Repository.
    pub global_repository: (String, String),
    /// How long a waiting run may be passed over, and a slot kept from it, of which nothing tells which event it is of.
    pub settle: Duration,
    /// How long after it took its place in the order a run may still be passed over, and after a user deleted it
    /// still be started: what is in flight then was decided before.
    pub in_flight: Duration,
    /// How much later than one behind it a run may be started, if there was a slot for both: admitted at once, their
    /// starts may reach the server in any order.
    pub side_by_side: Duration,
    /// How long after a limit was lowered a start may still go by the old one, for the same reason.
    pub limit_allowance: Duration,
    /// How long a slot may be free while a run waits, without any start.
    pub longest_gap: Duration,
    /// How long after its creation a run whose Secret PAC has yet to make is to be kept waiting for it; nobody asks if absent.
    pub secret_wait: Option<Duration>,
    /// Names (`namespace/name`) of runs that can't start, such as those a webhook refuses: nobody needs to wait for
    /// them, and they may wait for ever.
    pub excused: BTreeSet<String>,
    /// What the store lost, in the order of time. Runs that had just been given a slot then, and that no cache shows yet, are known to
    /// nobody but who gave it to them.
    pub lost: Vec<LostSlots>,
    /// Whether all is said to be over: then nothing may wait or run any more.
    pub ended: bool,
    /// When the observation ended, if later than the last version.
    pub ended_at: Option<Duration>,
}

/// Which promises were held, and how quickly slots changed hands.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// P1 to P4.
    pub promises: Vec<PromiseVerdict>,
    /// How many repositories had runs.
    pub repositories: usize,
    /// How many runs there were.
    pub runs: usize,
    /// How many of them were started from the queue.
    pub started: usize,
    /// How many are done, deleted ones included.
    pub done: usize,
    /// From a slot's release to the next start in the same repository.
    pub hand_off: LatencySummary,
    /// From the first run's creation to the last run's end, in milliseconds.
    pub makespan: f64,
}

/// Whether one promise was held.
#[derive(Clone, Debug, Serialize)]
pub struct PromiseVerdict {
    /// `P1` to `P4`.
    pub id: &'static str,
    /// Whether it was.
    pub held: bool,
    /// How often it wasn't.
    pub count: usize,
    /// The first twenty violations, each with runs, resourceVersion and time.
    pub violations: Vec<String>,
}

/// Durations in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    /// How many.
    pub count: usize,
    /// Half are at most this.
    pub median: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// All are at most this.
    pub max: f64,
}

/// Reads a history and judges it.
pub fn judge(history: &[Version], options: &VerdictOptions) -> Verdict {
    let mut recorder = Recorder::new(options);
    for version in history {
        recorder.read(version);
    }
    recorder.finish()
}

// === impl Verdict ===

impl Verdict {
    /// Whether every promise was held.
    pub fn held(&self) -> bool {
        self.promises.iter().all(|promise| promise.held)
    }

    /// The verdict on one promise, such as `P1`.
    pub fn promise(&self, id: &str) -> Option<&PromiseVerdict> {
        self.promises.iter().find(|promise| promise.id == id)
    }
}

/// A line for each promise: `P1 held` or `P1 BROKEN`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = |held| if held { "held" } else { "BROKEN" };
        self.promises.iter().try_for_each(|promise| writeln!(f, "{} {}", promise.id, says(promise.held)))
    }
}

// === impl VerdictOptions ===

impl VerdictOptions {
    /// What to allow for in a storm: where for the time of `gust` everything may go wrong that can, and then nothing new for that of
    /// `lull`, by turns. In the end all is to be done.
    pub fn in_storms(gust: Duration, lull: Duration) -> Self {
        Self {
            // A gust may keep everybody from admitting. What it did lasts up to 15 s longer, and is recovered from then.
            longest_gap: gust + Duration::from_secs(45),
            // Nobody can know of a limit before the API server has told him, and that may be cut off for a while.
            limit_allowance: Duration::from_secs(40),
            // Nobody can heed a run that he hasn't been told of: watches are held for up to 8 s.
            in_flight: Duration::from_secs(10),
            // One whose start was lost, and then its watcher too, keeps its slot, and is started by the next.
            side_by_side: gust + lull,
            // A watcher waits so long for a run's Secret, at least.
            secret_wait: Some(Duration::from_secs(10)),
            ended: true,
            ..Self::default()
        }
    }
}

impl Default for VerdictOptions {
    fn default() -> Self {
        Self {
            global_repository: ("pipelines-as-code".to_owned(), "pipelines-as-code".to_owned()),
            settle: Duration::from_secs(5),
            in_flight: Duration::from_millis(250),
            side_by_side: Duration::from_millis(250),
            limit_allowance: Duration::ZERO,
            longest_gap: Duration::from_secs(10),
            secret_wait: None,
            excused: BTreeSet::new(),
            lost: Vec::new(),
            ended: true,
            ended_at: None,
        }
    }
}

// === impl PromiseVerdict ===

impl PromiseVerdict {
    fn new(id: &'static str) -> Self {
        Self { id, held: true, count: 0, violations: Vec::new() }
    }

    fn break_by(&mut self, violation: impl FnOnce() -> String) {
        self.held = false;
        self.count += 1;
        if self.violations.len() < SHOWN_VIOLATIONS {
            self.violations.push(violation());
        }
    }
}
