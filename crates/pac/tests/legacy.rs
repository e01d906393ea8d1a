//! What an earlier implementation left in PostgreSQL or etcd is taken over: slots, and the order, which need not be the one that
//! the cluster would suggest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devservers::etcd::Etcd;
use pac_devservers::postgres::Postgres;
use support::{Store, World, eventually};

const TABLE: &str = "
    CREATE TABLE public.concurrency_slots (
        id SERIAL PRIMARY KEY,
        repository_key VARCHAR(255) NOT NULL,
        pipeline_run_key VARCHAR(255) NOT NULL,
        state VARCHAR(50) NOT NULL,
        acquired_at TIMESTAMPTZ DEFAULT NOW(),
        expires_at TIMESTAMPTZ,
        created_at TIMESTAMPTZ DEFAULT NOW(),
        updated_at TIMESTAMPTZ DEFAULT NOW()
    );
    ALTER TABLE public.concurrency_slots OWNER TO pac_user;";

const QUEUED: usize = 20;

/// What is left of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Running,
    /// A slot that ran out.
    Lapsed,
    Queued,
}

fn left_in_postgresql(server: &Postgres, runs: &[(String, Left)]) {
    server.administer_in("pac_concurrency", TABLE).unwrap();
    for (number, (run, left)) in runs.iter().enumerate() {
        let (state, expires) = match left {
            Left::Running => ("running", "now() + interval '1 hour'"),
            Left::Lapsed => ("running", "now() - interval '1 hour'"),
            Left::Queued => ("queued", "NULL"),
        };
        let row = format!(
            "INSERT INTO public.concurrency_slots (repository_key, pipeline_run_key, state, expires_at, created_at)
             VALUES ('team-0/repo-0', 'team-0/{run}', '{state}', {expires}, now() + interval '{number} seconds')"
        );
        server.administer_in("pac_concurrency", &row).unwrap();
    }
}

fn left_in_etcd(server: &Etcd, runs: &[(String, Left)]) {
    for (run, left) in runs {
        let key = match left {
            Left::Running => format!("/pac/leases/team-0/repo-0/team-0/{run}"),
            Left::Queued => format!("/pac/concurrency/team-0/repo-0/queue/team-0/{run}"),
            // etcd deletes what runs out.
            Left::Lapsed => continue,
        };
        server.control(&["put", &key, &format!("team-0/{run}")]).unwrap();
    }
}

/// Three that run, one of them with a slot that ran out; those that wait, in the reverse of the order that the cluster
/// suggests; and ghosts between them.
fn runs_left(order: &[String]) -> Vec<(String, Left)> {
    let mut runs = vec![
        ("old-0".to_owned(), Left::Running),
        ("old-1".to_owned(), Left::Running),
        ("old-2".to_owned(), Left::Lapsed),
    ];
    for (number, run) in order.iter().enumerate() {
        runs.push((format!("ghost-{number}"), if number % 2 == 0 { Left::Queued } else { Left::Running }));
        runs.push((run.clone(), Left::Queued));
    }
    runs
}

fn slots_and_order_are_taken_over_and_nobody_is_admitted_before(store: &Store) {
    let world = World::new(&store.settings());
    world.work(1, QUEUED, 3);
    let order: Vec<String> = (0..QUEUED).rev().map(|number| format!("run-{number:03}")).collect();
    match store {
        Store::Postgres(server) => left_in_postgresql(server, &runs_left(&order)),
        Store::Etcd(server) => left_in_etcd(server, &runs_left(&order)),
    }
    // When all that takes its time is done: they are to run still when the watchers look.
    for number in 0..3 {
        world.running(0, &format!("old-{number}"), Duration::from_secs(4));
    }
    // Two at once, as in a rolling update.
    let mut watchers = [world.watcher("one"), world.watcher("two")];
    world.until_done(QUEUED + 3);
    assert_eq!(world.starts(), order, "P3");
    let verdict = world.verdict(Duration::ZERO);
    for promise in ["P1", "P2", "P4"] {
        assert!(verdict.promise(promise).is_some_and(|promise| promise.held), "{verdict:#?}");
    }
    let said = |log: String| log.contains("took over what an earlier version left");
    eventually("one of them says so", || watchers.iter().any(|watcher| said(watcher.log())));
    // The old state is as it was, with a note beside it.
    match store {
        Store::Postgres(server) => {
            let ask = |statement: &str| server.administer_in("pac_concurrency", statement).unwrap();
            assert_eq!(ask("SELECT count(*) FROM public.concurrency_slots"), (3 + 2 * QUEUED).to_string());
            let note = "SELECT slots || ' ' || waiting || ' ' || ghosts FROM pac_concurrency.legacy";
            assert_eq!(ask(note), format!("3 {QUEUED} {QUEUED}"));
        }
        Store::Etcd(server) => {
            let keys = |prefix: &str| server.control(&["get", "--prefix", "--keys-only", prefix]).unwrap();
            let left = keys("/pac/leases/").matches("team-0/repo-0").count()
                + keys("/pac/concurrency/team-0/").matches("repo-0").count();
            assert_eq!(left, 2 + 2 * QUEUED);
            let note = server.control(&["get", "--print-value-only", "/pac/concurrency/v2/legacy"]).unwrap();
            assert_eq!(note, format!("{{\"slots\":2,\"waiting\":{QUEUED},\"ghosts\":{QUEUED}}}"));
        }
    }
    watchers.iter_mut().for_each(support::Watcher::stop);
}

#[test]
fn postgresql() {
    slots_and_order_are_taken_over_and_nobody_is_admitted_before(&Store::postgresql());
}

#[test]
fn etcd() {
    slots_and_order_are_taken_over_and_nobody_is_admitted_before(&Store::etcd());
}
