//! One repository as the versions so far show it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    facts::Facts,
    limits::{Limits, RepositoryKey},
    order::Events,
};
use crate::{object, store::Store};

/// A run in the queue.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) name: String,
    pub(super) facts: Facts,
    /// Since when it waits.
    pub(super) since: Duration,
    /// Since when its place is known for good; absent while nothing tells which event it is of.
    pub(super) ordered_since: Option<Duration>,
    /// Since when it waits for the system: there is a limit, or it has an order. Without both nobody but its maker starts it.
    pub(super) ours_since: Option<Duration>,
    pub(super) excused: bool,
}

/// Who waits and who runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Repository {
    pub(super) waiting: BTreeMap<String, Waiting>,
    /// Names of running runs by uid.
    pub(super) running: BTreeMap<String, String>,
    /// Those of them that nobody started, and since when they run: Tekton runs the last tasks of a run that is stopped, and PAC makes one that
    /// doesn't wait where it saw no limit.
    pub(super) unforeseen: BTreeMap<String, Duration>,
    /// When slots became free while somebody waited, and nobody has started since.
    pub(super) releases: VecDeque<Duration>,
    /// Since when a slot is free.
    pub(super) free_since: Option<Duration>,
}

// === impl Waiting ===

impl Waiting {
    /// From when on a free slot must find it, if one must.
    pub(super) fn entitled_from(&self, settle: Duration) -> Option<Duration> {
        let from = if self.facts.is_placed() { self.since } else { self.since + settle };
        Some(from.max(self.ours_since?))
    }

    fn note_limit(&mut self, at: Duration, limit: Option<u64>) {
        let is_ours = limit.is_some() || self.facts.event.is_some();
        self.ours_since = is_ours.then(|| self.ours_since.unwrap_or(at));
    }

    /// Whether it may not be passed over at this moment.
    pub(super) fn is_settled(&self, at: Duration, settle: Duration, in_flight: Duration) -> bool {
        match self.ordered_since {
            Some(since) => at >= since.max(self.since) + in_flight,
            None => at >= self.since + settle,
        }
    }
}

// === impl Repository ===

impl Repository {
    pub(super) fn has_free_slot(&self, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| (self.running.len() as u64) < limit)
    }

    /// Notes at a moment whether a slot is free, and who waits for one.
    pub(super) fn note_slots(&mut self, at: Duration, limit: Option<u64>) {
        match (self.has_free_slot(limit), self.free_since) {
            (true, None) => self.free_since = Some(at),
            (false, Some(_)) => self.free_since = None,
            _ => {}
        }
        self.waiting.values_mut().for_each(|waiting| waiting.note_limit(at, limit));
    }

    /// How long, until now, a slot has been free while the named run waited without any start.
    pub(super) fn gap(&self, at: Duration, settle: Duration) -> Option<(Duration, &str)> {
        let free_since = self.free_since?;
        let waiting = self.waiting.values().filter(|waiting| !waiting.excused);
        let entitled = waiting.filter_map(|waiting| Some((waiting.entitled_from(settle)?, waiting.name.as_str())));
        let (from, name) = entitled.min()?;
        Some((at.saturating_sub(from.max(free_since)), name))
    }
}

/// What the summary says of one repository.
#[derive(Default)]
struct Row {
    running: usize,
    done: usize,
    /// Namespace, name and facts of the runs that wait.
    waiting: Vec<(String, String, Facts)>,
}

/// The repositories as they are now, for `GET /_dev/summary`.
pub(crate) fn summary(store: &Store, global: &RepositoryKey) -> Value {
    let mut limits = Limits::new(global.clone());
    let mut rows: BTreeMap<RepositoryKey, Row> = BTreeMap::new();
    for repository in store.list("repositories", None, "").unwrap_or_default() {
        let key = (object::namespace(&repository).to_owned(), object::name(&repository).to_owned());
        limits.change(key.clone(), Duration::ZERO, Some(&repository));
        rows.insert(key, Row::default());
    }
    let mut events = Events::default();
    for run in store.list("pipelineruns", None, "").unwrap_or_default() {
        let facts = Facts::read(&run);
        let (namespace, name) = (object::namespace(&run).to_owned(), object::name(&run).to_owned());
        events.learn(&namespace, &name, &facts);
        let Some(repository) = facts.repository.clone() else { continue };
        let Some(row) = rows.get_mut(&(namespace.clone(), repository)) else { continue };
        row.running += usize::from(facts.running(false));
        row.done += usize::from(facts.done);
        if facts.waiting() {
            row.waiting.push((namespace, name, facts));
        }
    }
    rows.into_iter().map(|(key, row)| row.told(&key, &limits, &events)).collect()
}

// === impl Row ===

impl Row {
    fn told(mut self, key: &RepositoryKey, limits: &Limits, events: &Events) -> Value {
        self.waiting.sort_by_cached_key(|(namespace, name, facts)| events.place(namespace, name, facts));
        let next: Vec<&str> = self.waiting.iter().take(3).map(|(_, name, _)| name.as_str()).collect();
        json!({
            "namespace": key.0,
            "name": key.1,
            "limit": limits.now(key),
            "running": self.running,
            "waiting": self.waiting.len(),
            "done": self.done,
            "next": next,
        })
    }
}
