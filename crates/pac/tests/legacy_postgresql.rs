//! What an earlier implementation left in PostgreSQL is taken over: slots, and the order, which need not be the one that
//! the cluster would suggest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devservers::postgres::{PASSWORD, Postgres};
use serde_json::json;
use support::{World, eventually};

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

fn left(server: &Postgres, runs: &[(String, &str, &str)]) {
    server.administer_in("pac_concurrency", TABLE).unwrap();
    for (number, (run, state, expires)) in runs.iter().enumerate() {
        let row = format!(
            "INSERT INTO public.concurrency_slots (repository_key, pipeline_run_key, state, expires_at, created_at)
             VALUES ('team-0/repo-0', 'team-0/{run}', '{state}', {expires}, now() + interval '{number} seconds')"
        );
        server.administer_in("pac_concurrency", &row).unwrap();
    }
}

#[test]
fn slots_and_order_are_taken_over_and_nobody_is_admitted_before() {
    let server = Postgres::start().unwrap();
    let world = World::new(&json!({
        "concurrency-driver": "postgresql",
        "postgresql-host": "127.0.0.1",
        "postgresql-port": server.port().to_string(),
        "postgresql-ssl-mode": "disable",
        "postgresql-password": PASSWORD,
    }));
    world.work(1, QUEUED, 3);
    for number in 0..3 {
        world.running(0, &format!("old-{number}"), Duration::from_secs(4));
    }
    // The order that was left is the reverse of the one that the cluster suggests; ghosts are among them.
    let order: Vec<String> = (0..QUEUED).rev().map(|number| format!("run-{number:03}")).collect();
    let mut rows: Vec<(String, &str, &str)> = Vec::new();
    rows.extend(["old-0", "old-1"].map(|run| (run.to_owned(), "running", "now() + interval '1 hour'")));
    rows.push(("old-2".to_owned(), "running", "now() - interval '1 hour'"));
    for (number, run) in order.iter().enumerate() {
        rows.push((format!("ghost-{number}"), if number % 2 == 0 { "queued" } else { "running" }, "NULL"));
        rows.push((run.clone(), "queued", "NULL"));
    }
    left(&server, &rows);
    // Two at once, as in a rolling update.
    let mut watchers = [world.watcher("one"), world.watcher("two")];
    world.until_done(QUEUED + 3);
    assert_eq!(world.starts(), order, "P3");
    let verdict = world.verdict(Duration::ZERO);
    assert!(verdict.promise("P1").is_some_and(|promise| promise.held), "{verdict:#?}");
    assert!(verdict.promise("P4").is_some_and(|promise| promise.held), "{verdict:#?}");
    let kept = server.administer_in("pac_concurrency", "SELECT count(*) FROM public.concurrency_slots").unwrap();
    assert_eq!(kept, rows.len().to_string());
    let note = "SELECT slots || ' ' || waiting || ' ' || ghosts FROM pac_concurrency.legacy";
    assert_eq!(server.administer_in("pac_concurrency", note).unwrap(), format!("3 {QUEUED} {QUEUED}"));
    let said = |log: String| log.contains("took over what an earlier version left");
    eventually("one of them says so", || watchers.iter().any(|watcher| said(watcher.log())));
    watchers.iter_mut().for_each(support::Watcher::stop);
}
