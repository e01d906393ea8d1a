//! What Pipelines-as-Code's queue makes of one Repository's runs: what was waited, what was idle, what it lost track of.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use pac_concurrency::{Entry, OrderKey, RepositoryKey, RunKey};
use pac_queue::shadow::{DriftKind, FORGOTTEN_AFTER_SECONDS};

use crate::ledger::{DriftId, Ledger};

const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_secs(FORGOTTEN_AFTER_SECONDS);
/// How long after one that is behind it a run may be started. Pipelines-as-Code starts the runs of two events side by side, at its Git
/// provider's pace.
const SIDE_BY_SIDE: SignedDuration = SignedDuration::from_secs(5);
/// Runs that are looked at when one behind them is started.
const MOST_PASSED: usize = 1000;
/// Runs over the limit that are named.
const MOST_NAMED: usize = 20;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct PacsQueue {
    limit: Option<u32>,
    waiting: BTreeMap<Entry, Waiting>,
    orders: HashMap<RunKey, OrderKey>,
    running: HashSet<RunKey>,
    /// Those of them that ran when the limit was set, or when the watch began.
    grandfathered: HashSet<RunKey>,
    /// Who was passed, and isn't known to be drift yet.
    passed: BTreeSet<Entry>,
    free_since: Option<Timestamp>,
    /// Since when slots are idle that somebody waited for when they were freed, the longest first.
    idle_since: VecDeque<Timestamp>,
    over: Option<DriftId>,
    /// Until when it is measured.
    at: Timestamp,
}

#[derive(Debug)]
struct Waiting {
    event: Option<u64>,
    queued: Timestamp,
    passed: Option<Passed>,
    drift: Option<DriftId>,
    is_forgotten: bool,
}

#[derive(Debug)]
struct Passed {
    at: Timestamp,
    by: String,
    times: u64,
}

// === impl PacsQueue ===

