//! The walk through the history.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    PromiseVerdict, Verdict, VerdictOptions,
    facts::Facts,
    latency,
    limits::{Limits, RepositoryKey},
    order::Events,
    passed::{Passed, PassedRuns},
    repository::{Repository, Waiting},
};
use crate::history::{Change, Version};

/// Namespace and name of the ConfigMap with the settings.
const SETTINGS: (&str, &str) = ("pipelines-as-code", "pipelines-as-code");

/// A run's past.
#[derive(Debug, Default)]
struct Past {
    key: RepositoryKey,
    name: String,
    facts: Facts,
    /// When it was created, and when it was started.
    created: Duration,
    started: Option<Duration>,
    ran: bool,
    starts: u32,
    ever_waited: bool,
    deleting_since: Option<Duration>,
    gone: bool,
}

pub(super) struct Recorder<'a> {
    options: &'a VerdictOptions,
    limits: Limits,
    events: Events,
    repositories: BTreeMap<RepositoryKey, Repository>,
    runs: BTreeMap<String, Past>,
    used: BTreeSet<RepositoryKey>,
    /// Namespace and name of the Secrets that there are.
    secrets: BTreeSet<(String, String)>,
    limit: PromiseVerdict,
    start: PromiseVerdict,
    order: PromiseVerdict,
    waiting: PromiseVerdict,
    passed: PassedRuns,
    hand_offs: Vec<Duration>,
    first_created: Option<Duration>,
    last_done: Option<Duration>,
    last_seen: Duration,
}

// === impl Recorder ===

impl<'a> Recorder<'a> {
    pub(super) fn new(options: &'a VerdictOptions) -> Self {
        Self {
            options,
            limits: Limits::new(options.global_repository.clone()),
            events: Events::default(),
            repositories: BTreeMap::new(),
            runs: BTreeMap::new(),
            used: BTreeSet::new(),
            secrets: BTreeSet::new(),
            limit: PromiseVerdict::new("P1"),
            start: PromiseVerdict::new("P2"),
            order: PromiseVerdict::new("P3"),
            waiting: PromiseVerdict::new("P4"),
            passed: PassedRuns::default(),
            hand_offs: Vec::new(),
            first_created: None,
            last_done: None,
            last_seen: Duration::ZERO,
        }
    }

    pub(super) fn read(&mut self, version: &Version) {
        self.last_seen = self.last_seen.max(version.at);
        match version.resource {
            "repositories" => self.read_repository(version),
            "pipelineruns" => self.read_run(version),
            "secrets" => self.read_secret(version),
            "configmaps" if (version.namespace.as_str(), version.name.as_str()) == SETTINGS => {
                self.read_settings(version)
            }
            _ => {}
        }
    }

    fn read_secret(&mut self, version: &Version) {
        let key = (version.namespace.clone(), version.name.clone());
        match version.change {
            Change::Deleted => self.secrets.remove(&key),
            Change::Created | Change::Updated => self.secrets.insert(key),
        };
    }

    /// Switching the system off closes all repositories, and on opens them.
    fn read_settings(&mut self, version: &Version) {
        let keys: Vec<RepositoryKey> = self.repositories.keys().cloned().collect();
        for key in &keys {
            self.check_gap(key, version.at, Some(version.revision));
        }
        self.limits.change_settings(&version.object);
        keys.into_iter().for_each(|key| self.note_limit(key, version.at));
    }

    /// Goes by the limit that a Repository has now.
    fn note_limit(&mut self, key: RepositoryKey, at: Duration) {
        let open = self.limits.open(&key);
        self.passed.lose_slots(&key, open);
        self.repositories.entry(key).or_default().note_slots(at, open);
    }

