//! The times of the last week's runs, as they are sent as JSON: `/debug/queue/times`.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::view::{LimitView, PauseView, WatcherView};
use crate::week::{Outcome, RunTimes, Running, Week, tenths, timestamp};

/// What is known of the last week of one repository: what came, when it was started, and how long it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueTimes {
    /// Who says so.
    pub watcher: WatcherView,
    /// `namespace/name`.
    pub repository: String,
    /// What its limit comes to now.
    pub limit: LimitView,
    /// The pause it is in.
    pub paused: Option<PauseView>,
    /// Who could be admitted since when, the latest last.
    pub rules: Vec<RuleView>,
    /// The runs that left the queue, in the order in which they did, and then those that have a slot or wait.
    pub runs: Vec<RunTimesView>,
}

/// Who may be admitted, from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Since when.
    pub at: Timestamp,
    /// So many at once; 0 during a pause, or where the limit couldn't be told; none if there was no limit.
    pub limit: Option<u32>,
}

/// What is known of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunTimesView {
    /// When it joined the queue.
    pub arrived: Timestamp,
    /// When the first run of its event was created; the queue is sorted by that, then by `position`.
    pub event: Timestamp,
    /// Its place among the runs of its event, from 0.
    pub position: u32,
    /// How long it waited, or has waited so far, in seconds.
    pub waited_seconds: f64,
    /// How long it had its slot, or has had it so far, in seconds; none if it never got one.
    pub held_seconds: Option<f64>,
    /// How it left.
    pub outcome: Outcome,
}

// === impl RunTimesView ===

impl RunTimesView {
    /// Those of `week`, and of the uids that still have a slot at `now`.
    pub fn of_week(week: &Week, now: Timestamp, has_slot: impl Fn(&str) -> bool) -> Vec<Self> {
        let running = week.running().filter(|(uid, _)| has_slot(uid));
        let running = running.map(|(_, run)| so_far(run, tenths(now)));
        week.runs().copied().chain(running).map(Self::from).collect()
    }

    /// A run that has waited since `arrived`, and has no slot at `now`.
    pub fn waiting(arrived: Timestamp, now: Timestamp) -> Self {
        Self {
            arrived,
            event: arrived,
            position: 0,
            waited_seconds: now.duration_since(arrived).as_secs_f64().max(0.0),
            held_seconds: None,
            outcome: Outcome::Unfinished,
        }
    }
}

impl From<RunTimes> for RunTimesView {
    fn from(run: RunTimes) -> Self {
        let seconds = |tenths: u32| f64::from(tenths) / 10.0;
        Self {
            arrived: timestamp(run.arrived),
            event: timestamp(run.arrived.div_euclid(10).saturating_add(i64::from(run.event)).saturating_mul(10)),
            position: run.position,
            waited_seconds: seconds(run.waited),
            held_seconds: run.held.map(seconds),
            outcome: run.outcome,
        }
    }
}

fn so_far(run: &Running, now: i64) -> RunTimes {
    let Running { arrived, event, position, waited } = *run;
    let held = u32::try_from(now - arrived - i64::from(waited)).unwrap_or_default();
    RunTimes { arrived, event, position, waited, held: Some(held), outcome: Outcome::Unfinished }
}

// === impl RuleView ===

impl RuleView {
    /// Those of `week`.
    pub fn of_week(week: &Week) -> Vec<Self> {
        week.rules().map(|rule| Self { at: timestamp(rule.at), limit: rule.limit }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_slot_has_had_it_so_far() {
        let mut week = Week::default();
        week.started("uid", Running { arrived: 1_000_005, event: -2, position: 1, waited: 20 });
        let [run] = RunTimesView::of_week(&week, timestamp(1_000_125), |uid| uid == "uid")[..] else { panic!("one") };
        assert_eq!((run.arrived, run.event), (timestamp(1_000_005), timestamp(999_980)));
        assert_eq!((run.waited_seconds, run.held_seconds, run.outcome), (2.0, Some(10.0), Outcome::Unfinished));
        assert_eq!(RunTimesView::of_week(&week, timestamp(1_000_125), |_| false), [], "it was lost sight of");
    }
}
