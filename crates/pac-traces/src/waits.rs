//! Who waits, and what their spans are to say. Pure: times come in, waits that are over come out.
//!
//! The watch tells of every run, whether or not this watcher leads, so that one that comes to lead knows them all. That a wait is over
//! is told by what the leader did: it started the run, or released its place. Only of a run that never had a place the watch alone
//! tells, and one that is merely not shown any more is given a while to be shown again.

use std::collections::{HashMap, VecDeque};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use pac_concurrency::{RepositoryKey, RunKey};
use pac_kube::convert::{Phase, RunView};
use pac_kube::trace_context::Traced;
use pac_state::index::End;

use crate::reason::{Reason, Reasons};
use crate::wait::{Event, Outcome, Wait};

/// For how long a run that is no longer shown, or runs, is remembered for the leader's word on it.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(30);
/// After so long a run that is still pending is in the queue, under whichever watcher it came there.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);
/// So many events of one wait are kept.
const EVENTS: usize = 16;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Waits {
    queues: HashMap<RepositoryKey, Queue>,
    /// Whose time to be forgotten comes, the first first.
    leaving: VecDeque<(Timestamp, RepositoryKey, Box<str>)>,
}

/// One repository's.
#[derive(Debug, Default)]
struct Queue {
    runs: HashMap<Box<str>, Run>,
    reasons: Reasons,
}

#[derive(Debug)]
struct Run {
    key: RunKey,
    traced: Traced,
    began: Timestamp,
    place: Option<usize>,
    reasons: Vec<Reason>,
    events: Vec<(Timestamp, Event)>,
    events_dropped: u32,
    /// How it left the queue as far as the watch shows, and when that was seen.
    left: Option<(Timestamp, Left)>,
    /// Whether the watch shows it no longer.
    is_gone: bool,
    /// Whether its wait is over and told: it stays known until it is gone, so that it is told once.
    is_told: bool,
}

/// How a run left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Runs,
    Withdrawn,
    Gone,
}

// === impl Waits ===

impl Waits {
    /// Takes in a version of a run; returns its wait if that is over by this alone. `leads` says whether this watcher does.
    pub(crate) fn saw(
        &mut self,
        view: &RunView,
        traced: impl FnOnce() -> Traced,
        leads: bool,
        now: Timestamp,
    ) -> Option<Wait> {
        if self.run(&view.repository, &view.key).is_none() {
            if !view.is_pending() {
                return None;
            }
            let namesake = self.end_namesake(&view.repository, view.key.name(), leads, now);
            let queue = self.queues.entry(view.repository.clone()).or_default();
            queue.runs.insert(view.key.name().into(), Run::new(view.key.clone(), traced(), view.created, now));
            return namesake;
        }
        let left = match view.phase {
            Phase::Arriving | Phase::Waiting | Phase::Held => None,
            Phase::Withdrawn | Phase::Stopping => Some(Left::Withdrawn),
            Phase::Running | Phase::ForceReleased | Phase::Done(_) => Some(Left::Runs),
        };
        let run = self.run(&view.repository, &view.key)?;
        run.is_gone = false;
        if left.is_none() {
            run.left = None;
        }
        if let (Some(left), None) = (left, run.left) {
            run.left = Some((now, left));
            self.leaving.push_back((now, view.repository.clone(), view.key.name().into()));
        }
        let run = self.run(&view.repository, &view.key)?;
        let is_over = leads && run.place.is_none() && matches!(run.left, Some((_, Left::Withdrawn)));
        if is_over { self.over(&view.repository, &view.key, Outcome::Withdrawn, now) } else { None }
    }

    /// The watch shows the run `name` of `repository` no longer.
    pub(crate) fn gone(&mut self, repository: &RepositoryKey, name: &str, now: Timestamp) {
        let Some(run) = self.queues.get_mut(repository).and_then(|queue| queue.runs.get_mut(name)) else { return };
        run.is_gone = true;
        run.left.get_or_insert((now, Left::Gone));
        self.leaving.push_back((now, repository.clone(), name.into()));
    }

    /// The run joined the queue at this place.
    pub(crate) fn joined(&mut self, repository: &RepositoryKey, run: &RunKey, place: usize, now: Timestamp) {
        if let Some(run) = self.run(repository, run) {
            run.place.get_or_insert(place);
            run.happened(Event::Queued, now);
        }
    }

    /// This happened to the run.
    pub(crate) fn happened(&mut self, repository: &RepositoryKey, run: &RunKey, event: Event, now: Timestamp) {
        if let Some(run) = self.run(repository, run) {
            run.happened(event, now);
        }
    }

    /// This watcher started the run; returns its wait, unless it was told.
    pub(crate) fn started(&mut self, repository: &RepositoryKey, run: &RunKey, now: Timestamp) -> Option<Wait> {
        self.over(repository, run, Outcome::Started, now)
    }

    /// A run without a slot was found running; returns its wait if the watch has shown that it is no longer pending. If it hasn't,
    /// a start of this watcher's is under way, whose answer is yet to come.
    pub(crate) fn adopted(&mut self, repository: &RepositoryKey, run: &RunKey, now: Timestamp) -> Option<Wait> {
        let runs = matches!(self.run(repository, run)?.left, Some((_, Left::Runs)));
        if runs { self.over(repository, run, Outcome::StartedElsewhere, now) } else { None }
    }

    /// The run's slot or place was freed; returns its wait, unless it was told.
    pub(crate) fn released(
        &mut self,
        repository: &RepositoryKey,
        run: &RunKey,
        end: &End,
        now: Timestamp,
    ) -> Option<Wait> {
        let outcome = match end {
            End::Withdrawn => Outcome::Withdrawn,
            End::Gone => Outcome::Gone,
            End::Done(_) | End::ByOperator(_) | End::Unlimited => Outcome::StartedElsewhere,
        };
        self.over(repository, run, outcome, now)
    }

