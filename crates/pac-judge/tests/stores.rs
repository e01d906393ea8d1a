//! Real servers, killed, paused and cut off: a short trial of each in every test run. `cargo xtask judge` has the long ones.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::time::Duration;

use futures::future::try_join_all;
use pac_devservers::postgres::Postgres;
use pac_judge::{StoreKind, Trial, connect, large_in};
use tokio::runtime::Runtime;

fn is_linearizable(kind: StoreKind) {
    let trial = Trial {
        // More than there is time for while it is struck: the server is there for the rest.
        operations: 5_000,
        faults: Some(6),
        clients: 9,
        repositories: 4,
        seed: 1,
        faults_last: Duration::from_millis(400),
    };
    let outcomes = trial.of_server(kind).unwrap();
    println!("{outcomes}");
    assert!(outcomes.faults["server killed"] >= 2, "{outcomes}");
    match outcomes.judge(large_in(kind)) {
        Ok(effort) => println!("{effort:?}"),
        Err(breaches) => panic!("{}", breaches.iter().map(|(_, breach)| breach.to_string()).collect::<String>()),
    }
}

#[test]
fn postgresql_is_linearizable() {
    is_linearizable(StoreKind::Postgresql);
}

#[test]
fn etcd_is_linearizable() {
    is_linearizable(StoreKind::Etcd);
}

#[test]
fn a_postgresql_that_looks_for_no_version_is_not() {
    const DATABASE: &str = "pac_concurrency";
    let server = Postgres::start().unwrap();
    let runtime = Runtime::new().unwrap();
    let ports = [server.port()];
    let drivers = try_join_all((0..3).map(|_| connect(StoreKind::Postgresql, &ports)));
    let drivers = runtime.block_on(drivers).unwrap();
    let definition = "SELECT pg_get_functiondef('pac_concurrency.commit_at'::regproc)";
    let commit = server.administer_in(DATABASE, definition).unwrap();
    let careless = commit.replace(" AND version = p_expected", "");
    assert_ne!(careless, commit);
    server.administer_in(DATABASE, &careless).unwrap();
    let trial =
        Trial { operations: 3_000, faults: None, clients: 9, repositories: 4, seed: 1, faults_last: Duration::ZERO };
    let outcomes = trial.of_drivers(&drivers).unwrap();
    let breaches = outcomes.judge(large_in(StoreKind::Postgresql)).unwrap_err();
    assert_eq!(breaches.len(), 4, "{outcomes}");
    println!("{}", breaches[0].1);
}
