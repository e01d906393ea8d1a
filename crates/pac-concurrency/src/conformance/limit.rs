//! Races: many at one repository.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use futures::future::join_all;

use super::{Suite, assert_stored, enqueue, entries, hold, load};
use crate::{
    DriverError, Limit, Manager, ManagerOptions, Observation, OwnershipView, RunKey, RunState, Scope, Snapshot,
    Version, plan,
};

const LIMIT: u32 = 3;
const RUNS: i64 = 40;

/// The runs as a cluster would have them: none there is over.
type Cluster = Arc<Mutex<BTreeMap<RunKey, RunState>>>;

fn decide(cluster: &Cluster, snapshot: &Snapshot, ownership: &OwnershipView<'_>) -> crate::Plan {
    let seen = cluster.lock().unwrap();
    let all: BTreeMap<RunKey, crate::Entry> =
        entries(1..=RUNS).into_iter().map(|entry| (entry.run.clone(), entry)).collect();
    let of = |wanted| seen.iter().filter(move |(_, seen)| **seen == wanted).map(|(run, _)| all[run].clone()).collect();
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

pub(super) async fn racing_managers_stay_within_the_limit(suite: Suite) {
    let repository = suite.repository();
    let cluster: Cluster =
        Arc::new(Mutex::new(entries(1..=RUNS).into_iter().map(|e| (e.run, RunState::Pending)).collect()));
    let started = Arc::new(Mutex::new(Vec::new()));
    let racers = suite.drivers.iter().cloned().enumerate().map(|(number, driver)| {
        let (repository, cluster, started) = (repository.clone(), Arc::clone(&cluster), Arc::clone(&started));
        tokio::spawn(async move {
            let manager = Manager::new(driver, ManagerOptions::new(format!("racer-{number}")));
            while !cluster.lock().unwrap().is_empty() {
                // However long the race takes, nobody in it is to lose its lease; and a store in memory never yields.
                let kept = manager.keep_term().await;
                tokio::task::yield_now().await;
                match kept {
                    Ok(_) => manager.invalidate(&repository),
                    // Renewals of so many at once may keep one another from being serialized.
                    Err(DriverError::Unavailable(_)) => continue,
                    Err(error) => panic!("{error}"),
                }
                let deciding = |snapshot: &Snapshot, _: Scope, ownership: &OwnershipView<'_>| {
                    assert!(snapshot.slots.len() <= LIMIT as usize, "P1: {} slots", snapshot.slots.len());
                    decide(&cluster, snapshot, ownership)
                };
                match manager.reconcile(&repository, Scope::Head, &deciding).await {
                    Ok(passed) => {
                        for run in passed.start {
                            run_once(&cluster, &started, run).await;
                        }
                    }
                    // So many at once that none got through in time, or the machine so busy that a lease is no longer
                    // trusted: the next pass does, after the next renewal.
                    Err(DriverError::Conflict | DriverError::Unavailable(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    join_all(racers).await.into_iter().for_each(|racer| racer.unwrap());
    let started = started.lock().unwrap().clone();
    assert_eq!(started.iter().collect::<BTreeSet<_>>().len(), RUNS as usize, "P4: all ran");
    assert_eq!(started.len(), RUNS as usize, "P2: each once");
}

async fn run_once(cluster: &Cluster, started: &Mutex<Vec<RunKey>>, run: RunKey) {
    {
        let mut cluster = cluster.lock().unwrap();
        // As the guarded patch does: whoever comes second finds it no longer pending.
        if cluster.get(&run) != Some(&RunState::Pending) {
            return;
        }
        cluster.insert(run.clone(), RunState::Running);
        let running = cluster.values().filter(|seen| **seen == RunState::Running).count();
        assert!(running <= LIMIT as usize, "P1: {running} running");
        started.lock().unwrap().push(run.clone());
    }
    tokio::task::yield_now().await;
    cluster.lock().unwrap().remove(&run);
}

pub(super) async fn racing_commits_have_one_winner(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let mut version = suite.one().commit(&repository, Version::NONE, &holder, &enqueue(1..=5)).await.unwrap();
    for round in 0..10 {
        let commits = suite.drivers.iter().enumerate().map(|(number, driver)| {
            let (repository, holder) = (&repository, &holder);
            let delta = hold([1000 + round * 100 + number as i64]);
            async move { driver.commit(repository, version, holder, &delta).await }
        });
        let outcomes = join_all(commits).await;
        let won: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        version = *won[0];
        for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(lost, DriverError::Conflict), "{lost:?}");
        }
        assert_eq!(load(suite.one(), &repository).await.slots.len(), 1);
        let slot = load(suite.other(), &repository).await.slots.into_keys().next().unwrap();
        let delta = crate::Delta { release: vec![slot], ..crate::Delta::default() };
        version = suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    }
    assert_stored(suite.one(), &repository, &[], &[1, 2, 3, 4, 5]).await;
}
