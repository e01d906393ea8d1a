//! Two functions commit: the one that every watcher knows, and the one that finds a repository's row by its place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use pac_concurrency::conformance::{Harness, exercise};
use pac_concurrency::{Delta, Driver, Entry, Holder, OrderKey, RepositoryKey, RunKey, Version, Window};

use crate::support::Server;

const IS_THERE: &str = "SELECT count(*) FROM pg_proc WHERE proname = 'commit_at'";

fn entry(number: i64) -> Entry {
    Entry::new(RunKey::new("ns", &format!("run-{number}"), &format!("uid-{number}")).unwrap(), OrderKey::alone(number))
}

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

/// A server where nobody may add the function: its user's rights are those an owner can have taken from itself.
struct Without(Server);

// === impl Without ===

impl Without {
    async fn start() -> Self {
        let server = Server::start();
        server.connect().await;
        server.ask("REVOKE CREATE ON SCHEMA pac_concurrency FROM pac_user; DROP FUNCTION pac_concurrency.commit_at");
        Self(server)
    }
}

#[async_trait]
impl Harness for Without {
    async fn driver(&self) -> Arc<dyn Driver> {
        self.0.driver().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_may_not_be_added_the_contract_is_kept_without_it() {
    let without = Without::start().await;
    exercise(&without, 2).await;
    assert_eq!(without.0.ask(IS_THERE), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_found_without_its_index_and_written_once_a_commit() {
    let server = Server::start();
    let driver = server.connect().await;
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    let open = server.postgres.open_transaction("pac_concurrency", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    let mut version = Version::NONE;
    for number in 0..100 {
        let (enqueue, hold) = (vec![entry(number)], vec![entry(number)]);
        let release = vec![entry(number).run];
        for delta in [
            Delta { enqueue, ..Delta::default() },
            Delta { hold, ..Delta::default() },
            Delta { release, ..Delta::default() },
        ] {
            version = driver.commit(&repository(), version, &holder, &delta).await.unwrap();
        }
    }
    drop(open.unwrap());
    drop(driver);
    // The server's processes tell what they counted when they are idle, or end.
    let count = |what: &str| -> u32 {
        let counted =
            format!("SELECT {what} FROM pg_stat_all_tables WHERE relid = 'pac_concurrency.repositories'::regclass");
        server.ask(&counted).parse().unwrap()
    };
    while count("n_tup_upd") < 300 {
        tokio::task::yield_now().await;
    }
    assert_eq!((count("n_tup_upd"), count("n_tup_ins")), (300, 1));
    assert!(count("idx_scan") < 10, "{}", count("idx_scan"));
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_know_it_and_those_that_do_not_share_a_store() {
    let server = Server::start();
    let driver = server.connect().await;
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    let commit = |expected: u64, version: u64, action: &str, number: i64| {
        server.ask(&format!(
            "SELECT pac_concurrency.commit('ns/repo', {expected}, {version}, 'before', '{{{action}}}', '{{ns}}', '{{run-{number}}}', \
             '{{uid-{number}}}', '{{{number}}}', '{{0}}', '{{{number}}}')"
        ))
    };
    let enqueue = Delta { enqueue: (1..=3).map(entry).collect(), ..Delta::default() };
    let first = driver.commit(&repository(), Version::NONE, &holder, &enqueue).await.unwrap();
    assert_eq!(commit(first.number(), 7, "hold", 1), "t");
    let hold = Delta { hold: vec![entry(2)], ..Delta::default() };
    let late = driver.commit(&repository(), first, &holder, &hold).await.unwrap_err();
    assert_eq!(late.kind(), "conflict");

    let second = driver.commit(&repository(), Version::new(7), &holder, &hold).await.unwrap();
    assert_eq!(commit(7, 8, "hold", 3), "f");
    assert_eq!(commit(second.number(), 8, "release", 1), "t");
    let snapshot = driver.load(&repository(), Window::Whole).await.unwrap();
    let slots: Vec<&str> = snapshot.slots.keys().map(RunKey::name).collect();
    assert_eq!((snapshot.version, slots, snapshot.waiting_count), (Version::new(8), vec!["run-2"], 1));

    // The row moves to another place; it is found all the same.
    server.ask("VACUUM FULL pac_concurrency.repositories");
    let release = Delta { release: vec![entry(2).run, entry(3).run], ..Delta::default() };
    let third = driver.commit(&repository(), Version::new(8), &holder, &release).await.unwrap();
    server.ask("INSERT INTO pac_concurrency.repositories VALUES ('ns/another', 1, 0)");
    server.ask("VACUUM FULL pac_concurrency.repositories");
    driver.commit(&repository(), third, &holder, &Delta::default()).await.unwrap();
    assert_eq!(server.ask("SELECT waiting_count FROM pac_concurrency.repositories WHERE repository = 'ns/repo'"), "0");
}
