//! One run as this process knows it: what the watch showed, and what we ourselves did about it.

use std::time::Duration;

use pac_concurrency::protocol::STOPPING_LASTS;
use pac_concurrency::{OrderKey, RunState};
use pac_kube::backoff;
use pac_kube::convert::{Phase, RunView};
use tokio::time::Instant;

/// First wait after a refused start; doubles with each further one.
const REFUSED_WAIT: Duration = Duration::from_secs(5);
const REFUSED_WAIT_MOST: Duration = Duration::from_secs(300);
/// First wait after a start whose outcome was unknown; doubles with each further one.
const UNKNOWN_WAIT: Duration = Duration::from_millis(200);
const UNKNOWN_WAIT_MOST: Duration = Duration::from_secs(15);
/// First wait after a final state that could not be written; doubles with each further one.
const UNMARKED_WAIT: Duration = Duration::from_millis(100);
const UNMARKED_WAIT_MOST: Duration = Duration::from_secs(15);
/// How long a run is kept waiting for the Secret that PAC's watcher makes for it. Runs of PAC's own queue find it there; in a
/// burst it takes seconds, and where PAC's watcher is away a start without it is better than none.
const SECRET_WITHIN: Duration = Duration::from_secs(15);

/// What became of our own attempts to start a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum StartState {
    /// None is under way.
    #[default]
    Idle,
    /// The request is out, or about to be.
    UnderWay,
    /// Nobody can tell yet whether the last one took effect; not tried again before this.
    Unknown(Instant),
    /// The API server said it did. The watch may show the run pending a little longer.
    Acknowledged,
    /// None, for certain, until this: a live read found the run pending.
    Unstarted(Instant),
    /// Refused; not admitted again before this.
    Refused(Instant),
}

/// Whether its object says how a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Not by us.
    None,
    /// It is being written, or about to be.
    UnderWay,
    /// The API server took it. The watch may show the run a little longer.
    Written,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) view: RunView,
    /// Since when this process has seen it.
    pub(super) seen_since: Instant,
    /// How long it had been there by then.
    age: Duration,
    /// Since when it has been seen to be over.
    pub(super) over_since: Option<Instant>,
    /// Since when the slot it was given was nobody's, if it was another run's before.
    pub(super) slot_idle_since: Option<Instant>,
    /// Its place in the store, queued or with a slot; none if it isn't known to be there.
    pub(super) stored: Option<OrderKey>,
    /// Since when it has been seen to be stopping before it was started, by the watch or a live read.
    pub(super) stopping_since: Option<Instant>,
    pub(super) start: StartState,
    pub(super) mark: Mark,
    /// How often its final state could not be written, and when to try again.
    unmarked: Option<(u32, Instant)>,
    /// What the API server said when it last refused a start.
    pub(super) refusal: Option<String>,
    /// Whether it was told that others passed it since.
    pub(super) passed_over: bool,
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
            mark: Mark::None,
            unmarked: None,
            refusal: None,
            passed_over: false,
            failures: 0,
        }
    }

    /// Takes in a later version of it.
    pub(super) fn show(&mut self, mut view: RunView, now: Instant) {
        if matches!(view.phase, Phase::Done(_)) {
            self.over_since.get_or_insert(now);
        }
        match view.phase {
            Phase::Stopping => _ = self.stopping_since.get_or_insert(now),
            // What the watch shows may be older than what a live read found.
            Phase::Arriving | Phase::Waiting => {}
            Phase::Held | Phase::Withdrawn | Phase::Running | Phase::ForceReleased | Phase::Done(_) => {
                self.stopping_since = None;
            }
        }
        // Snapshots share the key's text: it is kept once.
        std::mem::swap(&mut self.view.key, &mut view.key);
        self.view = view;
    }

    /// How long it has been there.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.seen_since)
    }

    /// Whether a start of it may be taking effect.
    pub(super) fn is_starting(&self) -> bool {
        self.is_pending() && matches!(self.start, StartState::UnderWay | StartState::Unknown(_))
    }

    /// Where it is in its life at `now`, if nothing else tells that it is over.
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

    /// Until when it isn't started again after a refusal.
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

    /// Until when it isn't to be started for want of its Secret.
    pub(super) fn unready_until(&self) -> Option<Instant> {
        (self.is_pending() && self.view.awaits_secret).then(|| self.seen_since + SECRET_WITHIN)
    }

    /// Until when it may begin with its last tasks, though it was never started.
    pub(super) fn stopping_until(&self) -> Option<Instant> {
        self.stopping_since.map(|since| since + STOPPING_LASTS)
    }

    /// Notes that a start was refused; says until when the run is held back.
    pub(super) fn refuse(&mut self, why: &str, now: Instant) -> Instant {
        self.refusal = Some(why.to_owned());
        self.passed_over = false;
        let until = now + self.wait(REFUSED_WAIT, REFUSED_WAIT_MOST);
        self.start = StartState::Refused(until);
        until
    }

    /// Notes that a start's outcome is unknown; says when to try again.
    pub(super) fn doubt(&mut self, now: Instant) -> Instant {
        let until = now + self.wait(UNKNOWN_WAIT, UNKNOWN_WAIT_MOST);
        self.start = StartState::Unknown(until);
        until
    }

    /// Has a start of unknown outcome tried again now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.start = StartState::Unknown(now);
        self.failures = 0;
    }

    /// Notes what was said when a start of it failed; whether that is news.
    pub(super) fn note_failure(&mut self, why: &str) -> bool {
        self.refusal.replace(why.to_owned()).as_deref() != Some(why)
    }

    /// Notes that its final state could not be written; says when to try again.
    pub(super) fn unmark(&mut self, now: Instant) -> Instant {
        let failures = self.unmarked.map_or(0, |(failures, _)| failures);
        let until = now + backoff::wait(UNMARKED_WAIT, UNMARKED_WAIT_MOST, failures);
        (self.mark, self.unmarked) = (Mark::None, Some((failures + 1, until)));
        until
    }

    /// When its final state may be written, after it could not be.
    pub(super) fn unmarked_until(&self) -> Option<Instant> {
        self.unmarked.map(|(_, until)| until)
    }

    /// Notes that its slot was claimed from another watcher. What is known of a refusal counts no more: what that watcher did
    /// since is not known, and its start may still be under way.
    pub(super) fn claim(&mut self) {
        if matches!(self.start, StartState::Refused(_) | StartState::Unstarted(_)) {
            self.start = StartState::Idle;
        }
    }

    /// Notes that a start was acknowledged.
    pub(super) fn acknowledge(&mut self) {
        self.start = StartState::Acknowledged;
        self.failures = 0;
    }

    fn wait(&mut self, first: Duration, most: Duration) -> Duration {
        self.failures += 1;
        backoff::wait(first, most, self.failures - 1)
    }
}