    fn read_repository(&mut self, version: &Version) {
        let key = (version.namespace.clone(), version.name.clone());
        let is_global = key == self.options.global_repository;
        let affected: Vec<RepositoryKey> =
            if is_global { self.repositories.keys().cloned().collect() } else { vec![key.clone()] };
        for affected in &affected {
            self.check_gap(affected, version.at, Some(version.revision));
        }
        let repository = (version.change != Change::Deleted).then_some(&*version.object);
        self.limits.change(key, version.at, repository);
        affected.into_iter().for_each(|key| self.note_limit(key, version.at));
    }

    fn read_run(&mut self, version: &Version) {
        let mut past =
            self.runs.remove(&version.uid).unwrap_or_else(|| Past { created: version.at, ..Past::default() });
        let mut facts = Facts::read(&version.object);
        // A run is of the repository it named first; a run that names none is none of ours.
        if past.facts.repository.is_some() {
            facts.repository.clone_from(&past.facts.repository);
        }
        let Some(repository) = facts.repository.clone() else { return };
        past.key = (version.namespace.clone(), repository);
        past.name = version.name.clone();
        past.gone = version.change == Change::Deleted;
        self.used.insert(past.key.clone());
        self.first_created.get_or_insert(version.at);
        self.events.learn(&version.namespace, &version.name, &facts);
        self.check_gap(&past.key, version.at, Some(version.revision));
        self.check_wish(version, &past, &facts);
        let running = facts.running(past.ran) && !past.gone;
        if running && past.facts.pending && version.change == Change::Updated {
            self.read_start(version, &mut past, &facts);
        } else if running && !past.ran && (facts.wish.is_some() || version.change == Change::Created) {
            let repository = self.repositories.entry(past.key.clone()).or_default();
            repository.unforeseen.insert(version.uid.clone(), version.at);
        }
        self.place_run(version, &mut past, &facts, running);
        past.ran |= running;
        if facts.deleting {
            past.deleting_since.get_or_insert(version.at);
        }
        past.facts = facts;
        self.runs.insert(version.uid.clone(), past);
    }

    /// Writes the run down as waiting, running or neither.
    fn place_run(&mut self, version: &Version, past: &mut Past, facts: &Facts, running: bool) {
        let limit = self.limits.open(&past.key);
        let repository = self.repositories.entry(past.key.clone()).or_default();
        let before = repository.waiting.remove(&version.uid);
        if facts.waiting() && !past.gone {
            past.ever_waited = true;
            let since = before.as_ref().map_or(version.at, |before| before.since);
            let ours_since = before.as_ref().and_then(|before| before.ours_since);
            // What PAC writes at creation tells the place that its order says again.
            let stays = |before: &Waiting| facts.webhook.is_some() || before.facts.event == facts.event;
            let ordered = before.and_then(|before| before.ordered_since.filter(|_| stays(&before)));
            let waiting = Waiting {
                name: version.name.clone(),
                facts: facts.clone(),
                since,
                ours_since,
                ordered_since: facts.is_placed().then(|| ordered.unwrap_or(version.at)),
                excused: self.options.excused.contains(&format!("{}/{}", version.namespace, version.name)),
            };
            repository.waiting.insert(version.uid.clone(), waiting);
        }
        let left = !repository.waiting.contains_key(&version.uid);
        if running {
            repository.running.insert(version.uid.clone(), version.name.clone());
        } else if repository.running.remove(&version.uid).is_some() {
            repository.unforeseen.remove(&version.uid);
            let somebody_waits = repository.waiting.values().any(|waiting| !waiting.excused);
            if somebody_waits && repository.has_free_slot(limit) {
                repository.releases.push_back(version.at);
            }
        }
        if (facts.done || past.gone) && !past.facts.done {
            self.last_done = Some(version.at);
        }
        if repository.waiting.values().all(|waiting| waiting.excused) {
            repository.releases.clear();
        }
        repository.note_slots(version.at, limit);
        if left {
            self.check_passed(&version.uid, version.at);
        }
    }