impl PacsQueue {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self {
            limit: None,
            waiting: BTreeMap::new(),
            orders: HashMap::new(),
            running: HashSet::new(),
            grandfathered: HashSet::new(),
            passed: BTreeSet::new(),
            free_since: None,
            idle_since: VecDeque::new(),
            over: None,
            at,
        }
    }

    pub(crate) fn limit(&self) -> Option<u32> {
        self.limit
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.limit.is_none() && self.waiting.is_empty() && self.running.is_empty()
    }

    pub(crate) fn is_waiting(&self, run: &RunKey) -> bool {
        self.orders.contains_key(run)
    }

    pub(crate) fn is_running(&self, run: &RunKey) -> bool {
        self.running.contains(run)
    }

    pub(crate) fn set_limit(&mut self, limit: Option<u32>) {
        self.limit = limit;
        self.grandfather();
    }

    /// Notes that what runs now may run, whatever the limit says.
    pub(crate) fn grandfather(&mut self) {
        self.grandfathered.clone_from(&self.running);
    }

    pub(crate) fn arrives(&mut self, entry: Entry, event: Option<u64>, at: Timestamp) {
        self.orders.insert(entry.run.clone(), entry.order);
        let waiting = Waiting { event, queued: at, passed: None, drift: None, is_forgotten: false };
        self.waiting.insert(entry, waiting);
    }

    /// It has another place; whether that is news.
    pub(crate) fn moves(&mut self, entry: &Entry) -> bool {
        let Some(order) = self.orders.get_mut(&entry.run).filter(|order| **order != entry.order) else { return false };
        let before = Entry::new(entry.run.clone(), std::mem::replace(order, entry.order));
        let Some(waiting) = self.waiting.remove(&before) else { return false };
        if self.passed.remove(&before) {
            self.passed.insert(entry.clone());
        }
        self.waiting.insert(entry.clone(), waiting);
        true
    }

    /// It runs, and never waited.
    pub(crate) fn runs(&mut self, run: RunKey) {
        self.running.insert(run);
    }

    /// One that waited was started.
    pub(crate) fn started(&mut self, of: &RepositoryKey, run: &RunKey, at: Timestamp, ledger: &mut Ledger) {
        let Some((entry, waited)) = self.take_waiting(run, at, ledger) else { return };
        if self.limit.is_some() {
            ledger.waited(of, at, at.duration_since(waited.queued));
            if let Some(since) = self.idle_since.pop_front() {
                ledger.handed_off(of, at, at.duration_since(since));
            }
            self.note_passed(&entry, &waited, at, ledger);
        }
        self.running.insert(entry.run);
    }

    /// It waits no more, and was not started.
    pub(crate) fn leaves(&mut self, run: &RunKey, at: Timestamp, ledger: &mut Ledger) {
        self.take_waiting(run, at, ledger);
    }

    pub(crate) fn ended(&mut self, run: &RunKey, at: Timestamp) {
        self.running.remove(run);
        self.grandfathered.remove(run);
        if !self.waiting.is_empty() && self.idle_since.len() < self.free() {
            self.idle_since.push_back(at);
        }
    }

    /// Measures what was until `at`, unless nobody saw it.
    pub(crate) fn advance(&mut self, of: &RepositoryKey, at: Timestamp, is_seen: bool, ledger: &mut Ledger) {
        let seconds = at.duration_since(self.at).as_secs_f64();
        self.at = self.at.max(at);
        if !is_seen {
            self.free_since = None;
            self.idle_since.clear();
            return;
        }
        let idle = self.free().min(self.waiting.len());
        ledger.idle(of, at, number(idle) * seconds);
        ledger.over(of, at, number(self.excess()) * seconds);
        self.note_forgotten(of, at, ledger);
        self.note_who_was_passed(of, at, ledger);
    }

    /// Takes note of how things stand, after something happened.
    pub(crate) fn settle(
        &mut self,
        of: &RepositoryKey,
        at: Timestamp,
        started: Option<&RunKey>,
        is_seen: bool,
        ledger: &mut Ledger,
    ) {
        let free = self.free();
        self.free_since = if free == 0 || !is_seen { None } else { self.free_since.or(Some(at)) };
        self.idle_since.truncate(if self.waiting.is_empty() { 0 } else { free });
        let (excess, running) = (self.excess(), self.running.len());
        match (self.limit, self.over) {
            (Some(limit), None) if excess > 0 && is_seen => {
                let started = started.map(|run| run.path().to_owned()).into_iter().collect();
                self.over = Some(ledger.drifted(of, at, at, DriftKind::OverLimit { limit, most: running, started }));
            }
            (_, Some(id)) if excess == 0 => {
                ledger.change_drift(id, |drift| drift.until = Some(at));
                self.over = None;
            }
            (_, Some(id)) => ledger.change_drift(id, |drift| {
                if let DriftKind::OverLimit { most, started: named, .. } = &mut drift.what {
                    *most = running.max(*most);
                    let started = started.filter(|_| named.len() < MOST_NAMED);
                    named.extend(started.map(|run| run.path().to_owned()));
                }
            }),
            _ => {}
        }
    }

    fn free(&self) -> usize {
        self.limit.map_or(0, |limit| (limit as usize).saturating_sub(self.running.len()))
    }

    /// How many run that don't fit beside those that may.
    fn excess(&self) -> usize {
        let Some(limit) = self.limit else { return 0 };
        let room = (limit as usize).saturating_sub(self.grandfathered.len());
        (self.running.len() - self.grandfathered.len()).saturating_sub(room)
    }

    fn take_waiting(&mut self, run: &RunKey, at: Timestamp, ledger: &mut Ledger) -> Option<(Entry, Waiting)> {
        let entry = Entry::new(run.clone(), self.orders.remove(run)?);
        self.passed.remove(&entry);
        let waiting = self.waiting.remove(&entry)?;
        if let Some(id) = waiting.drift {
            ledger.change_drift(id, |drift| drift.until = Some(at));
        }
        Some((entry, waiting))
    }

    /// Notes whom one that was started has passed.
    fn note_passed(&mut self, started: &Entry, waited: &Waiting, at: Timestamp, ledger: &mut Ledger) {
        let before = self.waiting.range_mut(..started).take(MOST_PASSED);
        for (entry, waiting) in before {
            if !is_before(entry, waiting.event, started, waited.event) || waiting.queued > waited.queued {
                continue;
            }
            let by = || started.run.path().to_owned();
            let passed = waiting.passed.get_or_insert_with(|| Passed { at, by: by(), times: 0 });
            passed.times += 1;
            match waiting.drift {
                Some(id) => ledger.change_drift(id, |drift| match &mut drift.what {
                    DriftKind::Forgotten { passed_by, .. } | DriftKind::Passed { passed_by, .. } => *passed_by += 1,
                    DriftKind::OverLimit { .. } => {}
                }),
                None => _ = self.passed.insert(entry.clone()),
            }
        }
    }

    fn note_who_was_passed(&mut self, of: &RepositoryKey, at: Timestamp, ledger: &mut Ledger) {
        for entry in std::mem::take(&mut self.passed) {
            let Some(waiting) = self.waiting.get_mut(&entry) else { continue };
            match &waiting.passed {
                Some(passed) if waiting.drift.is_none() && passed.at + SIDE_BY_SIDE <= at => {
                    let (run, first_by) = (entry.run.path().to_owned(), passed.by.clone());
                    let what = DriftKind::Passed { run, first_by, passed_by: passed.times };
                    waiting.drift = Some(ledger.drifted(of, at, passed.at, what));
                }
                Some(_) if waiting.drift.is_none() => _ = self.passed.insert(entry),
                _ => {}
            }
        }
    }

    fn note_forgotten(&mut self, of: &RepositoryKey, at: Timestamp, ledger: &mut Ledger) {
        let (Some(free_since), free) = (self.free_since, self.free()) else { return };
        for (entry, waiting) in self.waiting.iter_mut().take(free) {
            let since = free_since.max(waiting.queued);
            if waiting.is_forgotten || since + FORGOTTEN_AFTER > at {
                continue;
            }
            waiting.is_forgotten = true;
            let passed_by = waiting.passed.as_ref().map_or(0, |passed| passed.times);
            let what = DriftKind::Forgotten { run: entry.run.path().to_owned(), passed_by };
            match waiting.drift {
                // It is one record: that others passed it is part of the same story.
                Some(id) => {
                    ledger.count_drift(of, at, &what);
                    ledger.change_drift(id, |drift| drift.what = what);
                }
                None => waiting.drift = Some(ledger.drifted(of, at, since, what)),
            }
        }
    }
}

/// Whether one comes before the other for certain: creation times are whole seconds, and names alone are nobody's order.
fn is_before(one: &Entry, its_event: Option<u64>, other: &Entry, others_event: Option<u64>) -> bool {
    let (first, second) = (one.order, other.order);
    let same_event = its_event.is_some() && its_event == others_event && first.event_created == second.event_created;
    first.event_created < second.event_created || same_event && first.position < second.position
}

/// A count as a number to multiply with: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "there are never so many runs")]
fn number(count: usize) -> f64 {
    count as f64
}
