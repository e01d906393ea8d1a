//! A repository as people are shown it: each run as it is known, and how a run ended.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Entry, Limit, RunKey, RunState};
use pac_kube::convert::FinalState;
use pac_kube::hold::Hold;
use pac_kube::notice::NoticeMark;
use pac_kube::pause::Pause;
use tokio::time::Instant;

use super::{Orders, OwnLimit, Phase, RepositoryState};
use crate::gate::Gate;

/// A repository, for people.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What its Repository says of its limit.
    pub own_limit: OwnLimit,
    /// The pause that an operator wrote, whether it still lasts or not.
    pub pause: Option<Pause>,
    /// The number of its runs that PAC's own queue is to start: the repository is held meanwhile.
    pub open_to_pacs_queue: usize,
    /// Every run the watch shows.
    pub runs: Vec<ShownRun>,
}

/// A run, for people.
#[derive(Debug, Clone)]
pub struct ShownRun {
    /// The run, with the place it has by what the cluster tells.
    pub entry: Entry,
    /// The run's state.
    pub state: RunState,
    /// How the run ended, if it did.
    pub end: Option<End>,
    /// Whether Pipelines-as-Code has said that the run is queued.
    pub is_queued: bool,
    /// When the run was created, in seconds since 1970.
    pub created: i64,
    /// When Tekton began with the run, in seconds since 1970.
    pub begun: Option<i64>,
    /// Until when the run isn't started again after a refusal.
    pub backs_off_until: Option<Instant>,
    /// What the API server said when it last refused a start.
    pub refusal: Option<String>,
    /// Until when the run's place is still to come.
    pub settles: Option<Instant>,
    /// Until when the run waits for its Secret.
    pub awaits_secret_until: Option<Instant>,
    /// Whether the run waits for this watcher: where there is no limit, somebody else may hold it.
    pub is_ours: bool,
    /// Whether it is in the queue of PAC's own.
    pub is_pacs: bool,
    /// Whether PAC's word on the order of its event's runs has reached it.
    pub is_ordered: bool,
    /// Why somebody else holds the run, if its object says so.
    pub held: Option<Box<str>>,
    /// What it says of its wait.
    pub notice: Option<NoticeMark>,
}

/// The end of a run that is over for certain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    /// When this process learned of it.
    pub(super) since: Instant,
    /// What told so.
    pub(super) by: OverBy,
    /// Whether the watch has shown the same since then: whatever it shows later is news.
    pub(super) was_shown: bool,
}

/// Why a run is known to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OverBy {
    /// The run was seen in a phase from which it doesn't run, or run again.
    Phase(Phase),
    /// The run is deleted, or another run bears its name.
    Gone,
    /// The run is of another repository now.
    Elsewhere,
}

// === impl Over ===

impl Over {
    pub(super) fn new(since: Instant, by: OverBy) -> Self {
        Self { since, by, was_shown: false }
    }

    /// Takes in what the watch shows of the run; returns whether the run is over all the same. The watch may be behind a live
    /// read. But a run that wasn't going to be started may be started by somebody else: then it counts (P1).
    pub(super) fn outlasts(&mut self, shown: Phase) -> bool {
        match self.by {
            OverBy::Phase(Phase::Withdrawn | Phase::Stopping) if shown == Phase::Running => false,
            // Whoever holds it may start it, or let go of it.
            OverBy::Phase(Phase::Held) => shown == Phase::Held,
            OverBy::Phase(Phase::ForceReleased) if shown == Phase::Running => !self.was_shown,
            OverBy::Phase(by) => {
                self.was_shown |= by == shown;
                true
            }
            OverBy::Gone | OverBy::Elsewhere => true,
        }
    }
}

/// Why a run that had a slot or a place has none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The run is done.
    Done(FinalState),
    /// The run was cancelled or deleted before it started.
    Withdrawn,
    /// An operator released the run, for this reason.
    ByOperator(String),
    /// The run is deleted, or another run bears its name.
    Gone,
    /// The run runs, and there is no limit to count it for.
    Unlimited,
}

// === impl End ===

impl End {
    /// The end's name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done(state) => state.as_state(),
            Self::Withdrawn => "withdrawn",
            Self::ByOperator(_) => "operator",
            Self::Gone => "gone",
            Self::Unlimited => "unlimited",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(FinalState::Completed) => f.write_str("it succeeded"),
            Self::Done(FinalState::Failed) => f.write_str("it failed or was cancelled"),
            Self::Withdrawn => f.write_str("it was cancelled or deleted before it started"),
            Self::ByOperator(reason) => write!(f, "an operator released it: {reason}"),
            Self::Gone => f.write_str("it is gone: deleted, or made again under its name"),
            Self::Unlimited => f.write_str("it runs, and its Repository has no limit to count for"),
        }
    }
}

