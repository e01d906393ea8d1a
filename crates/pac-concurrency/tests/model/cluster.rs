//! The cluster of the model, and a watcher that sees it late.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use pac_concurrency::protocol::FORMER_START_LASTS;
use pac_concurrency::{Entry, Limit, Manager, ManagerOptions, OrderKey, RunKey, RunState};
use pac_driver_mem::MemDriver;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Cancelled,
    Running,
    Done,
}

/// The cluster: what really is.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) runs: BTreeMap<RunKey, Phase>,
    pub(crate) created: i64,
    pub(crate) limit: Option<u32>,
    pub(crate) limit_changes: u32,
    pub(crate) started: BTreeSet<RunKey>,
    // Once refused, a run may be passed.
    pub(crate) refused: BTreeSet<RunKey>,
    // Whose slot was given back, and who had a slot of another watcher's then, or was being started.
    pub(crate) given_back: BTreeMap<RunKey, BTreeSet<RunKey>>,
    // Started, or on their way to be, when the store lost its last commits: they run without a slot until it is told again.
    pub(crate) lost: BTreeSet<RunKey>,
    pub(crate) events: Vec<(RunKey, Option<Phase>)>,
}

/// One watcher: its manager, and how much of the cluster's history it has seen.
pub(crate) struct Watcher {
    pub(crate) manager: Manager,
    pub(crate) seen_events: usize,
    pub(crate) view: BTreeMap<RunKey, Phase>,
    pub(crate) over: BTreeSet<RunKey>,
    pub(crate) held_back: BTreeSet<RunKey>,
    pub(crate) unstarted: BTreeSet<RunKey>,
    pub(crate) departed: BTreeSet<RunKey>,
    // A start is on its way, or nobody knows whether it took effect.
    pub(crate) starting: BTreeSet<RunKey>,
    // Whose slots were claimed, and when: a start of the former holder may still be on its way.
    pub(crate) claimed: BTreeMap<RunKey, Instant>,
}

pub(crate) fn entry(run: &RunKey) -> Entry {
    Entry::new(run.clone(), OrderKey::alone(run.uid().parse().unwrap()))
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn set(&mut self, run: &RunKey, phase: Option<Phase>) {
        match phase {
            Some(phase) => self.runs.insert(run.clone(), phase),
            None => self.runs.remove(run),
        };
        self.events.push((run.clone(), phase));
    }

    pub(crate) fn create(&mut self, name: &str) {
        self.created += 1;
        self.set(&RunKey::new("ns", name, &self.created.to_string()).unwrap(), Some(Phase::Pending));
    }

    pub(crate) fn with(&self, phase: Phase) -> Vec<RunKey> {
        self.runs.iter().filter(|(_, is)| **is == phase).map(|(run, _)| run.clone()).collect()
    }

    pub(crate) fn limit(&self) -> Limit {
        self.limit.map_or(Limit::Unlimited, |most| Limit::AtMost(NonZeroU32::new(most).unwrap()))
    }
}

// === impl Watcher ===

impl Watcher {
    pub(crate) async fn new(store: &MemDriver, cluster: &Cluster) -> Self {
        let options = ManagerOptions { window: 3, ..ManagerOptions::new("model") };
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
            starting: BTreeSet::new(),
            claimed: BTreeMap::new(),
        }
    }

    pub(crate) fn deliver(&mut self, cluster: &Cluster, most: usize) {
        for (run, phase) in cluster.events.iter().skip(self.seen_events).take(most) {
            self.seen_events += 1;
            match phase {
                Some(phase) => drop(self.view.insert(run.clone(), *phase)),
                None => drop(self.view.remove(run)),
            }
            if *phase != Some(Phase::Pending) {
                self.departed.insert(run.clone());
                self.starting.remove(run);
            }
        }
    }

    pub(crate) fn seen(&self, run: &RunKey) -> RunState {
        if self.over.contains(run) {
            return RunState::Finished;
        }
        match self.view.get(run) {
            None => RunState::NotCached,
            Some(Phase::Pending) if self.starting.contains(run) => RunState::Starting,
            Some(Phase::Pending) if self.held_back.contains(run) => RunState::BackingOff,
            Some(Phase::Pending) if self.unstarted.contains(run) => RunState::ConfirmedPending,
            Some(Phase::Pending) => RunState::Pending,
            Some(Phase::Cancelled) => RunState::Cancelled,
            Some(Phase::Running) => RunState::Running,
            Some(Phase::Done) => RunState::Finished,
        }
    }

    pub(crate) fn another_may_start(&self, run: &RunKey) -> bool {
        self.claimed.get(run).is_some_and(|claimed| claimed.elapsed() < FORMER_START_LASTS)
    }

    pub(crate) fn entries(&self, wanted: &[RunState]) -> Vec<Entry> {
        self.view.keys().filter(|run| wanted.contains(&self.seen(run))).map(entry).collect()
    }
}
