//! Plan and manager against a naive model: random commands, two watchers with stale views on one store, lost answers,
//! refusals, crashes. The model is the cluster itself; every start is checked when it happens, everything else at the end.
//!
//! `MODEL_SEED=N cargo test -p pac-concurrency --test model` repeats one sequence; the seed is printed when one fails.
//! `MODEL_SEEDS=N` tries as many.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use pac_concurrency::{
    Driver, Entry, Limit, Manager, ManagerOptions, Observation, OrderKey, RepositoryKey, RunKey, Scope, Seen, Window,
    plan,
};
use pac_driver_mem::MemDriver;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};

const STALL_AFTER: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Pending,
    Cancelled,
    Running,
    Done,
}

/// The cluster: what really is.
#[derive(Default)]
struct Cluster {
    runs: BTreeMap<RunKey, Phase>,
    created: i64,
    limit: Option<u32>,
    started: BTreeSet<RunKey>,
    // Once refused, a run may be passed.
    refused: BTreeSet<RunKey>,
    // Whose slot was given back, and who had a slot of another watcher's then.
    given_back: BTreeMap<RunKey, BTreeSet<RunKey>>,
    events: Vec<(RunKey, Option<Phase>)>,
}

/// One watcher: its manager, and how much of the cluster's history it has seen.
struct Watcher {
    manager: Manager,
    seen_events: usize,
    view: BTreeMap<RunKey, Phase>,
    over: BTreeSet<RunKey>,
    held_back: BTreeSet<RunKey>,
    unstarted: BTreeSet<RunKey>,
    departed: BTreeSet<RunKey>,
}

struct Simulation {
    cluster: Cluster,
    store: MemDriver,
    watchers: Vec<Watcher>,
    repository: RepositoryKey,
    random: StdRng,
}

fn entry(run: &RunKey) -> Entry {
    Entry::new(run.clone(), OrderKey::alone(run.uid().parse().unwrap()))
}

// === impl Cluster ===

impl Cluster {
    fn set(&mut self, run: &RunKey, phase: Option<Phase>) {
        match phase {
            Some(phase) => self.runs.insert(run.clone(), phase),
            None => self.runs.remove(run),
        };
        self.events.push((run.clone(), phase));
    }

    fn create(&mut self, name: &str) {
        self.created += 1;
        self.set(&RunKey::new("ns", name, &self.created.to_string()).unwrap(), Some(Phase::Pending));
    }

    fn with(&self, phase: Phase) -> Vec<RunKey> {
        self.runs.iter().filter(|(_, is)| **is == phase).map(|(run, _)| run.clone()).collect()
    }

    fn limit(&self) -> Limit {
        self.limit.map_or(Limit::Unlimited, |most| Limit::AtMost(NonZeroU32::new(most).unwrap()))
    }
}

// === impl Watcher ===

impl Watcher {
    async fn new(store: &MemDriver, cluster: &Cluster) -> Self {
        let options = ManagerOptions { window: 3, stall_after: STALL_AFTER, ..ManagerOptions::new("model") };
        let manager = Manager::new(std::sync::Arc::new(store.peer()), options);
        manager.keep_term().await.unwrap();
        Self {
            manager,
            seen_events: cluster.events.len(),
            view: cluster.runs.clone(),
            over: BTreeSet::new(),
            held_back: BTreeSet::new(),
            unstarted: BTreeSet::new(),
            departed: BTreeSet::new(),
        }
    }

    fn deliver(&mut self, cluster: &Cluster, most: usize) {
        for (run, phase) in cluster.events.iter().skip(self.seen_events).take(most) {
            self.seen_events += 1;
            match phase {
                Some(phase) => drop(self.view.insert(run.clone(), *phase)),
                None => drop(self.view.remove(run)),
            }
            if *phase != Some(Phase::Pending) {
                self.departed.insert(run.clone());
            }
        }
    }

    fn seen(&self, run: &RunKey) -> Seen {
        if self.over.contains(run) {
            return Seen::Over;
        }
        match self.view.get(run) {
            None => Seen::Missing,
            Some(Phase::Pending) if self.held_back.contains(run) => Seen::HeldBack,
            Some(Phase::Pending) if self.unstarted.contains(run) => Seen::Unstarted,
            Some(Phase::Pending) => Seen::Waiting,
            Some(Phase::Cancelled) => Seen::Withdrawn,
            Some(Phase::Running) => Seen::Running,
            Some(Phase::Done) => Seen::Over,
        }
    }