// === impl RepositoryState ===

impl RepositoryState {
    /// The limit to admit by at `now`, where the global Repository says `global`. It is `Unknown`, so that no run is admitted,
    /// while the repository is paused, while PAC's own queue has runs of it, and, where there is a limit, while `gate` isn't
    /// known to hold.
    pub(crate) fn limit_at(&self, now: Timestamp, global: OwnLimit, gate: Option<&Gate>) -> Limit {
        let limit = self.own_limit.effective(global);
        let paused = || self.metadata.pause.as_ref().is_some_and(|pause| pause.lasts_at(now));
        let is_pacs = || !self.open_to_pacs_queue(Instant::now()).is_empty();
        let is_guarded = || gate.is_none_or(|gate| gate.lets_admit(Instant::now()));
        if limit.is_limited() && !is_guarded() {
            // A trial of the gate is asked for only if a run waits for it.
            if let (Some(gate), false) = (gate, self.runs_that_wait(1).is_empty()) {
                gate.want_proof();
            }
            return Limit::Unknown;
        }
        if paused() || is_pacs() { Limit::Unknown } else { limit }
    }

    /// The whole repository at `now`, for people.
    pub fn shown(&self, now: Instant) -> Shown {
        let mut orders = Orders::default();
        let runs = self.runs.iter().map(|run| (run, self.state_of(&run.view.key, now))).map(|(run, state)| ShownRun {
            entry: Entry::new(run.view.key.clone(), self.order(&run.view, &mut orders)),
            state,
            end: (state == RunState::Finished).then(|| self.end_of(&run.view.key)),
            is_queued: self.is_queued(run) || run.view.phase != Phase::Arriving,
            created: run.view.created,
            begun: run.view.begun,
            backs_off_until: run.backs_off_until(),
            refusal: run.refusal.clone(),
            settles: self.unsettled_until(run),
            awaits_secret_until: run.unready_until(),
            is_ours: self.is_ours(run),
            is_pacs: run.view.has_pacs_order,
            is_ordered: run.view.place.is_some(),
            held: match (&run.view.hold, run.view.phase) {
                (Hold::Others(why), Phase::Held) => Some(why.clone()),
                _ => None,
            },
            notice: run.view.notice,
        });
        Shown {
            own_limit: self.own_limit,
            pause: self.metadata.pause.clone(),
            open_to_pacs_queue: self.open_to_pacs_queue(now).len(),
            runs: runs.collect(),
        }
    }

    /// How `run` ended, which is over or about to be removed.
    pub(super) fn end_of(&self, run: &RunKey) -> End {
        let shown = self.run(run);
        let over = self.over.get(run);
        let by = over.and_then(|over| match over.by {
            OverBy::Phase(phase) => Some(phase),
            OverBy::Gone | OverBy::Elsewhere => None,
        });
        match (by.or(shown.map(|known| known.view.phase)), shown) {
            (Some(Phase::Done(state)), _) => End::Done(state),
            (Some(Phase::Withdrawn | Phase::Held | Phase::Stopping), _) => End::Withdrawn,
            (Some(Phase::ForceReleased), shown) => {
                End::ByOperator(shown.and_then(|known| known.view.release_reason.clone()).unwrap_or_default())
            }
            (Some(Phase::Running), _) if over.is_none() => End::Unlimited,
            // A live read knew more than the watch shows yet.
            (Some(Phase::Arriving | Phase::Waiting | Phase::Running) | None, _) => End::Gone,
        }
    }

    /// Takes the runs that are held back after a refusal and that `admitted` has just passed, with what the API server said. A
    /// run is taken once for each refusal.
    pub(super) fn take_passed_over(&mut self, admitted: &Entry, now: Instant) -> Vec<(RunKey, String)> {
        let names: Vec<_> = self.attempted.iter().cloned().collect();
        let mut passed = Vec::new();
        for name in names {
            let Some(run) = self.runs.named(&name) else { continue };
            let backs_off = run.state(now) == RunState::BackingOff && !run.passed_over;
            if backs_off && Entry::new(run.view.key.clone(), self.order(&run.view, &mut Orders::default())) < *admitted
            {
                passed.push((run.view.key.clone(), run.refusal.clone().unwrap_or_default()));
                if let Some(run) = self.runs.named_mut(&name) {
                    run.passed_over = true;
                }
            }
        }
        passed
    }
}