    fn read_start(&mut self, version: &Version, past: &mut Past, facts: &Facts) {
        past.starts += 1;
        if past.starts > 1 {
            let times = past.starts;
            self.start.break_by(|| format!("{} was started {times} times", told(version)));
        }
        if past.deleting_since.is_some_and(|since| version.at >= since + self.options.in_flight) {
            self.start.break_by(|| format!("{} was started while it was being deleted", told(version)));
        }
        self.check_secret(version, past, facts);
        self.check_limit(version, &past.key);
        self.check_order(version, past);
        past.started = Some(version.at);
        let repository = self.repositories.entry(past.key.clone()).or_default();
        if let Some(released) = repository.releases.pop_front() {
            self.hand_offs.push(version.at.saturating_sub(released));
        }
        // The clock of the longest gap starts anew with every start.
        repository.free_since = None;
    }

    fn check_secret(&mut self, version: &Version, past: &Past, facts: &Facts) {
        let Some(patience) = self.options.secret_wait else { return };
        // PAC's own queue starts its runs whether their Secrets are there or not.
        let Some(secret) = facts.awaited_secret.as_ref().filter(|_| !facts.start_reported) else { return };
        let waited = version.at.saturating_sub(past.created);
        if waited < patience && !self.secrets.contains(&(version.namespace.clone(), secret.clone())) {
            let waited = waited.as_millis();
            self.start.break_by(|| {
                format!("{} was started {waited} ms after it was made, before its Secret {secret} was", told(version))
            });
        }
    }

    fn check_limit(&mut self, version: &Version, key: &RepositoryKey) {
        let on_its_way = self.options.in_flight.max(self.options.limit_allowance);
        if self.limits.is_paused(key, version.at, on_its_way) {
            let (namespace, repository) = key;
            self.limit.break_by(|| format!("{} was started while {namespace}/{repository} was paused", told(version)));
        }
        if self.options.lost.iter().any(|lost| lost.had_on_its_way(&version.uid, version.at)) {
            return;
        }
        let limit = self.limits.greatest(key, version.at, self.options.limit_allowance);
        let Some(repository) = self.repositories.get(key) else { return };
        let running = 1 + self.known_to_run(repository, version);
        if let Some(limit) = limit.filter(|limit| running > *limit) {
            let others: Vec<&str> = repository.running.values().map(String::as_str).take(5).collect();
            self.limit.break_by(|| {
                let others = others.join(", ");
                format!("{} started as number {running} of at most {limit}, beside {others}", told(version))
            });
        }
    }

    /// How many others run of which whoever starts this one can know.
    fn known_to_run(&self, repository: &Repository, version: &Version) -> u64 {
        // That one runs which nobody started is known to nobody before it does.
        let unforeseen = repository.unforeseen.values().filter(|since| version.at < **since + self.options.in_flight);
        let others = repository.running.len() - usize::from(repository.running.contains_key(&version.uid));
        let hidden = repository.running.keys().filter(|uid| self.is_hidden(uid, version.at));
        others.saturating_sub(unforeseen.count() + hidden.count()) as u64
    }

    /// Whether nobody need know of a run's slot, since the store lost it.
    fn is_hidden(&self, uid: &str, at: Duration) -> bool {
        let started = self.runs.get(uid).and_then(|run| run.started);
        let behind = self.options.in_flight;
        started.is_some_and(|started| self.options.lost.iter().any(|lost| lost.hides(uid, started, at, behind)))
    }

