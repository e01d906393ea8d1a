//! One run as this process knows it: what the watch showed, and what we ourselves did about it.

use std::time::Duration;

use pac_concurrency::protocol::STOPPING_LASTS;
use pac_concurrency::{OrderKey, RunState};
use pac_kube::backoff;
use pac_kube::convert::{Phase, RunView};
use tokio::time::Instant;

/// The wait after a first refused start; it doubles with each further one.
const REFUSED_WAIT: Duration = Duration::from_secs(5);
const REFUSED_WAIT_MOST: Duration = Duration::from_secs(300);
/// The wait after a first start of unknown outcome; it doubles with each further one.
const UNKNOWN_WAIT: Duration = Duration::from_millis(200);
const UNKNOWN_WAIT_MOST: Duration = Duration::from_secs(15);
/// The wait after a final state first couldn't be written; it doubles with each further time.
const UNMARKED_WAIT: Duration = Duration::from_millis(100);
const UNMARKED_WAIT_MOST: Duration = Duration::from_secs(15);
/// How long a run is kept waiting for the Secret that PAC's watcher makes for it. PAC's own queue starts a run after its Secret
/// is made. In a burst that takes seconds; where PAC's watcher is away, a start without the Secret is better than none.
const SECRET_WITHIN: Duration = Duration::from_secs(15);

/// What became of this watcher's last attempt to start a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum StartState {
    /// No attempt is under way.
    #[default]
    Idle,
    /// The request is out, or about to be.
    UnderWay,
    /// Nobody can tell yet whether the attempt took effect. The next one is made at this time at the earliest.
    Unknown(Instant),
    /// The API server said that the run is started. The watch may show it pending a little longer.
    Acknowledged,
    /// A live read found the run pending: no attempt took effect. That counts until this time.
    Unstarted(Instant),
    /// The API server refused the start. The run isn't admitted again before this time.
    Refused(Instant),
}

/// Whether a run's object says how the run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// This watcher has written nothing.
    None,
    /// The final state is being written, or about to be.
    UnderWay,
    /// The API server took the final state. The watch may show the run a little longer.
    Written,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) view: RunView,
    /// Since when this process has seen it.
    pub(super) seen_since: Instant,
    /// The run's age when this process first saw it.
    age: Duration,
    /// When this process first saw that the run is over.
    pub(super) over_since: Option<Instant>,
    /// Since when the slot that the run was given had been idle, if another run had it before.
    pub(super) slot_idle_since: Option<Instant>,
    /// The run's place in the store, queued or with a slot; none if it isn't known to be there.
    pub(super) stored: Option<OrderKey>,
    /// When the watch or a live read first showed the run stopping before it was started.
    pub(super) stopping_since: Option<Instant>,
    pub(super) start: StartState,
    /// Whether PAC's own queue started it, which knew it by the order of another one.
    pub(super) started_by_pac: bool,
    pub(super) mark: Mark,
    /// How often the final state couldn't be written, and when to try again.
    unmarked: Option<(u32, Instant)>,
    /// What the API server said when it last refused a start.
    pub(super) refusal: Option<String>,
    /// Whether it was reported since then that other runs passed this one.
    pub(super) passed_over: bool,
    /// When a start of it was last acknowledged, or came to be in doubt: what was read before says nothing of that start.
    pub(super) start_ended_at: Option<Instant>,
    failures: u32,
}

// === impl Run ===

impl Run {
    /// A run seen for the first time, after it has been there for `age`.
    pub(super) fn new(view: RunView, now: Instant, age: Duration) -> Self {
        let over_since = matches!(view.phase, Phase::Done(_)).then_some(now);
        let stopping_since = (view.phase == Phase::Stopping).then_some(now);
        Self {
            view,
            seen_since: now,
            age,
            over_since,
            slot_idle_since: None,
            stored: None,
            stopping_since,
            start: StartState::Idle,
            started_by_pac: false,
            mark: Mark::None,
            unmarked: None,
            refusal: None,
            passed_over: false,
            start_ended_at: None,
            failures: 0,
        }
    }

    /// The run comes to be shown by the watch, after a live read had found it. What this watcher did to start it stays known: else a
    /// start under way would count for nothing (P1).
    pub(super) fn come_to_be_shown(mut self, view: RunView, now: Instant, age: Duration) -> Self {
        match (self.view.phase, view.phase) {
            // The watch is behind: someone started the run.
            (Phase::Running, Phase::Arriving | Phase::Waiting) => self.acknowledge(now),
            (_, Phase::Arriving | Phase::Waiting) => {}
            _ => self.start = StartState::Idle,
        }
        (self.seen_since, self.age) = (now, age);
        self.show(view, now);
        self
    }

    /// Takes in a later version of the run.
    pub(super) fn show(&mut self, mut view: RunView, now: Instant) {
        if matches!(view.phase, Phase::Done(_)) {
            self.over_since.get_or_insert(now);
        }
        match view.phase {
            Phase::Stopping => _ = self.stopping_since.get_or_insert(now),
            // The watch may show a version older than the one a live read found.
            Phase::Arriving | Phase::Waiting => {}
            Phase::Held | Phase::Withdrawn | Phase::Running | Phase::ForceReleased | Phase::Done(_) => {
                self.stopping_since = None;
            }
        }
        // The former key is kept, because snapshots share its text.
        std::mem::swap(&mut self.view.key, &mut view.key);
        self.view = view;
    }

