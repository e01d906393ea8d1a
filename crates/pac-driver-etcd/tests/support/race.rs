//! Managers that race for the slots of one repository, and what etcd itself has to say about it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use etcd_client::{Client, EventType, WatchOptions};
use pac_concurrency::{
    DriverError, Entry, Limit, Manager, ManagerOptions, Observation, OrderKey, OwnershipView, Plan, RepositoryKey,
    RunKey, RunState, Scope, Snapshot, plan,
};
use pac_driver_etcd::EtcdDriver;

pub(crate) const LIMIT: u32 = 3;

/// One repository, its runs as a cluster has them, and the order they were started in.
#[derive(Clone)]
pub(crate) struct Race {
    repository: RepositoryKey,
    runs: i64,
    cluster: Arc<Mutex<BTreeMap<RunKey, RunState>>>,
    started: Arc<Mutex<Vec<RunKey>>>,
}

// === impl Race ===

impl Race {
    pub(crate) fn new(repository: &str, runs: i64) -> Self {
        let cluster = (1..=runs).map(|number| (entry(number).run, RunState::Pending)).collect();
        let repository = repository.parse().unwrap();
        Self { repository, runs, cluster: Arc::new(Mutex::new(cluster)), started: Arc::default() }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.cluster.lock().unwrap().is_empty()
    }

    /// How many runs were started so far.
    pub(crate) fn started(&self) -> usize {
        self.started.lock().unwrap().len()
    }

    /// One of the managers: passes until no run is left, whatever becomes of the store meanwhile.
    pub(crate) async fn work(self, driver: EtcdDriver, name: String) {
        let manager = Manager::new(Arc::new(driver), ManagerOptions::new(name));
        while !self.is_over() {
            if manager.keep_term().await.is_err() {
                continue;
            }
            manager.invalidate(&self.repository);
            let deciding =
                |snapshot: &Snapshot, _: Scope, ownership: &OwnershipView<'_>| self.decide(snapshot, ownership);
            match manager.reconcile(&self.repository, Scope::Head, &deciding).await {
                Ok(passed) => self.run(passed.start).await,
                Err(DriverError::Rejected(fault) | DriverError::Corrupt(fault)) => panic!("{fault}"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn run(&self, start: Vec<RunKey>) {
        for run in start {
            {
                let mut cluster = self.cluster.lock().unwrap();
                // As the guarded patch does: whoever comes second finds it no longer pending.
                if cluster.get(&run) != Some(&RunState::Pending) {
                    continue;
                }
                cluster.insert(run.clone(), RunState::Running);
                let running = cluster.values().filter(|seen| **seen == RunState::Running).count();
                assert!(running <= LIMIT as usize, "P1: {running} running");
                self.started.lock().unwrap().push(run.clone());
            }
            // It runs for as long as it takes to tell the others.
            tokio::task::yield_now().await;
            self.cluster.lock().unwrap().remove(&run);
        }
    }

    fn decide(&self, snapshot: &Snapshot, ownership: &OwnershipView<'_>) -> Plan {
        let seen = self.cluster.lock().unwrap();
        let of = |wanted| {
            let entries = (1..=self.runs).map(entry);
            entries.filter(|entry| seen.get(&entry.run) == Some(&wanted)).collect()
        };
        plan(
            snapshot,
            &Observation {
                limit: Limit::AtMost(NonZeroU32::new(LIMIT).unwrap()),
                running: of(RunState::Running),
                waiting: of(RunState::Pending),
                moved: Vec::new(),
                departed: Vec::new(),
                settled: &|_| true,
                state: &|run| seen.get(run).copied().unwrap_or(RunState::Finished),
                ownership: &|slot| ownership.of(slot),
            },
        )
    }

    /// That every run was started once, in order, and that etcd never had more slots than the limit: by its own revisions.
    pub(crate) async fn judge(&self, client: &mut Client) {
        assert_eq!(self.started(), self.runs as usize, "P2, P4: each once");
        let history = history(client, &format!("/pac/concurrency/v2/slot/{}/", self.repository)).await;
        let most = history.iter().map(|state| state.slots).max().unwrap_or_default();
        assert!(most <= LIMIT as usize, "P1: {most} slots at once");
        let mut granted: BTreeSet<&str> = BTreeSet::new();
        for state in &history {
            // Those granted by one commit come at once; nobody passes one that is granted by a later one.
            granted.extend(state.came.iter().map(String::as_str));
            let behind = granted.iter().zip(1..).filter(|(key, number)| !key.contains(&name(*number))).count();
            assert_eq!(behind, 0, "P3: {granted:?}");
        }
        assert_eq!(granted.len(), self.runs as usize);
    }
}

/// How the slots were after one revision.
struct State {
    slots: usize,
    came: Vec<String>,
}

/// All states there ever were under `prefix`.
async fn history(client: &mut Client, prefix: &str) -> Vec<State> {
    // What is put now comes last.
    let end = format!("{prefix}end");
    client.put(end.as_str(), "", None).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let mut watch = client.watch(prefix, Some(options)).await.unwrap();
    let (mut held, mut states) = (BTreeSet::new(), BTreeMap::<i64, State>::new());
    while let Some(response) = watch.message().await.unwrap() {
        assert!(!response.canceled(), "{}", response.cancel_reason());
        for event in response.events() {
            let pair = event.kv().unwrap();
            let key = pair.key_str().unwrap().to_owned();
            if key == end {
                return states.into_values().collect();
            }
            let state = states.entry(pair.mod_revision()).or_insert(State { slots: 0, came: Vec::new() });
            if event.event_type() == EventType::Delete {
                held.remove(&key);
            } else if held.insert(key.clone()) {
                state.came.push(key);
            }
            state.slots = held.len();
        }
    }
    panic!("the watch ended")
}

fn name(number: i64) -> String {
    format!("run-{number:04}")
}

fn entry(number: i64) -> Entry {
    Entry::new(RunKey::new("ns", &name(number), "u").unwrap(), OrderKey::alone(number))
}