    fn check_order(&mut self, version: &Version, past: &Past) {
        let limit = self.limits.greatest(&past.key, version.at, self.options.limit_allowance);
        let Some(repository) = self.repositories.get(&past.key) else { return };
        let own = (version.name.as_str(), &past.facts);
        let earlier: Vec<(String, String)> = repository
            .waiting
            .iter()
            .filter(|(uid, other)| {
                **uid != version.uid
                    && !other.excused
                    && other.is_settled(version.at, self.options.settle, self.options.in_flight)
                    && self.events.is_before(&version.namespace, (&other.name, &other.facts), own)
            })
            .map(|(uid, other)| (uid.clone(), other.name.clone()))
            .collect();
        // Runs admitted at once are started side by side, and the server may see their starts in any order.
        let slots_left = limit.map(|limit| limit.saturating_sub(self.known_to_run(repository, version) + 1));
        let side_by_side = slots_left.is_none_or(|left| earlier.len() as u64 <= left);
        let open = self.limits.open(&past.key);
        for (uid, name) in earlier {
            let violation = format!("{} was started before {name}, which waited with an earlier place", told(version));
            if side_by_side {
                let (key, until) = (past.key.clone(), version.at + self.options.side_by_side);
                self.passed.note(uid, Passed { key, limit, until, violation }, open);
            } else {
                self.order.break_by(|| violation);
            }
        }
    }

    /// A run that was passed has left the queue: in time, or too late.
    fn check_passed(&mut self, uid: &str, at: Duration) {
        for violation in self.passed.leave(uid, at) {
            self.order.break_by(|| violation);
        }
    }

    fn check_wish(&mut self, version: &Version, past: &Past, facts: &Facts) {
        if let (Some(wish), None, false) = (&past.facts.wish, &facts.wish, past.gone) {
            self.start.break_by(|| format!("{} lost its spec.status {wish}", told(version)));
        }
    }

    fn check_gap(&mut self, key: &RepositoryKey, at: Duration, revision: Option<u64>) {
        let Some(repository) = self.repositories.get(key) else { return };
        let Some((gap, name)) = repository.gap(at, self.options.settle) else { return };
        if gap > self.options.longest_gap {
            let milliseconds = gap.as_millis();
            let end = revision.map_or_else(|| "the end".to_owned(), |revision| format!("revision {revision}"));
            self.waiting.break_by(|| {
                let (namespace, repository) = key;
                format!(
                    "a slot of {namespace}/{repository} was free for {milliseconds} ms while {name} waited, until \
                     {end} at {:.3} s",
                    at.as_secs_f64()
                )
            });
            // Told once; the clock starts anew.
            if let Some(repository) = self.repositories.get_mut(key) {
                repository.free_since = Some(at);
            }
        }
    }

    pub(super) fn finish(mut self) -> Verdict {
        let end = self.options.ended_at.unwrap_or_default().max(self.last_seen);
        let keys: Vec<RepositoryKey> = self.repositories.keys().cloned().collect();
        for key in keys {
            self.check_gap(&key, end, None);
        }
        for uid in self.passed.uids() {
            self.check_passed(&uid, end);
        }
        let mut done = 0;
        for past in self.runs.values() {
            let over = past.facts.done || past.gone;
            done += usize::from(over);
            let excused = self.options.excused.contains(&format!("{}/{}", past.key.0, past.name));
            let is_left = past.facts.wish.is_some() || past.facts.released || excused;
            if self.options.ended && past.ever_waited && !over && !is_left {
                let state = if past.facts.waiting() {
                    "still waiting"
                } else if past.facts.running(past.ran) {
                    "still running"
                } else {
                    "lost: neither waiting nor running nor done"
                };
                self.waiting.break_by(|| format!("{}/{} is {state} at the end", past.key.0, past.name));
            }
        }
        let makespan = self.last_done.unwrap_or_default().saturating_sub(self.first_created.unwrap_or_default());
        Verdict {
            repositories: self.used.len(),
            runs: self.runs.len(),
            started: self.runs.values().filter(|past| past.starts > 0).count(),
            done,
            hand_off: latency::summarize(self.hand_offs),
            makespan: latency::milliseconds(makespan),
            promises: vec![self.limit, self.start, self.order, self.waiting],
        }
    }
}

/// A run and the version that is told about.
fn told(version: &Version) -> String {
    let (namespace, name, revision) = (&version.namespace, &version.name, version.revision);
    format!("{namespace}/{name} (revision {revision}, {:.3} s)", version.at.as_secs_f64())
}