    fn entries(&self, wanted: &[Seen]) -> Vec<Entry> {
        self.view.keys().filter(|run| wanted.contains(&self.seen(run))).map(entry).collect()
    }
}

// === impl Simulation ===

impl Simulation {
    async fn new(seed: u64) -> Self {
        let (store, cluster) =
            (MemDriver::new(Duration::from_secs(3600)), Cluster { limit: Some(2), ..Cluster::default() });
        let watchers = vec![Watcher::new(&store, &cluster).await, Watcher::new(&store, &cluster).await];
        let repository = RepositoryKey::new("ns", "repo").unwrap();
        Self { cluster, store, watchers, repository, random: StdRng::seed_from_u64(seed) }
    }

    async fn step(&mut self) {
        let number = self.random.random_range(0..self.watchers.len());
        match self.random.random_range(0..100) {
            0..20 => {
                let name = format!("run-{}", self.cluster.created);
                self.cluster.create(&name);
            }
            20..35 => self.change(Phase::Running, Some(Phase::Done)),
            35..40 => self.change(Phase::Pending, Some(Phase::Cancelled)),
            40..43 => self.change(Phase::Done, None),
            43..46 => self.change(Phase::Pending, None),
            46..49 => self.recreate(),
            49..52 => self.cluster.limit = [None, Some(1), Some(2), Some(4)][self.random.random_range(0..4)],
            52..70 => {
                let most = self.random.random_range(0..6);
                self.watchers[number].deliver(&self.cluster, most);
            }
            70..95 => {
                let scope = if self.random.random_bool(0.2) { Scope::Whole } else { Scope::Head };
                self.pass(number, scope).await;
            }
            95..97 => self.replace(number).await,
            _ => {
                tokio::time::advance(STALL_AFTER / 2).await;
                self.watchers[number].held_back.clear();
                for watcher in &self.watchers {
                    watcher.manager.keep_term().await.unwrap();
                }
            }
        }
    }

    fn change(&mut self, from: Phase, to: Option<Phase>) {
        if let Some(run) = self.cluster.with(from).into_iter().choose(&mut self.random) {
            self.cluster.set(&run, to);
        }
    }

    /// A run is deleted and created again under its name at once.
    fn recreate(&mut self) {
        let runs: Vec<RunKey> = self.cluster.runs.keys().cloned().collect();
        if let Some(run) = runs.into_iter().choose(&mut self.random) {
            self.cluster.set(&run, None);
            self.cluster.create(run.name());
        }
    }

    /// A watcher dies, gracefully or not, and another begins with a full list.
    async fn replace(&mut self, number: usize) {
        if self.random.random_bool(0.5) {
            self.watchers[number].manager.end_term().await.unwrap();
        }
        self.watchers[number] = Watcher::new(&self.store, &self.cluster).await;
    }

