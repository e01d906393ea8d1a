//! Makes the answers: from the index, the store in use, and the history.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use pac_concurrency::{Entry, Limit, Manager, RepositoryKey, RunKey, RunState, Snapshot};
use pac_kube::error::with_causes;
use pac_kube::pause::{Pause, PauseEnd};
use pac_queue::estimate;
use pac_queue::history::{History, now};
use pac_queue::times::{QueueTimes, RuleView, RunTimesView};
use pac_state::active_store::{ActiveStore, System};
use pac_state::health::{Health, Part};
use pac_state::index::{Index, OwnLimit, Shown, ShownRun};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::HistoryRecorder;
use super::plot::Plot;
use pac_queue::view::{
    EstimateView, LimitView, NOT_QUEUED, NOT_SHOWN, Overview, PLACE_TO_COME, PauseView, Queues, RepositoryQueue,
    SlotView, Summary, WaitingView, WatcherView,
};

/// Repositories loaded from the store at once when somebody asks for all: the store has other work.
const LOADS: usize = 2;

/// How long people are kept waiting for the store; after that the cluster alone tells. A store that is in trouble isn't asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers what people ask. Cheap to clone.
#[derive(Clone)]
pub struct QueueQuery {
    /// To read a run that isn't watched.
    pub client: Client,
    /// What the cluster shows.
    pub index: Arc<Index>,
    /// What happened.
    pub history: Arc<HistoryRecorder>,
    /// How many ran and waited over the last hour.
    pub plot: Arc<Plot>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// What store there is.
    pub active_store: Arc<ActiveStore>,
    /// Whether this watcher leads.
    pub leading: watch::Receiver<bool>,
    /// This watcher's name.
    pub identity: Arc<str>,
}

// === impl QueueQuery ===

impl QueueQuery {
    /// The watcher itself.
    pub fn watcher(&self) -> WatcherView {
        let (system, driver) = match self.active_store.system() {
            System::Off => ("off", None),
            System::Starting => ("starting", None),
            System::On(manager) => ("on", Some(manager.driver_name().to_owned())),
            System::Shadow => ("shadow", None),
        };
        WatcherView {
            at: now(),
            identity: self.identity.to_string(),
            leading: *self.leading.borrow(),
            system: system.to_owned(),
            draining: system == "on" && self.index.is_draining(),
            paused: system == "on" && self.index.is_paused(),
            waiting_while_off: self.active_store.backlog(),
            driver,
            trouble: self.health.problems_text(),
        }
    }

    /// Those repositories that `is_asked` says yes to, in numbers, from the index alone.
    pub fn overview(&self, is_asked: impl Fn(&RepositoryKey) -> bool) -> Overview {
        let watcher = self.watcher();
        let keys = self.keys(is_asked);
        let summary = |key: &RepositoryKey| {
            let shown = self.index.shown(key)?;
            let pending = shown.runs.iter().filter(|run| run.state.is_waiting());
            let oldest = pending.clone().map(|run| run.created).min();
            Some(Summary {
                repository: key.to_string(),
                limit: self.limit(key, shown.own_limit),
                paused: lasting(shown.pause.as_ref(), watcher.at),
                running: shown.runs.iter().filter(|run| run.state == RunState::Running).count(),
                waiting: pending.count(),
                oldest_waiting_seconds: oldest.map(|created| (watcher.at.as_second() - created).max(0)),
            })
        };
        Overview { repositories: keys.iter().filter_map(summary).collect(), watcher }
    }

    /// Those repositories that `is_asked` says yes to, in full.
    pub async fn queues(&self, is_asked: impl Fn(&RepositoryKey) -> bool) -> Queues {
        let repositories =
            stream::iter(self.keys(is_asked)).map(|key| async move { self.queue(&key).await }).buffered(LOADS);
        let repositories = repositories.filter_map(std::future::ready).collect().await;
        Queues { watcher: self.watcher(), repositories }
    }

    fn keys(&self, is_asked: impl Fn(&RepositoryKey) -> bool) -> Vec<RepositoryKey> {
        let mut keys = self.index.repositories();
        keys.retain(is_asked);
        keys.sort();
        keys
    }

