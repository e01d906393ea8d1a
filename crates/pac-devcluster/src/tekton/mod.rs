//! Plays Tekton: what its controller does with PipelineRuns, after its public source.
//!
//! [`step`] is the rule: what Tekton does next with a run, from the run alone, and after how long. `player` follows the
//! log of PipelineRuns as a watch does, waits, and writes through the store, so that its versions are in the history
//! like anybody's. `status` has the statuses. The store asks `tekton_webhook`, beside this module, what may be written of a run.
//!
//! A run's statuses are, in order:
//!
//! - while its `spec.status` is `PipelineRunPending`: `Unknown`/`PipelineRunPending`, and no `startTime`;
//! - from its start on `startTime`: `Unknown`/`Started`, `ResolvingPipelineRef` where the pipeline is elsewhere,
//!   `PipelineRunPending` where a volume claim is waited for, `Running`, and in the end `True`/`Succeeded` or `Completed`,
//!   `False`/`Failed` or `PipelineRunTimeout`;
//! - cancelled, at whatever moment: `False`/`Cancelled`; one that was pending gets its `startTime` with it;
//! - stopped or cancelled with its `finally` tasks: `Unknown`/`StoppedRunningFinally` or `CancelledRunningFinally`, then
//!   `False`/`Cancelled`. A pending one *starts* for that: it gets a `startTime`, and its `finally` tasks run.
//!
//! A task that is retried shows nowhere in the run's condition: the run only takes longer. A run that is being deleted, and
//! one whose `spec.managedBy` names another controller, is never touched.

mod duration;
mod player;
mod status;
mod step;

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

pub use self::duration::parse_duration;
pub(crate) use self::player::Player;
use crate::object;

/// How runs go, unless a run's own annotations say otherwise: `devcluster/duration: 250ms`, `devcluster/outcome: fail`,
/// `devcluster/finally: 50ms`.
#[derive(Clone, Debug)]
pub struct TektonPlayer {
    /// From a change to what Tekton makes of it.
    pub start_delay: Duration,
    /// From `Running` to the end of the tasks; of each attempt, where a task that fails has `retries`.
    pub duration: RunDuration,
    /// How long `finally` tasks take, where a run has some.
    pub finally_duration: Duration,
    /// How long a pipeline that a resolver has to bring takes to come.
    pub resolve_delay: Duration,
    /// How long runs with a volume claim template wait for their claim; at zero it's there at once.
    pub claim_delay: Duration,
    /// How runs end.
    pub outcome: Outcome,
    /// Marks pending runs as such and leaves all others alone: the test says what becomes of them.
    pub pending_only: bool,
    /// Refuses what Tekton's webhook refuses: a run that has started may change its `spec.status` alone, and not back to
    /// pending; a done one nothing in its spec.
    pub webhook: bool,
}

/// How long runs take.
#[derive(Clone)]
pub enum RunDuration {
    /// All the same.
    Fixed(Duration),
    /// At random between two; which it is follows from the run's uid.
    Between(Duration, Duration),
    /// As a function of the run says.
    By(Arc<dyn Fn(&Value) -> Duration + Send + Sync>),
}

/// How runs end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// With the condition Succeeded True.
    #[default]
    Succeed,
    /// With the condition Succeeded False.
    Fail,
}

// === impl TektonPlayer ===

impl Default for TektonPlayer {
    fn default() -> Self {
        Self {
            start_delay: Duration::from_millis(5),
            duration: Duration::from_millis(200).into(),
            finally_duration: Duration::from_millis(50),
            resolve_delay: Duration::from_millis(20),
            claim_delay: Duration::ZERO,
            outcome: Outcome::Succeed,
            pending_only: false,
            webhook: true,
        }
    }
}

// === impl RunDuration ===

impl RunDuration {
    /// The same each time it is asked for a run.
    fn of(&self, run: &Value) -> Duration {
        match self {
            Self::Fixed(duration) => *duration,
            Self::Between(least, most) => {
                let span = most.saturating_sub(*least);
                let share = u32::from_str_radix(object::meta_text(run, "uid").get(..8).unwrap_or("0"), 16);
                *least + span.mul_f64(f64::from(share.unwrap_or_default()) / f64::from(u32::MAX))
            }
            Self::By(function) => function(run),
        }
    }
}

impl From<Duration> for RunDuration {
    fn from(duration: Duration) -> Self {
        Self::Fixed(duration)
    }
}

impl fmt::Debug for RunDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(duration) => duration.fmt(formatter),
            Self::Between(least, most) => write!(formatter, "{least:?}..={most:?}"),
            Self::By(_) => formatter.write_str("by run"),
        }
    }
}