    async fn pass(&mut self, number: usize, scope: Scope) {
        let watcher = &self.watchers[number];
        let limit = self.cluster.limit();
        let decide = |snapshot: &pac_concurrency::Snapshot, standings: &pac_concurrency::Standings<'_>| {
            plan(
                snapshot,
                &Observation {
                    limit,
                    running: watcher.entries(&[Seen::Running]),
                    waiting: watcher.entries(&[Seen::Waiting, Seen::Unstarted, Seen::HeldBack]),
                    departed: watcher.departed.iter().cloned().collect(),
                    unsettled_since: None,
                    seen: &|run| watcher.seen(run),
                    standing: &|slot| standings.of(slot),
                },
            )
        };
        let passed = watcher.manager.pass(&self.repository, scope, &decide).await.unwrap();
        self.watchers[number].unstarted.clear();
        self.note_given_back(number, &passed.plan.given_back).await;
        // What its former holder did to a run since it was refused to this watcher is not known.
        for entry in &passed.plan.claimed {
            self.watchers[number].held_back.remove(&entry.run);
        }
        for run in passed.plan.confirm {
            self.confirm(number, &run);
        }
        for run in passed.plan.surplus {
            match self.cluster.runs.get(&run) {
                Some(Phase::Pending) => drop(self.watchers[number].unstarted.insert(run)),
                Some(Phase::Running) => drop(self.watchers[number].view.insert(run, Phase::Running)),
                _ => self.confirm(number, &run),
            }
        }
        for run in passed.start {
            // A watcher may die between commit and start.
            if !self.random.random_bool(0.1) {
                self.start(number, &run).await;
            }
        }
    }

    async fn note_given_back(&mut self, number: usize, given_back: &[RunKey]) {
        let stored = self.store.load(&self.repository, Window::Whole).await.unwrap();
        let holder = self.watchers[number].manager.holder();
        let of_others = stored.slots.into_iter().filter(|(_, slot)| slot.holder != holder);
        let of_others: BTreeSet<RunKey> = of_others.map(|(run, _)| run).collect();
        for run in given_back {
            self.cluster.given_back.insert(run.clone(), of_others.clone());
        }
    }

    fn confirm(&mut self, number: usize, run: &RunKey) {
        let watcher = &mut self.watchers[number];
        match self.cluster.runs.get(run) {
            None | Some(Phase::Done | Phase::Cancelled) => drop(watcher.over.insert(run.clone())),
            Some(_) => {}
        }
    }

    async fn start(&mut self, number: usize, run: &RunKey) {
        if self.random.random_bool(0.05) {
            return; // The request was lost.
        }
        if self.cluster.runs.get(run) != Some(&Phase::Pending) {
            return self.confirm(number, run);
        }
        // Refused, and found still pending by a read.
        if self.random.random_bool(0.05) {
            self.cluster.refused.insert(run.clone());
            self.watchers[number].held_back.insert(run.clone());
            return;
        }
        self.check_start(run).await;
        self.cluster.set(run, Some(Phase::Running));
        // The answer may be lost, too: then the watcher learns of it by its watch alone.
        if self.random.random_bool(0.8) {
            self.watchers[number].view.insert(run.clone(), Phase::Running);
        }
    }

    async fn check_start(&mut self, run: &RunKey) {
        assert!(self.cluster.started.insert(run.clone()), "P2: {run:?} was started twice");
        let running = self.cluster.with(Phase::Running).len() + 1;
        if let Some(limit) = self.cluster.limit {
            assert!(running <= limit as usize, "P1: {running} run with a limit of {limit}");
        }
        let stored = self.store.load(&self.repository, Window::Whole).await.unwrap();
        assert!(stored.slots.contains_key(run), "P1: {run:?} was started without a slot");
        for older in self.cluster.with(Phase::Pending).iter().filter(|other| entry(other) < entry(run)) {
            // While two watchers act at once and the limit is lowered, each gives back the youngest of its own alone: a
            // younger one of the other's stays granted.
            let stayed = self.cluster.given_back.get(older).is_some_and(|of_others| of_others.contains(run));
            let excused = self.cluster.refused.contains(older) || stored.slots.contains_key(older) || stayed;
            assert!(excused, "P3: {run:?} passed {older:?}");
        }
    }

    /// With nothing further happening but runs that finish, all must come to an end.
    async fn drain(&mut self) {
        for _ in 0..400 {
            for number in 0..self.watchers.len() {
                self.watchers[number].held_back.clear();
                self.watchers[number].deliver(&self.cluster, usize::MAX);
                self.pass(number, Scope::Head).await;
            }
            for run in self.cluster.with(Phase::Running) {
                self.cluster.set(&run, Some(Phase::Done));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
            for watcher in &self.watchers {
                watcher.manager.keep_term().await.unwrap();
            }
            if self.cluster.with(Phase::Pending).is_empty() && self.is_store_empty().await {
                return;
            }
        }
        let left = self.store.load(&self.repository, Window::Whole).await.unwrap();
        panic!("P4, P5: still pending {:?}; left in the store {left:?}", self.cluster.with(Phase::Pending));
    }

    async fn is_store_empty(&self) -> bool {
        let stored = self.store.load(&self.repository, Window::Whole).await.unwrap();
        stored.slots.is_empty() && stored.waiting.is_empty()
    }
}

async fn run_sequence(seed: u64) {
    let mut simulation = Simulation::new(seed).await;
    for _ in 0..200 {
        simulation.step().await;
    }
    simulation.drain().await;
}

#[test]
fn random_commands_keep_the_promises() {
    let number = |variable| std::env::var(variable).ok().map(|number: String| number.parse::<u64>().unwrap());
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_SEEDS").unwrap_or(400),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run_sequence(seed))));
        if let Err(panic) = outcome {
            eprintln!("MODEL_SEED={seed} repeats this");
            std::panic::resume_unwind(panic);
        }
    }
}
