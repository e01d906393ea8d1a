//! The schema: made once by any number of watchers, upgraded, refused when too new, and no larger after much work.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use futures::future::join_all;
use pac_concurrency::{Delta, Driver, Entry, Holder, OrderKey, RepositoryKey, RunKey, Version, Window};
use pac_config::PostgreSqlSettings;
use pac_devservers::postgres::PASSWORD;
use pac_driver_pg::PgDriver;

use crate::support::{Server, refused};

fn entry(number: i64) -> Entry {
    Entry::new(RunKey::new("ns", &format!("run-{number}"), &format!("uid-{number}")).unwrap(), OrderKey::alone(number))
}

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_watchers_start_at_once_on_an_empty_database() {
    let server = Server::start();
    let settings = server.settings();
    let started = join_all((0..20).map(|_| PgDriver::connect(&settings))).await;
    assert!(started.iter().all(Result::is_ok), "{started:?}");
    assert_eq!(server.ask("SELECT array_agg(version) FROM pac_concurrency.migrations"), "{1,2,3}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_newer_than_the_program_stops_it_and_says_so() {
    let server = Server::start();
    server.connect().await;
    server.ask("INSERT INTO pac_concurrency.migrations (version) VALUES (99)");
    let (kind, text) = refused(&server.settings()).await;
    assert_eq!(kind, "rejected");
    assert!(text.contains("version 99") && text.contains("run the newer program"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_upgrade_is_told_who_may() {
    let server = Server::start();
    server.connect().await;
    server.ask("DELETE FROM pac_concurrency.migrations WHERE version = 3");
    server.ask(&format!(
        "CREATE USER least WITH PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA pac_concurrency TO least;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pac_concurrency TO least"
    ));
    let (kind, text) = refused(&PostgreSqlSettings { username: "least".into(), ..server.settings() }).await;
    assert_eq!(kind, "rejected");
    assert!(text.contains("is of version 2") && text.contains("of the schema's owner"), "{text}");
    assert!(!text.contains("GRANT"), "none helps: {text}");
    server.connect().await;
    PgDriver::connect(&PostgreSqlSettings { username: "least".into(), ..server.settings() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_cut_off_is_done_again() {
    let server = Server::start();
    // What a first migration leaves that came as far as its schema: each is one transaction.
    server.ask("CREATE SCHEMA pac_concurrency AUTHORIZATION pac_user");
    server.connect().await.check().await.unwrap();
    assert_eq!(server.ask("SELECT count(*) FROM pac_concurrency.repositories"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_frozen_in_its_migration_is_not_waited_for_in_silence() {
    let server = Server::start();
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").user("pac_user").password(PASSWORD).dbname("pac_concurrency");
    config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.postgres.port())).await.unwrap();
    let (frozen, connection) = config.connect_raw(stream, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    frozen.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7226083011)").await.unwrap();
    let settings = PostgreSqlSettings { connection_timeout: Duration::from_millis(500), ..server.settings() };
    let (kind, text) = refused(&settings).await;
    assert_eq!(kind, "unavailable");
    assert!(text.contains("for another session to bring schema pac_concurrency"), "{text}");
    drop(frozen);
    connection.await.unwrap().unwrap();
    PgDriver::connect(&settings).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_back_where_they_were_after_ten_thousand_runs() {
    let server = Server::start();
    let driver = server.connect().await;
    let (repository, holder) = (repository(), Holder::new("watcher"));
    driver.begin(&holder).await.unwrap();
    let mut version = Version::NONE;
    for batch in 0..100 {
        let entries: Vec<Entry> = (0..100).map(|number| entry(batch * 100 + number)).collect();
        let enqueue = Delta { enqueue: entries.clone(), ..Delta::default() };
        let hold = Delta { hold: entries.clone(), ..Delta::default() };
        let release = Delta { release: entries.into_iter().map(|entry| entry.run).collect(), ..Delta::default() };
        for delta in [enqueue, hold, release] {
            version = driver.commit(&repository, version, &holder, &delta).await.unwrap();
        }
    }
    let count = "SELECT (SELECT count(*) FROM pac_concurrency.slots) || ' ' || (SELECT count(*) FROM pac_concurrency.waiting) \
        || ' ' || (SELECT waiting_count FROM pac_concurrency.repositories)";
    assert_eq!(server.ask(count), "0 0 0");
    driver.forget(&repository, version).await.unwrap();
    driver.end(&holder).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM pac_concurrency.repositories) || ' ' || (SELECT count(*) FROM pac_concurrency.leases)";
    assert_eq!(server.ask(left), "0 0");
    let log = server.postgres.log();
    assert!(!log.contains("ERROR") && !log.contains("WARNING"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_long_queue_is_found_by_the_index() {
    let server = Server::start();
    let driver = server.connect().await;
    server.ask(
        "INSERT INTO pac_concurrency.repositories VALUES ('ns/repo', 7, 100000);
         INSERT INTO pac_concurrency.waiting (repository, run_namespace, run_name, run_uid, event_created, position, created)
         SELECT 'ns/repo', 'ns', 'run-' || n, 'uid-' || n, 200000 - n, 0, n FROM generate_series(1, 100000) n;
         ANALYZE pac_concurrency.waiting",
    );
    let plan = server.ask(
        "EXPLAIN SELECT run_name FROM pac_concurrency.waiting WHERE repository = 'ns/repo'
         ORDER BY repository, event_created, position, created, run_namespace, run_name, run_uid LIMIT 10",
    );
    assert!(plan.contains("waiting_in_order") && !plan.contains("Sort"), "{plan}");
    let snapshot = driver.load(&repository(), Window::First(10)).await.unwrap();
    let names: Vec<&str> = snapshot.waiting.iter().map(|entry| entry.run.name()).collect();
    assert_eq!((names[0], names.len(), snapshot.waiting_count), ("run-100000", 10, 100_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_nobody_can_read_are_reported_and_stop_nothing() {
    let server = Server::start();
    let driver = server.connect().await;
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    let delta = Delta { enqueue: vec![entry(1)], ..Delta::default() };
    driver.commit(&repository(), Version::NONE, &holder, &delta).await.unwrap();
    let row = "(repository, run_namespace, run_name, run_uid, event_created, position, created";
    server.ask(&format!(
        "INSERT INTO pac_concurrency.waiting {row}) VALUES ('ns/repo', 'NS', 'a/b', '', 0, 0, 0);
         INSERT INTO pac_concurrency.waiting {row}) VALUES ('ns/repo', 'ns', 'late', 'u', 0, -1, 0);
         INSERT INTO pac_concurrency.slots {row}, holder) VALUES ('ns/repo', 'ns', 'held', 'u', 0, 0, 0, 'no holder');
         INSERT INTO pac_concurrency.repositories VALUES ('no repository', 5, 0)"
    ));
    let snapshot = driver.load(&repository(), Window::Whole).await.unwrap();
    assert_eq!(snapshot.waiting.iter().map(|entry| entry.run.name()).collect::<Vec<_>>(), ["run-1"]);
    let places: Vec<&str> = snapshot.corrupt.iter().map(|corrupt| corrupt.place.as_str()).collect();
    assert_eq!(places.len(), 3, "{places:?}");
    assert!(places.iter().any(|place| place.contains("pac_concurrency.slots") && place.contains("held")), "{places:?}");
    let repositories = driver.repositories().await.unwrap();
    assert_eq!((repositories.keys.len(), repositories.corrupt.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_cancelled_or_blocked_ends_in_time() {
    let server = Server::start();
    let driver = server.connect().await;
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    let version = driver.commit(&repository(), Version::NONE, &holder, &Delta::default()).await.unwrap();
    // Somebody's psql that forgot to commit.
    let port = server.postgres.port().to_string();
    let blocker = std::process::Command::new("psql")
        .args(["-h", "127.0.0.1", "-p", &port, "-U", "pac_user", "-d", "pac_concurrency"])
        // Sleeps until it is terminated below.
        .args(["-c", "BEGIN; LOCK TABLE pac_concurrency.repositories; SELECT pg_sleep(60)"])
        .env("PGPASSWORD", pac_devservers::postgres::PASSWORD)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
        AND relation = 'pac_concurrency.repositories'::regclass";
    while server.ask(locked) == "0" {
        std::thread::yield_now();
    }
    let began = Instant::now();
    let delta = Delta { enqueue: vec![entry(1)], ..Delta::default() };
    let error = driver.commit(&repository(), version, &holder, &delta).await.unwrap_err();
    assert_eq!(error.kind(), "indeterminate", "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
    drop(blocker.wait_with_output());
    // Done whole or not at all, and no use any more for the version it was for.
    let snapshot = driver.load(&repository(), Window::Whole).await.unwrap();
    let done = snapshot.version != version;
    assert_eq!(snapshot.waiting.len(), usize::from(done));
}