    /// The repositories of which somebody waits in the queue.
    pub(crate) fn waited_for(&self, now: Timestamp) -> Vec<RepositoryKey> {
        let has_waiting = |queue: &Queue| queue.runs.values().any(|run| run.is_in_queue(now));
        self.queues.iter().filter(|(_, queue)| has_waiting(queue)).map(|(key, _)| key.clone()).collect()
    }

    /// Those who wait in the queue of `repository` wait for this.
    pub(crate) fn wait_for(&mut self, repository: &RepositoryKey, reason: Reason, now: Timestamp) {
        if let Some(queue) = self.queues.get_mut(repository) {
            queue.reasons.note(reason, now);
        }
    }

    /// Forgets who has been gone for a while; returns the waits that ended with that.
    pub(crate) fn forget_gone(&mut self, leads: bool, now: Timestamp) -> Vec<Wait> {
        let mut over = Vec::new();
        while self.leaving.front().is_some_and(|(since, ..)| now.duration_since(*since) >= REMEMBERED) {
            let Some((_, repository, name)) = self.leaving.pop_front() else { break };
            let Some(run) = self.queues.get_mut(&repository).and_then(|queue| queue.runs.get_mut(&name)) else {
                continue;
            };
            let (key, runs) = (run.key.clone(), matches!(run.left, Some((_, Left::Runs))));
            if run.is_gone {
                let outcome =
                    if matches!(run.left, Some((_, Left::Withdrawn))) { Outcome::Withdrawn } else { Outcome::Gone };
                over.extend(if leads && !runs { self.over(&repository, &key, outcome, now) } else { None });
            } else if run.is_told || !runs {
                continue;
            }
            self.forget(&repository, &name);
        }
        over
    }

    /// Forgets everybody.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets the run `name` of `repository`.
    pub(crate) fn forget(&mut self, repository: &RepositoryKey, name: &str) {
        if let Some(queue) = self.queues.get_mut(repository) {
            queue.runs.remove(name);
            if queue.runs.is_empty() {
                self.queues.remove(repository);
            }
        }
    }

    fn run(&mut self, repository: &RepositoryKey, run: &RunKey) -> Option<&mut Run> {
        self.queues.get_mut(repository)?.runs.get_mut(run.name()).filter(|known| known.key == *run)
    }

    /// The wait of the run of this name, in whose place there is another one now.
    fn end_namesake(&mut self, repository: &RepositoryKey, name: &str, leads: bool, now: Timestamp) -> Option<Wait> {
        let former = self.queues.get(repository)?.runs.get(name)?;
        let (key, ran) = (former.key.clone(), matches!(former.left, Some((_, Left::Runs))));
        if leads && !ran { self.over(repository, &key, Outcome::Gone, now) } else { None }
    }

    /// The wait of `run` is over; none if it was told before, or the run isn't known.
    fn over(&mut self, repository: &RepositoryKey, run: &RunKey, outcome: Outcome, now: Timestamp) -> Option<Wait> {
        let queue = self.queues.get_mut(repository)?;
        let run = queue.runs.get_mut(run.name()).filter(|known| known.key == *run && !known.is_told)?;
        run.is_told = true;
        // What the watch showed comes before what was made of it.
        let ended = match (outcome, run.left) {
            (Outcome::Started, _) | (_, None) => now,
            (_, Some((left, _))) => left,
        };
        let ended = ended.max(run.began);
        let mut reasons = queue.reasons.between(run.began, ended);
        reasons.retain(|reason| *reason != Reason::Slot || run.has_queued(ended));
        reasons.append(&mut run.reasons);
        Some(Wait {
            run: run.key.clone(),
            repository: repository.clone(),
            traced: std::mem::take(&mut run.traced),
            began: run.began,
            ended,
            outcome,
            place: run.place,
            limit: None,
            reasons,
            events: std::mem::take(&mut run.events),
            events_dropped: run.events_dropped,
        })
    }
}

// === impl Run ===

impl Run {
    fn new(key: RunKey, traced: Traced, created: i64, now: Timestamp) -> Self {
        Self {
            key,
            traced,
            began: began(created, now),
            place: None,
            reasons: Vec::new(),
            events: Vec::new(),
            events_dropped: 0,
            left: None,
            is_gone: false,
            is_told: false,
        }
    }

    fn happened(&mut self, event: Event, now: Timestamp) {
        let reason = match event {
            Event::Refused => Some(Reason::Refused),
            Event::Unanswered => Some(Reason::Unanswered),
            Event::Queued | Event::Admitted | Event::TakenOver | Event::GivenBack => None,
        };
        self.reasons.extend(reason.filter(|reason| !self.reasons.contains(reason)));
        if self.events.len() < EVENTS {
            self.events.push((now, event));
        } else {
            self.events_dropped += 1;
        }
    }

    fn is_in_queue(&self, now: Timestamp) -> bool {
        !self.is_told && self.left.is_none() && self.has_queued(now)
    }

    /// Whether it came to be in the queue, and did not get its slot at once.
    fn has_queued(&self, ended: Timestamp) -> bool {
        self.place.is_some() || ended.duration_since(self.began) >= SETTLED
    }
}

/// When a run was created, of which the API server tells the second. Who sees it within that second knows it better.
fn began(created: i64, seen: Timestamp) -> Timestamp {
    let created = Timestamp::from_second(created).unwrap_or(seen);
    if (0..1000).contains(&seen.duration_since(created).as_millis()) { seen } else { created }
}

#[cfg(test)]
mod tests;
