//! What the watches have shown, by repository.
//!
//! One event touches one repository: its runs, and the few sets that make its next pass cheap. Nothing here decides;
//! [`RepositoryState::decide`] says what `plan` wants to know, in the words `plan` has for it.
//!
//! # Locks
//!
//! There is one for the table of repositories and one for each repository. Whoever holds both took the table's first; so whoever
//! has a repository's in hand asks nothing of the [`Index`]. No lock leaves this module: [`Index::with`] and [`Index::decide`]
//! lend a repository's state, and what is needed of the table is looked up before.

mod admission;
mod beside_pac;
mod notices;
mod repository;
mod run;
mod runs;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{LegacyRun, Limit, RepositoryKey, RunKey};
use pac_kube::convert::{RepositoryMetadata, RunView};
use pac_kube::pause::Pause;
use pac_metrics::{catalogue, per_repository};
use tokio::time::Instant;

use crate::gate::Gate;
use crate::start_traffic::StartTraffic;

pub use repository::{Effects, End, FollowUp, RepositoryState, Shown, ShownRun, StartEnd, Started, Tally};

/// How long a run without an execution-order is given for one to be written, in seconds, before it is queued by its own
/// creation time.
pub(crate) const SETTLE_SECONDS: u32 = 3;

/// So many runs are remembered at most that left while they said something of their wait.
const LEFT_NOTICED: usize = 1000;

/// What a Repository itself says of its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnLimit {
    /// No such Repository exists.
    Missing,
    /// The Repository exists and can't be read.
    Unreadable,
    /// The Repository exists and has this `concurrency_limit`, or none.
    Says(Option<i64>),
}

/// Every repository and run the watches have shown.
#[derive(Debug)]
pub struct Index {
    global: RepositoryKey,
    gate: Option<Arc<Gate>>,
    state: Mutex<State>,
    // The setting `concurrency-paused`: no run is admitted anywhere.
    paused: AtomicBool,
    // The setting `concurrency-draining`: a run that is admitted is handed to PAC's own queue, which starts it.
    draining: AtomicBool,
    starts: StartTraffic,
}

#[derive(Debug)]
struct State {
    repositories: HashMap<RepositoryKey, Arc<Mutex<RepositoryState>>>,
    // The repository each run, by its path, was last seen under: a run's annotation may change, and deletions don't have to name
    // it.
    homes: HashMap<Box<str>, RepositoryKey>,
    // The last readable word of the global Repository; `Missing` or `Unreadable` if there was none.
    global_limit: OwnLimit,
    // Repositories with runs that PAC's own queue may start.
    open_to_pacs_queue: BTreeSet<RepositoryKey>,
    // Runs that are no longer shown and, when they last were, said something of their wait; the latest first.
    left_noticed: VecDeque<(RepositoryKey, RunKey)>,
    // Whether the index holds all of the first full lists.
    is_complete: bool,
    // Whether the order that PAC writes for an event's runs reaches the runs; the gate `deny` refuses it.
    orders_come: bool,
}

// === impl OwnLimit ===

impl OwnLimit {
    /// The effective limit, where the global Repository says `global`. A Repository that can't be read must not lift a limit that
    /// it may have set.
    fn effective(self, global: Self) -> Limit {
        match (self, global) {
            (Self::Missing | Self::Unreadable, _) | (Self::Says(None), Self::Unreadable) => Limit::Unknown,
            (Self::Says(own), Self::Says(global)) => Limit::effective(own, global),
            (Self::Says(own), Self::Missing | Self::Unreadable) => Limit::effective(own, None),
        }
    }
}

// === impl Index ===

impl Index {
    /// An empty index. The limit of `global` applies where a Repository has none of its own.
    pub fn new(global: RepositoryKey) -> Self {
        Self {
            global,
            gate: None,
            state: Mutex::new(State::new(true)),
            paused: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            starts: StartTraffic::default(),
        }
    }

    /// An empty index for a watcher beside Pipelines-as-Code's own: in a Repository with a limit no run is admitted unless the
    /// gate holds.
    pub fn beside_pac(global: RepositoryKey, gate: Arc<Gate>) -> Self {
        let state = Mutex::new(State::new(gate.kind().keeps_orders()));
        Self { gate: Some(gate), state, ..Self::new(global) }
    }

    /// Takes in a version of a run; returns the repositories to look at: none if nothing that matters has changed.
    pub fn apply_run(&self, mut view: RunView) -> Vec<RepositoryKey> {
        let mut state = self.state();
        let repository = view.repository.clone();
        if state.repositories.get(&repository).is_some_and(|one| locked(one).shows(&mut view)) {
            return Vec::new();
        }
        let before = state.homes.insert(view.key.path().into(), repository.clone());
        let mut touched = vec![repository.clone()];
        if let Some(before) = before.filter(|before| *before != repository) {
            state.remove_run(&before, view.key.path());
            touched.push(before);
        }
        // A run that comes after the first full lists is new; a run of those lists is as old as its creation time says.
        let age = if state.is_complete { Duration::ZERO } else { age(view.created) };
        state.locked(&repository).apply_run(view, Instant::now(), age);
        state.note_pacs_queue(&repository);
        touched
    }

