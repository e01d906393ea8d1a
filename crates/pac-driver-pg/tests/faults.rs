//! Servers that go away, change places, or fall silent.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use pac_concurrency::{Delta, Driver, DriverError, Holder, News, RepositoryKey, StoreEvent, Version, Window};
use pac_config::PostgreSqlSettings;
use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_driver_pg::PgDriver;
use tokio::time::timeout;

use crate::support::{Server, settings};

/// The backends of the driver's connections.
const BACKENDS: &str = "FROM pg_stat_activity WHERE usename = 'pac_user'";

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

/// Settings for all of `servers`, in this order.
fn settings_of(servers: &[&Postgres]) -> PostgreSqlSettings {
    let ports: Vec<String> = servers.iter().map(|server| server.port().to_string()).collect();
    let hosts = vec!["127.0.0.1"; servers.len()];
    settings(&[("postgresql-host", &hosts.join(",")), ("postgresql-port", &ports.join(","))])
}

/// As a server that is, or is no longer, a standby: it takes no writes from anybody who connects from now on.
fn read_only(server: &Postgres, is_read_only: bool) {
    server.administer(&format!("ALTER SYSTEM SET default_transaction_read_only = {is_read_only}")).unwrap();
    server.administer("SELECT pg_reload_conf()").unwrap();
    let expected = if is_read_only { "on" } else { "off" };
    while server.administer("SHOW default_transaction_read_only").unwrap() != expected {
        std::thread::yield_now();
    }
    server.administer(&format!("SELECT pg_terminate_backend(pid) {BACKENDS}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_the_one_that_takes_writes_is_used_after_a_fail_over_too() {
    let (mut one, two) = (Postgres::start().unwrap(), Postgres::start().unwrap());
    read_only(&one, true);
    let driver = PgDriver::connect(&settings_of(&[&one, &two])).await.unwrap();
    // The connections there are end first, and whoever asks at that moment is told so.
    let is_passing =
        |error: &DriverError| ["shutting down", " broke"].iter().any(|word| error.to_string().contains(word));
    let check = async || loop {
        match driver.check().await {
            Err(error) if is_passing(&error) => {}
            checked => break checked,
        }
    };
    let address = async || check().await.map(|server| server.address);
    let of = |server: &Postgres| format!("127.0.0.1:{}/pac_concurrency", server.port());
    assert_eq!(address().await.unwrap(), of(&two));
    PgDriver::connect(&settings_of(&[&two])).await.unwrap();
    // Both stand by.
    read_only(&two, true);
    let why = check().await.unwrap_err();
    assert_eq!(why.kind(), "unavailable", "{why}");
    for words in
        [format!("127.0.0.1:{} takes no writes", one.port()), format!("127.0.0.1:{} takes no writes", two.port())]
    {
        assert!(why.to_string().contains(&words), "{why}");
    }
    // The other is promoted, and has the schema of the first.
    read_only(&one, false);
    PgDriver::connect(&settings_of(&[&one])).await.unwrap();
    assert_eq!(address().await.unwrap(), of(&one));
    // And is gone again, with nobody in its place.
    one.kill().unwrap();
    let why = loop {
        match driver.check().await {
            Err(error) if error.to_string().contains("refused by") => break error.to_string(),
            other => assert!(other.is_err(), "{other:?}"),
        }
    };
    assert!(why.contains("takes no writes"), "each has its own reason: {why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_a_refused_connection_in_every_message_and_at_once() {
    let mut server = Server::start();
    let settings = PostgreSqlSettings { max_connections: 4, ..server.settings() };
    let driver = PgDriver::connect(&settings).await.unwrap();
    let (driver, repository) = (&driver, &repository());
    let load_all =
        async || join_all((0..20).map(|_| async move { driver.load(repository, Window::Whole).await })).await;
    assert!(load_all().await.iter().all(Result::is_ok));
    server.postgres.kill().unwrap();
    // One finds out.
    let _ = driver.load(repository, Window::Whole).await;
    let began = Instant::now();
    for outcome in load_all().await.into_iter().chain(load_all().await) {
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("connection refused by 127.0.0.1"), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.postgres.restart().unwrap();
    assert!(load_all().await.iter().all(Result::is_ok));
}

/// Stops backends in the middle of their lives, so that nothing comes from them any more and nobody is told.
struct Frozen(Vec<String>);

// === impl Frozen ===

impl Frozen {
    fn all_of(server: &Server) -> Self {
        let pids = server.ask(&format!("SELECT string_agg(pid::text, ' ') {BACKENDS}"));
        let frozen = Self(pids.split(' ').map(str::to_owned).collect());
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        for pid in &self.0 {
            let sent = Command::new("kill").args([signal, pid]).status().unwrap();
            // One whose connection was closed ends in its own time, so also after it was listed.
            assert!(sent.success() || !Path::new("/proc").join(pid).exists(), "kill {signal} {pid}");
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_die_in_silence_are_replaced_and_none_is_lost() {
    let server = Server::start();
    let settings = PostgreSqlSettings { max_connections: 4, ..server.settings() };
    let driver = PgDriver::connect(&settings).await.unwrap();
    let (driver, repository) = (&driver, &repository());
    let load_all =
        async || join_all((0..12).map(|_| async move { driver.load(repository, Window::Whole).await })).await;
    assert!(load_all().await.iter().all(Result::is_ok));
    for round in 0..2 {
        let _frozen = Frozen::all_of(&server);
        // All that had a connection hear nothing; whoever waited for one gets a new one. Then all is as it was.
        let outcomes = load_all().await;
        let silent = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert!(silent <= 3, "round {round}: {outcomes:?}");
        let began = Instant::now();
        assert!(load_all().await.iter().all(Result::is_ok), "round {round}");
        assert!(began.elapsed() < Duration::from_secs(5), "round {round}: {:?}", began.elapsed());
    }
    let connections = driver.connections().unwrap();
    assert_eq!((connections.most, connections.in_use, connections.waiting), (3, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_server_went_down_under_it_may_have_happened() {
    let server = Server::start();
    let driver = server.connect().await;
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    let version = driver.commit(&repository(), Version::NONE, &holder, &Delta::default()).await.unwrap();
    let port = server.postgres.port().to_string();
    let mut blocker = Command::new("psql")
        .args(["-h", "127.0.0.1", "-p", &port, "-U", "pac_user", "-d", "pac_concurrency"])
        // Sleeps until it is terminated below.
        .args(["-c", "BEGIN; LOCK TABLE pac_concurrency.repositories; SELECT pg_sleep(60)"])
        .env("PGPASSWORD", PASSWORD)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
        AND relation = 'pac_concurrency.repositories'::regclass";
    while server.ask(locked) == "0" {
        tokio::task::yield_now().await;
    }
    let waits = format!("SELECT count(*) {BACKENDS} AND wait_event_type = 'Lock'");
    let (repository, delta) = (repository(), Delta::default());
    let commit = driver.commit(&repository, version, &holder, &delta);
    let terminate = async {
        while server.ask(&waits) == "0" {
            tokio::task::yield_now().await;
        }
        server.ask(&format!("SELECT pg_terminate_backend(pid) {BACKENDS} AND wait_event_type = 'Lock'"));
    };
    let (outcome, ()) = tokio::join!(commit, terminate);
    server.ask(&format!("SELECT pg_terminate_backend(pid) {BACKENDS} AND query LIKE '%pg_sleep%'"));
    blocker.wait().unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), "indeterminate", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_looked_for_while_no_connection_to_listen_on_can_be_had() {
    let server = Server::start();
    let settings = PostgreSqlSettings { max_connections: 2, ..server.settings() };
    let driver = PgDriver::connect(&settings).await.unwrap();
    let mut changes = driver.changes();
    assert_eq!(driver.condition().news, None, "it is yet to be found out");
    assert_eq!(changes.next().await, Some(StoreEvent::Resync), "it listens");
    assert_eq!(driver.condition().news, Some(News::Heard));
    let other = PgDriver::connect(&settings).await.unwrap();
    let version = other.commit(&repository(), Version::NONE, &Holder::new("other"), &Delta::default()).await.unwrap();
    while changes.next().await != Some(StoreEvent::Repository(repository())) {}
    // As many as there are but the one that listens, so that it can't come back.
    let open = server.ask(&format!("SELECT count(*) - 1 {BACKENDS}"));
    server.postgres.administer(&format!("ALTER USER pac_user CONNECTION LIMIT {open}")).unwrap();
    server.ask(&format!("SELECT pg_terminate_backend(pid) {BACKENDS} AND query ~ '^LISTEN'"));
    assert_eq!(changes.next().await, Some(StoreEvent::Resync), "it compares");
    let news = driver.condition().news;
    assert!(matches!(&news, Some(News::LookedFor { why }) if why.contains("broke")), "{news:?}");
    other.commit(&repository(), version, &Holder::new("other"), &Delta::default()).await.unwrap();
    let seen = async { while changes.next().await != Some(StoreEvent::Repository(repository())) {} };
    timeout(Duration::from_secs(10), seen).await.expect("it is not looked for");
}
