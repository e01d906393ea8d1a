//! Real servers, killed, paused and cut off: a short trial of each in every test run. `cargo xtask judge` has the long ones.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::time::Duration;

use pac_judge::{StoreKind, Trial, large_in};

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
