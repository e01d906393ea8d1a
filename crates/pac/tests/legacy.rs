//! What an earlier implementation left in PostgreSQL or etcd is taken over: slots, and the order, which need not be the one that
//! the cluster would suggest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devservers::etcd::Etcd;
use pac_devservers::postgres::Postgres;
use serde_json::{Value, json};
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

/// Makes a world with what was left in `old`, and the order in which it has to start.
fn left_behind(old: &Store, settings: &Value) -> (World, Vec<String>) {
    let world = World::new(settings);
    world.work(1, QUEUED, 3);
    let order: Vec<String> = (0..QUEUED).rev().map(|number| format!("run-{number:03}")).collect();
    match old {
        Store::Postgres(server) => left_in_postgresql(server, &runs_left(&order)),
        Store::Etcd(server) => left_in_etcd(server, &runs_left(&order)),
    }
    // When all that takes its time is done: they are to run still when the watchers look.
    for number in 0..3 {
        world.running(0, &format!("old-{number}"), Duration::from_secs(12));
    }
    (world, order)
}

fn all_start_in_order(world: &World, order: &[String]) {
    world.until_done(QUEUED + 3);
    assert_eq!(world.starts(), order, "P3");
    let verdict = world.verdict(Duration::ZERO);
    for promise in ["P1", "P2", "P4"] {
        assert!(verdict.promise(promise).is_some_and(|promise| promise.held), "{verdict:#?}");
    }
}

/// The old state is as it was, with a note beside it.
fn is_noted(old: &Store) {
    match old {
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
}

fn slots_and_order_are_taken_over_and_nobody_is_admitted_before(store: &Store) {
    let (world, order) = left_behind(store, &store.settings());
    // Two at once, as in a rolling update.
    let mut watchers = [world.watcher("one"), world.watcher("two")];
    all_start_in_order(&world, &order);
    let said = |log: String| log.contains("took over what an earlier version left");
    eventually("one of them says so", || watchers.iter().any(|watcher| said(watcher.log())));
    is_noted(store);
    watchers.iter_mut().for_each(support::Watcher::stop);
}

/// The settings of both, with the driver of the first.
fn both(first: &Store, second: &Store) -> Value {
    let mut settings = second.settings();
    settings.as_object_mut().unwrap().extend(first.settings().as_object().unwrap().clone());
    settings
}

fn what_is_left_on_the_other_drivers_server_is_taken_over(old: &Store, new: &Store) {
    let (world, order) = left_behind(old, &both(new, old));
    let mut watchers = [world.watcher("one"), world.watcher("two")];
    all_start_in_order(&world, &order);
    eventually("one of them says so", || {
        watchers
            .iter()
            .any(|watcher| watcher.log().contains("took over 3 slots") || watcher.log().contains("took over 2 slots"))
    });
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

#[test]
fn in_etcd_by_a_watcher_on_postgresql() {
    let (old, new) = (Store::etcd(), Store::postgresql());
    what_is_left_on_the_other_drivers_server_is_taken_over(&old, &new);
    is_noted(&old);
}

#[test]
fn in_postgresql_by_a_watcher_on_etcd() {
    what_is_left_on_the_other_drivers_server_is_taken_over(&Store::postgresql(), &Store::etcd());
}

#[test]
fn places_of_a_watcher_whose_driver_was_changed_while_it_was_down_are_kept() {
    let (old, new) = (Store::etcd(), Store::postgresql());
    let Store::Etcd(server) = &old else { unreachable!() };
    let world = World::by_hand(&old.settings());
    world.work(1, 4, 1);
    // Places that the cluster doesn't suggest.
    for run in ["run-003", "run-001", "run-002", "run-000"] {
        server.control(&["put", &format!("/pac/concurrency/team-0/repo-0/queue/team-0/{run}"), run]).unwrap();
    }
    let mut before = world.watcher("before");
    world.is_started(0, "run-003");
    before.stop();
    // What tells the places is in the records of the watcher alone now.
    server.control(&["del", "--prefix", "/pac/concurrency/team-0/"]).unwrap();
    world.settings(&both(&new, &old));
    let mut after = world.watcher("after");
    let said = "took over 1 slot and 3 waiting runs of 1 Repository from etcd";
    eventually(said, || after.log().contains(said));
    for run in ["run-003", "run-001", "run-002", "run-000"] {
        world.is_started(0, run);
        world.finish(0, run, true);
    }
    assert_eq!(world.starts(), ["run-003", "run-001", "run-002", "run-000"]);
    after.stop();
}

#[test]
fn a_former_server_that_is_away_keeps_nobody_waiting_and_is_named_with_the_command() {
    let store = Store::postgresql();
    let mut settings = store.settings();
    settings["etcd-endpoints"] = json!("127.0.0.1:1");
    let world = World::new(&settings);
    world.work(1, 3, 1);
    let mut watcher = world.watcher("watcher");
    world.until_done(3);
    let log = watcher.log();
    assert!(
        log.contains("pac-watcher migrate --from etcd --to postgresql") && log.contains("connection refused"),
        "{log}"
    );
    watcher.stop();
}

#[test]
fn a_repository_that_can_not_be_read_keeps_no_other_from_what_was_left() {
    let store = Store::etcd();
    let Store::Etcd(server) = &store else { unreachable!() };
    let world = World::new(&store.settings());
    world.work(2, 4, 1);
    let order = ["run-003", "run-001", "run-002", "run-000"];
    for repository in 0..2 {
        for run in order {
            let key = format!("/pac/concurrency/team-{repository}/repo-{repository}/queue/team-{repository}/{run}");
            server.control(&["put", &key, run]).unwrap();
        }
    }
    // Somebody deleted a part of a large change that was under way.
    let broken = "/pac/concurrency/v2/version/team-0/repo-0";
    server.control(&["put", broken, r#"{"by":"another","applying":{"id":"gone","chunks":1}}"#]).unwrap();
    let mut watcher = world.watcher("watcher");
    world.until_done(4);
    assert_eq!(world.starts(), order);
    let said = "what an earlier version left of team-0/repo-0 can't be taken over";
    assert_eq!(watcher.log().matches(said).count(), 1);
    watcher.stop();
}
