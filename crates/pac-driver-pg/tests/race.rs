//! Many managers on one repository, judged by the database itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use pac_concurrency::{
    DriverError, Entry, Limit, Manager, ManagerOptions, Observation, OrderKey, OwnershipView, Plan, RepositoryKey,
    RunKey, RunState, Scope, Snapshot, plan,
};

use crate::support::Server;

const LIMIT: u32 = 3;
const MANAGERS: usize = 8;
const RUNS: i64 = 200;

/// Every change of slots, as the database has it: how many the repository has when the change is committed, and who came.
const HISTORY: &str = "
    CREATE TABLE public.history (id bigserial, repository text, slots bigint, run text);
    GRANT ALL ON public.history, public.history_id_seq TO pac_user;
    CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.history (repository, slots, run)
        SELECT NEW.repository, count(*), NEW.run_name FROM pac_concurrency.slots WHERE repository = NEW.repository;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER note AFTER INSERT ON pac_concurrency.slots DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION public.note();";

/// The runs of one round, as a cluster has them.
type Cluster = Arc<Mutex<BTreeMap<RunKey, RunState>>>;

fn entry(number: i64) -> Entry {
    Entry::new(RunKey::new("ns", &format!("run-{number:04}"), "u").unwrap(), OrderKey::alone(number))
}

fn decide(cluster: &Cluster, snapshot: &Snapshot, ownership: &OwnershipView<'_>) -> Plan {
    let seen = cluster.lock().unwrap();
    let of = |wanted| {
        let entries = (1..=RUNS).map(entry);
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

/// One of the managers: passes until no run is left.
async fn work(manager: Arc<Manager>, repository: RepositoryKey, cluster: Cluster, started: Arc<Mutex<Vec<RunKey>>>) {
    while !cluster.lock().unwrap().is_empty() {
        manager.keep_term().await.unwrap();
        manager.invalidate(&repository);
        let deciding =
            |snapshot: &Snapshot, _: Scope, ownership: &OwnershipView<'_>| decide(&cluster, snapshot, ownership);
        let start = match manager.reconcile(&repository, Scope::Head, &deciding).await {
            Ok(passed) => passed.start,
            Err(DriverError::Conflict) => continue,
            Err(error) => panic!("{error}"),
        };
        for run in start {
            if cluster.lock().unwrap().insert(run.clone(), RunState::Running) == Some(RunState::Pending) {
                started.lock().unwrap().push(run.clone());
                // It runs for as long as it takes to tell the others.
                tokio::task::yield_now().await;
            }
            cluster.lock().unwrap().remove(&run);
        }
    }
}

/// Rounds of the race: as many as `RACE_ROUNDS` says, or few enough for every test run.
fn rounds() -> usize {
    std::env::var("RACE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_managers_keep_the_limit_and_the_order() {
    let server = Server::start();
    server.connect().await;
    server.ask(HISTORY);
    let mut managers = Vec::new();
    for number in 0..MANAGERS {
        let driver = Arc::new(server.connect().await);
        managers.push(Arc::new(Manager::new(driver, ManagerOptions::new(format!("racer-{number}")))));
    }
    for round in 0..rounds() {
        let repository: RepositoryKey = format!("ns/round-{round}").parse().unwrap();
        let cluster: Cluster = Arc::new(Mutex::new((1..=RUNS).map(|n| (entry(n).run, RunState::Pending)).collect()));
        let started = Arc::new(Mutex::new(Vec::new()));
        let work = managers.iter().map(|manager| {
            tokio::spawn(work(Arc::clone(manager), repository.clone(), Arc::clone(&cluster), Arc::clone(&started)))
        });
        join_all(work).await.into_iter().for_each(|worker| worker.unwrap());
        assert_eq!(started.lock().unwrap().len(), RUNS as usize, "P2, P4: each once");
        let ask = |what: &str| server.ask(&format!("SELECT {what} FROM history WHERE repository = '{repository}'"));
        assert_eq!(ask("max(slots) <= 3 AND count(DISTINCT run) = 200"), "t", "P1: {}", ask("max(slots)"));
        // Those granted by one commit come in any order; nobody passes one that was granted by a later one.
        let granted = ask("string_agg(run, ' ' ORDER BY id)");
        let granted: Vec<i64> = granted.split(' ').map(|run| run["run-".len()..].parse().unwrap()).collect();
        let mut first: BTreeMap<i64, usize> = BTreeMap::new();
        for (at, run) in granted.iter().enumerate() {
            first.entry(*run).or_insert(at);
        }
        let out_of_place =
            first.iter().filter(|(run, at)| (**run - 1).abs_diff(**at as i64) >= u64::from(LIMIT)).count();
        assert_eq!(out_of_place, 0, "P3: {granted:?}");
    }
    let log = server.postgres.log();
    assert!(!log.contains("ERROR"), "{log}");
}