    /// Notes that the index holds all of the first full lists.
    pub fn note_complete(&self) {
        let mut state = self.state();
        state.is_complete = true;
        state.repositories.values().for_each(|one| locked(one).grandfather());
    }

    /// Notes that the watch shows a run no longer, for whatever reason; returns the repository to look at.
    pub fn remove_run(&self, path: &str) -> Option<RepositoryKey> {
        let mut state = self.state();
        let repository = state.homes.remove(path)?;
        if let Some(run) = state.remove_run(&repository, path) {
            state.left_noticed.truncate(LEFT_NOTICED - 1);
            state.left_noticed.push_front((repository.clone(), run));
        }
        Some(repository)
    }

    /// The paths (`namespace/name`) of all runs that the watch shows.
    pub fn run_paths(&self) -> HashSet<Box<str>> {
        self.state().homes.keys().cloned().collect()
    }

    /// Takes in what Repository `key` says now of its limit; returns the repositories to look at.
    pub fn apply_repository(&self, key: &RepositoryKey, own: OwnLimit) -> Vec<RepositoryKey> {
        let mut state = self.state();
        state.locked(key).own_limit = own;
        if *key != self.global {
            state.update_limit(key);
            return vec![key.clone()];
        }
        let global_limit = match (own, state.global_limit) {
            // An unreadable version doesn't take back what an earlier one said.
            (OwnLimit::Unreadable, before @ OwnLimit::Says(_)) => before,
            (own, _) => own,
        };
        let changed = state.global_limit != global_limit;
        state.global_limit = global_limit;
        let touched = if changed { state.repositories.keys().cloned().collect() } else { vec![key.clone()] };
        touched.iter().for_each(|key| state.update_limit(key));
        touched
    }

    /// The Repositories that exist.
    pub fn existing_repositories(&self) -> Vec<RepositoryKey> {
        let state = self.state();
        let exists = |own: OwnLimit| own != OwnLimit::Missing;
        state.repositories.iter().filter(|(_, one)| exists(locked(one).own_limit)).map(|(key, _)| key.clone()).collect()
    }

    /// Every repository of which anything is known.
    pub fn repositories(&self) -> Vec<RepositoryKey> {
        self.state().repositories.keys().cloned().collect()
    }

    /// Whether of each start that was sent it is known what became of it.
    pub fn all_starts_are_told(&self) -> bool {
        let (repositories, now) = (self.state().repositories.clone(), Instant::now());
        !repositories.values().any(|one| locked(one).awaits_starts(now))
    }

    /// The repository the run `path` (`namespace/name`) was last seen under.
    pub fn home(&self, path: &str) -> Option<RepositoryKey> {
        self.state().homes.get(path).cloned()
    }

    /// The repository of the run `path`, if the watch shows it with that uid.
    pub fn home_of(&self, path: &str, uid: Option<&str>) -> Option<RepositoryKey> {
        let state = self.state();
        let home = state.homes.get(path)?;
        let (_, name) = path.split_once('/')?;
        let is_the_same = |one: &Mutex<RepositoryState>| locked(one).uid_of(name).as_deref() == uid;
        state.repositories.get(home).is_some_and(|one| is_the_same(one)).then(|| home.clone())
    }

