//! A server whose commits wait for a standby: what no standby has may be lost with the server, and nobody may act on it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{Delta, Driver, Holder, RepositoryKey, Version, Window};
use pac_driver_pg::PgDriver;
use tokio::time::{Instant, sleep, timeout};

use crate::support::Server;

/// Backends whose commit waits for a standby.
const WAITING: &str = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
/// Long enough for an answer that doesn't wait for anybody.
const A_WHILE: Duration = Duration::from_millis(300);

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

async fn commit(driver: &PgDriver, expected: Version) -> Result<Version, pac_concurrency::DriverError> {
    driver.commit(&repository(), expected, &Holder::new("watcher"), &Delta::default()).await
}

/// A server with one commit, from which on commits wait for a standby that never comes, and the version that commit made.
async fn without_its_standby() -> (Server, Version) {
    let mut server = Server::start();
    let version = commit(&server.connect().await, Version::NONE).await.unwrap();
    server.ask("ALTER SYSTEM SET synchronous_standby_names = 'gone'");
    server.postgres.restart().unwrap();
    (server, version)
}

/// From then on nobody waits for the standby, those included who do now.
fn give_up_the_standby(server: &Server) {
    server.ask("ALTER SYSTEM RESET synchronous_standby_names");
    server.ask("SELECT pg_reload_conf()");
}

async fn until_one_waits(server: &Server) {
    while server.ask(&format!("SELECT count(*) {WAITING}")) == "0" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_standby_has_is_not_answered() {
    let (mut server, first) = without_its_standby().await;
    let driver = server.connect().await;
    let lost = tokio::spawn(async move { commit(&driver, first).await });
    until_one_waits(&server).await;
    // What it had made durable by itself everybody sees from then on.
    server.postgres.kill().unwrap();
    server.postgres.restart().unwrap();
    assert_eq!(lost.await.unwrap().unwrap_err().kind(), "indeterminate");
    let seen = server.ask("SELECT version FROM pac_concurrency.repositories");
    assert_ne!(seen, first.number().to_string());

    let fresh = server.connect().await;
    let loaded = timeout(A_WHILE, fresh.load(&repository(), Window::Whole)).await;
    assert!(loaded.is_err(), "a load showed what may be lost: {loaded:?}");
    let refused = timeout(A_WHILE, commit(&fresh, first)).await;
    assert!(refused.is_err(), "a commit was refused for what may be lost: {refused:?}");
    let checked = timeout(A_WHILE, fresh.check()).await;
    assert!(checked.is_err(), "a server that can commit nothing was said to be well: {checked:?}");

    give_up_the_standby(&server);
    let loaded = fresh.load(&repository(), Window::Whole).await.unwrap();
    assert_eq!(loaded.version.number().to_string(), seen);
    assert_eq!(commit(&fresh, first).await.unwrap_err().kind(), "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_somebody_has_wait_no_longer_is_in_doubt() {
    let (server, first) = without_its_standby().await;
    let driver = server.connect().await;
    let committing = tokio::spawn(async move { (commit(&driver, first).await, driver) });
    until_one_waits(&server).await;
    server.ask(&format!("SELECT pg_cancel_backend(pid) {WAITING}"));
    let (committed, driver) = committing.await.unwrap();
    assert_eq!(committed.unwrap_err().kind(), "indeterminate");

    let driver = Arc::new(driver);
    let loading = Arc::clone(&driver);
    let loading = tokio::spawn(async move { loading.load(&repository(), Window::Whole).await });
    until_one_waits(&server).await;
    server.ask(&format!("SELECT pg_cancel_backend(pid) {WAITING}"));
    assert_eq!(loading.await.unwrap().unwrap_err().kind(), "unavailable");

    give_up_the_standby(&server);
    let loaded = driver.load(&repository(), Window::Whole).await.unwrap();
    commit(&driver, loaded.version).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_leaves_nobody_waiting() {
    let (server, first) = without_its_standby().await;
    let driver = server.connect().await;
    for _ in 0..5 {
        assert!(timeout(A_WHILE, driver.load(&repository(), Window::Whole)).await.is_err());
        assert!(timeout(A_WHILE, commit(&driver, first)).await.is_err());
    }
    // Each would keep one of the server's connections until the standby is back, and there are a hundred.
    let until = Instant::now() + Duration::from_secs(10);
    while server.ask(&format!("SELECT count(*) {WAITING}")) != "0" {
        assert!(Instant::now() < until, "{} backends still wait", server.ask(&format!("SELECT count(*) {WAITING}")));
        // The server takes its time to hear of it, and tells nobody.
        sleep(Duration::from_millis(50)).await;
    }
}