    /// One repository in full; none if nothing is known of it.
    pub async fn queue(&self, key: &RepositoryKey) -> Option<RepositoryQueue> {
        let (snapshot, store_trouble) = self.snapshot(key).await;
        let shown = self.index.shown(key)?;
        let history = self.history(key).await;
        let runs: HashMap<&RunKey, &ShownRun> = shown.runs.iter().map(|run| (&run.entry.run, run)).collect();
        let running = self.running(key, &shown, &runs, &snapshot);
        let mut waiting = self.waiting(&shown, &runs, &snapshot);
        let paused = lasting(shown.pause.as_ref(), now());
        let limit = self.index.limit(key);
        if let (Limit::AtMost(most), None) = (limit, &paused) {
            estimate_starts(&mut waiting, &running, most.get() as usize, &history);
        }
        Some(RepositoryQueue {
            repository: key.to_string(),
            limit: self.limit(key, shown.own_limit),
            paused,
            store_trouble,
            running,
            waiting,
            times_known: history.held_for.len(),
            history: history.records.into(),
        })
    }

    /// What happened lately. A watcher that doesn't lead reads it from the store, as far as the leader has written it.
    pub(super) async fn history(&self, key: &RepositoryKey) -> History {
        self.stored_history(key).await.unwrap_or_else(|| self.history.history(key))
    }

    /// What the store has of it, if it is another watcher's to write it.
    async fn stored_history(&self, key: &RepositoryKey) -> Option<History> {
        let manager = self.store().ok().filter(|_| !*self.leading.borrow())?;
        let stored = timeout(PATIENCE, manager.past(key)).await;
        stored.ok().and_then(Result::ok).flatten().as_deref().and_then(History::parse)
    }

    /// The last week of one repository; none if nothing is known of it.
    pub(crate) async fn times(&self, key: &RepositoryKey) -> Option<QueueTimes> {
        let shown = self.index.shown(key)?;
        let stored = self.stored_history(key).await;
        let week = stored.map_or_else(|| self.history.week(key), |history| history.week);
        let (watcher, now) = (self.watcher(), now());
        let has_no_slot = |run: &&ShownRun| run.is_ours && run.state.is_waiting() && run.state != RunState::Starting;
        let created = shown.runs.iter().filter(has_no_slot).map(|run| run.entry.order.created);
        let waiting = created.filter_map(|created| Timestamp::from_second(created).ok());
        let has_slot =
            |run: &&ShownRun| matches!(run.state, RunState::Running | RunState::Starting | RunState::Stopping);
        let uids: BTreeSet<&str> = shown.runs.iter().filter(has_slot).map(|run| run.entry.run.uid()).collect();
        let mut runs = RunTimesView::of_week(&week, now, |uid| uids.contains(uid));
        runs.extend(waiting.map(|arrived| RunTimesView::waiting(arrived, now)));
        Some(QueueTimes {
            watcher,
            repository: key.to_string(),
            limit: self.limit(key, shown.own_limit),
            paused: lasting(shown.pause.as_ref(), now),
            rules: RuleView::of_week(&week),
            runs,
        })
    }