    /// The run's age at `now`.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.seen_since)
    }

    /// Whether a start of the run may be taking effect.
    pub(super) fn is_starting(&self) -> bool {
        self.is_pending() && matches!(self.start, StartState::UnderWay | StartState::Unknown(_))
    }

    /// The run's state at `now`, unless a live read has found that the run is over.
    pub(super) fn state(&self, now: Instant) -> RunState {
        match self.view.phase {
            Phase::Withdrawn | Phase::Held => RunState::Cancelled,
            Phase::Running => RunState::Running,
            Phase::Done(_) | Phase::ForceReleased => RunState::Finished,
            Phase::Arriving | Phase::Waiting | Phase::Stopping => match (self.stopping_until(), self.start) {
                (Some(until), _) => {
                    if until > now {
                        RunState::Stopping
                    } else {
                        RunState::Cancelled
                    }
                }
                (None, _) if self.view.phase == Phase::Stopping => RunState::Stopping,
                (None, StartState::Acknowledged) => RunState::Running,
                (None, StartState::UnderWay) => RunState::Starting,
                (None, StartState::Unknown(until)) if until > now => RunState::Starting,
                (None, StartState::Unstarted(until)) if until > now => RunState::ConfirmedPending,
                (None, StartState::Refused(until)) if until > now => RunState::BackingOff,
                _ if self.unready_until().is_some_and(|until| until > now) => RunState::AwaitingSecret,
                _ => RunState::Pending,
            },
        }
    }

    /// How often in a row its start failed.
    #[cfg(feature = "model")]
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Until when the run isn't started again after a refusal.
    pub(super) fn backs_off_until(&self) -> Option<Instant> {
        match self.start {
            StartState::Refused(until) => Some(until),
            _ => None,
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.view.is_pending() && self.start != StartState::Acknowledged
    }

    pub(super) fn is_running(&self) -> bool {
        match self.view.phase {
            Phase::Running => true,
            Phase::Arriving | Phase::Waiting => self.start == StartState::Acknowledged,
            Phase::Held | Phase::Withdrawn | Phase::Stopping | Phase::ForceReleased | Phase::Done(_) => false,
        }
    }

    /// Until when the run waits for its Secret.
    pub(super) fn unready_until(&self) -> Option<Instant> {
        (self.is_pending() && self.view.awaits_secret).then(|| self.seen_since + SECRET_WITHIN)
    }

    /// Until when the run, which was stopped before it was started, may still begin with its `finally` tasks.
    pub(super) fn stopping_until(&self) -> Option<Instant> {
        self.stopping_since.map(|since| since + STOPPING_LASTS)
    }

    /// Notes that a start was refused; returns until when the run is held back.
    pub(super) fn refuse(&mut self, why: &str, now: Instant) -> Instant {
        self.refusal = Some(why.to_owned());
        self.passed_over = false;
        let until = now + self.wait(REFUSED_WAIT, REFUSED_WAIT_MOST);
        self.start = StartState::Refused(until);
        until
    }

    /// Notes that a start's outcome is unknown; returns when to try again.
    pub(super) fn doubt(&mut self, now: Instant) -> Instant {
        let until = now + self.wait(UNKNOWN_WAIT, UNKNOWN_WAIT_MOST);
        self.start = StartState::Unknown(until);
        self.start_ended_at = Some(now);
        until
    }

    /// Lets a start of unknown outcome be tried again now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.start = StartState::Unknown(now);
        self.failures = 0;
    }

    /// Notes what the API server said when a start failed; returns whether it said something else before.
    pub(super) fn note_failure(&mut self, why: &str) -> bool {
        self.refusal.replace(why.to_owned()).as_deref() != Some(why)
    }

    /// Notes that the final state couldn't be written; returns when to try again.
    pub(super) fn unmark(&mut self, now: Instant) -> Instant {
        let failures = self.unmarked.map_or(0, |(failures, _)| failures);
        let until = now + backoff::wait(UNMARKED_WAIT, UNMARKED_WAIT_MOST, failures);
        (self.mark, self.unmarked) = (Mark::None, Some((failures + 1, until)));
        until
    }

    /// When the final state may be tried again, if it couldn't be written.
    pub(super) fn unmarked_until(&self) -> Option<Instant> {
        self.unmarked.map(|(_, until)| until)
    }

    /// Notes that the run's slot was claimed from another watcher. A refusal known from before counts no more: that watcher may
    /// have tried again, and its start may still be under way.
    pub(super) fn claim(&mut self) {
        if matches!(self.start, StartState::Refused(_) | StartState::Unstarted(_)) {
            self.start = StartState::Idle;
        }
    }

    /// Notes that a start was acknowledged.
    pub(super) fn acknowledge(&mut self, now: Instant) {
        self.start = StartState::Acknowledged;
        self.start_ended_at = Some(now);
        self.stopping_since = None;
        self.failures = 0;
    }

    fn wait(&mut self, first: Duration, most: Duration) -> Duration {
        self.failures += 1;
        backoff::wait(first, most, self.failures - 1)
    }
}
