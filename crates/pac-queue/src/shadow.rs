//! What a watcher in shadow mode has measured, as it is sent as JSON (`/debug/shadow`) and read by `pac-watcher shadow report`.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The days that are kept, today's among them.
pub const DAYS_KEPT: i64 = 14;

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The watcher's identity: the pod's name.
    pub identity: String,
    /// When it answered.
    pub at: Timestamp,
    /// Since when it has watched; what follows is of the last [`DAYS_KEPT`] days of that.
    pub since: Timestamp,
    /// For how many seconds of that it did not hear the API server: they are measured by nobody.
    pub unseen_seconds: f64,
    /// How many Repositories have a limit now.
    pub limited_repositories: usize,
    /// All Repositories and days together.
    pub total: ShadowTotals,
    /// Those where anything was seen, sorted by name.
    pub repositories: Vec<RepositoryShadow>,
    /// By day (UTC), the oldest first.
    pub days: Vec<DayShadow>,
    /// What Pipelines-as-Code's queue lost track of, the oldest first.
    pub drift: Vec<Drift>,
    /// How many more such there were, of which no record is kept.
    pub drift_left_out: u64,
}

/// One Repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RepositoryShadow {
    /// `namespace/name`.
    pub repository: String,
    /// Its limit now; none where it has none.
    pub limit: Option<u32>,
    /// Runs that wait now.
    pub waiting: usize,
    /// What was measured.
    pub total: ShadowTotals,
}

/// One day.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DayShadow {
    /// Such as `2026-01-31`, in UTC.
    pub day: String,
    /// What was measured.
    pub total: ShadowTotals,
}

/// What was measured of Repositories with a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ShadowTotals {
    /// Runs that waited and were started.
    pub started: u64,
    /// How long they waited, from PAC's word that they are queued to their start.
    pub waits: Times,
    /// How long the same runs would have waited under our rule, each running as long as it did.
    pub would_have: Times,
    /// From the end of a run until the next was started, where somebody waited.
    pub hand_offs: Times,
    /// Slots that were free while somebody waited, times the seconds they were.
    pub idle_slot_seconds: f64,
    /// How often more came to run than the limit allows.
    pub times_over: u64,
    /// Runs over the limit, times the seconds they were.
    pub over_run_seconds: f64,
    /// Runs that waited beside a free slot for longer than [`FORGOTTEN_AFTER_SECONDS`].
    pub forgotten: u64,
    /// Runs that others behind them passed.
    pub passed: u64,
    /// Runs of which nobody knows how long they would have run: taken to run as long as others of their Repository.
    pub assumed: u64,
}

/// How long a run may wait beside a free slot, in seconds, before it is called forgotten.
pub const FORGOTTEN_AFTER_SECONDS: i64 = 30;

/// A distribution of times. Median and 95th percentile are up to a fifth too high, since times are kept by their magnitude.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Half of them were no longer than this.
    pub median_seconds: f64,
    /// 95 in 100 were no longer than this.
    pub p95_seconds: f64,
    /// The longest.
    pub longest_seconds: f64,
    /// Their sum.
    pub total_seconds: f64,
}

/// Something that Pipelines-as-Code's queue lost track of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// `namespace/name`.
    pub repository: String,
    /// When it began.
    pub since: Timestamp,
    /// When it was over; none if it isn't.
    pub until: Option<Timestamp>,
    /// What it is.
    #[serde(flatten)]
    pub what: DriftKind,
}

/// What kind of drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DriftKind {
    /// A run waits beside a free slot, and isn't started.
    Forgotten {
        /// `namespace/name`.
        run: String,
        /// How many runs behind it were started meanwhile.
        passed_by: u64,
    },
    /// A run waits while others behind it are started.
    Passed {
        /// `namespace/name`.
        run: String,
        /// The first of them.
        first_by: String,
        /// How many.
        passed_by: u64,
    },
    /// More run than the limit allows.
    OverLimit {
        /// The limit.
        limit: u32,
        /// How many ran at most.
        most: usize,
        /// `namespace/name` of those that were started on top, as far as they are kept.
        started: Vec<String>,
    },
}