    /// What the store has, or why it can't be told.
    async fn snapshot(&self, key: &RepositoryKey) -> (Snapshot, Option<String>) {
        let looked = match self.store() {
            Ok(manager) => timeout(PATIENCE, manager.look(key)).await,
            Err(why) => return (Snapshot::empty(), Some(why)),
        };
        match looked {
            Ok(Ok(snapshot)) => (snapshot, None),
            Ok(Err(error)) => (Snapshot::empty(), Some(with_causes(&error))),
            Err(_) => (Snapshot::empty(), Some(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// The manager of the store, or why the store isn't asked.
    fn store(&self) -> Result<Arc<Manager>, String> {
        let trouble = self.health.trouble_of(Part::Store);
        match self.active_store.system() {
            System::Off => Err("the concurrency system is switched off".to_owned()),
            System::Starting => Err(trouble.unwrap_or_else(|| "the watcher is not at work yet".to_owned())),
            System::On(manager) => trouble.map_or(Ok(manager), Err),
            System::Shadow => Err("there is none in shadow mode".to_owned()),
        }
    }

    fn running(
        &self,
        key: &RepositoryKey,
        shown: &Shown,
        runs: &HashMap<&RunKey, &ShownRun>,
        snapshot: &Snapshot,
    ) -> Vec<SlotView> {
        let since = |run: &RunKey| {
            let begun = runs.get(run).and_then(|run| run.begun).and_then(|begun| Timestamp::from_second(begun).ok());
            self.history.slot_since(key, run).or(begun)
        };
        let slot = |run: &RunKey, state: &str, holder: Option<String>, lapsed: bool| SlotView {
            run: run.path().to_owned(),
            uid: run.uid().to_owned(),
            state: state.to_owned(),
            since: since(run),
            holder,
            lapsed,
        };
        let mut slots: Vec<SlotView> = snapshot
            .slots
            .iter()
            .map(|(run, held)| {
                let state = runs.get(run).map_or("ending", |run| state_of_slot(run));
                slot(run, state, Some(held.holder.to_string()), held.lapsed)
            })
            .collect();
        let without = shown
            .runs
            .iter()
            .filter(|run| (run.state == RunState::Running) && !snapshot.slots.contains_key(&run.entry.run));
        slots.extend(without.map(|run| slot(&run.entry.run, "running", None, false)));
        slots.sort_by(|one, other| (one.since, &one.run).cmp(&(other.since, &other.run)));
        slots
    }

    fn waiting(&self, shown: &Shown, runs: &HashMap<&RunKey, &ShownRun>, snapshot: &Snapshot) -> Vec<WaitingView> {
        let has_place = |entry: &&Entry| runs.get(&entry.run).is_none_or(|run| run.state.is_waiting());
        let mut queue: BTreeSet<&Entry> = snapshot.waiting.iter().filter(has_place).collect();
        let stored: BTreeSet<&RunKey> = queue.iter().map(|entry| &entry.run).collect();
        let fresh = shown.runs.iter().filter(|run| run.state.is_waiting() && run.is_ours).map(|run| &run.entry);
        queue.extend(fresh.filter(|entry| !stored.contains(&entry.run) && !snapshot.slots.contains_key(&entry.run)));
        let now = Instant::now();
        let view = |(position, entry): (usize, &Entry)| WaitingView {
            position,
            run: entry.run.path().to_owned(),
            uid: entry.run.uid().to_owned(),
            since: Timestamp::from_second(entry.order.created).ok(),
            note: match runs.get(&entry.run) {
                Some(run) => note(run, now),
                None => Some(NOT_SHOWN.to_owned()),
            },
            estimate: None,
        };
        (1..).zip(queue).map(view).collect()
    }

    pub(super) fn limit(&self, key: &RepositoryKey, own: OwnLimit) -> LimitView {
        let limit = self.index.limit(key);
        let why = (limit == Limit::Unknown).then(|| match own {
            OwnLimit::Missing => format!("there is no Repository {key}"),
            OwnLimit::Unreadable => format!("Repository {key} can't be read"),
            OwnLimit::Says(Some(own)) => format!("no limit can be {own}"),
            OwnLimit::Says(None) => {
                "it has no limit of its own, and the global Repository can't be read, or its limit is none a limit can be"
                    .to_owned()
            }
        });
        LimitView { text: limit.to_string(), why }
    }
}

/// Fills in when each run will start. Runs held back after a refusal take no part.
fn estimate_starts(waiting: &mut [WaitingView], running: &[SlotView], limit: usize, history: &History) {
    let now = now();
    let so_far = |slot: &SlotView| slot.since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
    let so_far: Vec<f64> = running.iter().map(so_far).collect();
    let held_for: Vec<f64> = history.held_for.iter().copied().collect();
    let ranges = estimate::starts(&held_for, &so_far, limit, waiting.len());
    let in_line = waiting.iter_mut().filter(|run| run.note.is_none());
    for (run, range) in in_line.zip(ranges) {
        let estimate = EstimateView { earliest_seconds: range.earliest, latest_seconds: range.latest };
        run.estimate = Some(estimate);
    }
}

/// The pause, if it lasts at `now`.
pub(super) fn lasting(pause: Option<&Pause>, now: Timestamp) -> Option<PauseView> {
    let pause = pause.filter(|pause| pause.lasts_at(now))?;
    let complaint = match &pause.ends {
        PauseEnd::Unreadable(text) => {
            Some(format!("its end {text:?} is no time as in RFC 3339; it lasts until resumed"))
        }
        PauseEnd::At(_) | PauseEnd::Resumed => None,
    };
    Some(PauseView { reason: pause.reason.clone(), until: pause.until(), complaint })
}

/// What a pending run waits for besides a slot.
fn note(run: &ShownRun, now: Instant) -> Option<String> {
    if let (RunState::BackingOff, Some(until)) = (run.state, run.backs_off_until) {
        let seconds = until.saturating_duration_since(now).as_secs() + 1;
        let why = run.refusal.as_deref().unwrap_or_default();
        return Some(format!("its start was refused, tried again in {seconds} s: {why}"));
    }
    match run.is_queued {
        false => Some(NOT_QUEUED.to_owned()),
        _ if run.settles.is_some_and(|settles| settles > now) => Some(PLACE_TO_COME.to_owned()),
        _ => None,
    }
}

fn state_of_slot(run: &ShownRun) -> &'static str {
    match run.state {
        RunState::Running => "running",
        state if state.is_waiting() => "starting",
        _ => "ending",
    }
}