    /// The runs among `runs` that, as far as the watch shows, neither run nor could.
    pub(crate) fn without_run<'a>(&self, repository: &RepositoryKey, runs: &'a [RunKey]) -> Vec<&'a RunKey> {
        let known = self.state().repositories.get(repository).cloned();
        let is_alive = |run: &RunKey| known.as_ref().is_some_and(|one| locked(one).is_alive(run));
        runs.iter().filter(|run| !is_alive(run)).collect()
    }

    /// What people are shown of `repository`; none if nothing is known of it.
    pub fn shown(&self, repository: &RepositoryKey) -> Option<Shown> {
        let state = self.state().repositories.get(repository).cloned()?;
        let shown = locked(&state).shown(Instant::now());
        Some(shown)
    }

    /// Runs `look` on the state of `repository`.
    pub fn with<T>(&self, repository: &RepositoryKey, look: impl FnOnce(&mut RepositoryState) -> T) -> T {
        let state = self.state().entry(repository);
        let mut state = locked(&state);
        look(&mut state)
    }

    /// Runs `decide` on the state of `repository`, with the limit to admit by. The limit is looked up as late as possible,
    /// because it may be lowered while a snapshot is loaded.
    pub fn decide<T>(&self, repository: &RepositoryKey, decide: impl FnOnce(Limit, &mut RepositoryState) -> T) -> T {
        let limit = self.limit_now(repository);
        self.with(repository, |state| decide(limit, state))
    }

    /// What the watch shows of the run `path` (`namespace/name`) of `repository`, for a caller that doesn't know its uid.
    pub fn find(&self, repository: &RepositoryKey, path: &str) -> LegacyRun {
        match path.split_once('/') {
            Some((namespace, name)) if namespace == repository.namespace() => {
                self.with(repository, |state| state.find(name))
            }
            _ => LegacyRun::Ghost,
        }
    }

    /// The effective limit of `repository`, paused or not.
    pub fn limit(&self, repository: &RepositoryKey) -> Limit {
        let state = self.state();
        let own = state.repositories.get(repository).map_or(OwnLimit::Missing, |one| locked(one).own_limit);
        own.effective(state.global_limit)
    }

    /// The limit to admit by: `Unknown` while no run may be admitted.
    fn limit_now(&self, repository: &RepositoryKey) -> Limit {
        if self.is_paused() {
            return Limit::Unknown;
        }
        let state = self.state();
        let known = state.repositories.get(repository);
        let gate = self.gate.as_deref();
        known.map_or(Limit::Unknown, |one| locked(one).limit_at(Timestamp::now(), state.global_limit, gate))
    }

    /// The pause of `repository`, if one is in force.
    pub fn pause_now(&self, repository: &RepositoryKey) -> Option<Pause> {
        let state = self.state();
        let pause = locked(state.repositories.get(repository)?).metadata.pause.clone();
        pause.filter(|pause| pause.lasts_at(Timestamp::now()))
    }

    /// The uid of Repository `key`, if there is one.
    pub fn uid(&self, key: &RepositoryKey) -> Option<String> {
        let state = self.state();
        locked(state.repositories.get(key)?).metadata.uid.clone()
    }

    /// Takes in the metadata of Repository `key`; empty ones if there is no such Repository.
    pub fn note_repository(&self, key: &RepositoryKey, says: RepositoryMetadata) {
        self.state().locked(key).metadata = says;
    }

    /// Drops `repository` if nothing is known of it; returns whether that was so.
    pub fn drop_if_blank(&self, repository: &RepositoryKey) -> bool {
        let mut state = self.state();
        let blank = state.repositories.get(repository).is_none_or(|one| locked(one).is_blank());
        if blank {
            state.repositories.remove(repository);
        }
        blank
    }

    /// Forgets everything: the watches were stopped.
    pub fn clear(&self) {
        let mut state = self.state();
        *state = State::new(state.orders_come);
    }

    /// The tally of every repository of which anything is known, with its effective limit, paused or not.
    pub fn tallies(&self) -> BTreeMap<RepositoryKey, (Limit, Tally)> {
        let (repositories, global) = {
            let state = self.state();
            (state.repositories.clone(), state.global_limit)
        };
        let (now, all_paused) = (Instant::now(), self.is_paused());
        let told = |one: &RepositoryState| {
            let tally = one.tally(now);
            let tally = Tally { paused: tally.paused || all_paused, ..tally };
            (!one.is_blank()).then(|| (one.own_limit.effective(global), tally))
        };
        repositories.into_iter().filter_map(|(key, one)| Some((key, told(&locked(&one))?))).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn new(orders_come: bool) -> Self {
        Self {
            repositories: HashMap::new(),
            homes: HashMap::new(),
            global_limit: OwnLimit::Missing,
            open_to_pacs_queue: BTreeSet::new(),
            left_noticed: VecDeque::new(),
            is_complete: false,
            orders_come,
        }
    }

    fn remove_run(&mut self, repository: &RepositoryKey, path: &str) -> Option<RunKey> {
        let noticed = self.locked(repository).remove_run(path);
        self.note_pacs_queue(repository);
        noticed
    }

    /// Brings up to date whether PAC's own queue may start runs of `repository`.
    fn note_pacs_queue(&mut self, repository: &RepositoryKey) {
        let now = Instant::now();
        let may = self.repositories.get(repository).is_some_and(|one| !locked(one).open_to_pacs_queue(now).is_empty());
        if may {
            self.open_to_pacs_queue.insert(repository.clone());
        } else {
            self.open_to_pacs_queue.remove(repository);
        }
    }

    fn entry(&mut self, repository: &RepositoryKey) -> Arc<Mutex<RepositoryState>> {
        let orders_come = self.orders_come;
        let begin = || Arc::new(Mutex::new(RepositoryState::new(orders_come)));
        Arc::clone(self.repositories.entry(repository.clone()).or_insert_with(begin))
    }

    /// Tells the repository its effective limit, and counts the runs that are over it by the change.
    fn update_limit(&self, repository: &RepositoryKey) {
        let Some(one) = self.repositories.get(repository) else { return };
        let mut one = locked(one);
        let limit = one.own_limit.effective(self.global_limit);
        let drained = one.set_limit(limit);
        if self.is_complete {
            let named = (repository.namespace(), repository.name());
            per_repository::count(&catalogue::OVER_LIMIT_DRAINS, named, &[], drained as u64);
        }
    }

    fn locked(&mut self, repository: &RepositoryKey) -> MutexGuard<'_, RepositoryState> {
        let orders_come = self.orders_come;
        let begin = || Arc::new(Mutex::new(RepositoryState::new(orders_come)));
        let state = self.repositories.entry(repository.clone()).or_insert_with(begin);
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long ago the API server says a run was created, by this machine's clock. Only measurements depend on it (P9).
fn age(created: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(u64::try_from(created).unwrap_or_default()))
}

fn locked(state: &Mutex<RepositoryState>) -> MutexGuard<'_, RepositoryState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
