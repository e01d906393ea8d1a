//! Everything that can go wrong, at random, for as long as it is asked for; then the API server's history is judged.
//!
//! `cargo xtask chaos` runs one of these for minutes; here each is a short storm of a fixed seed. What happens follows from
//! the seed, when it happens doesn't quite: processes and sockets have a time of their own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod drills;
mod storm;
mod support;

use std::env;
use std::time::Duration;

use drills::Drills;
use pac_devservers::patroni::{Patroni, Replication};
use storm::{Servers, Storm, StormOptions, Tally};
use support::Store;

fn number(name: &str) -> Option<f64> {
    env::var(name).ok()?.parse().ok()
}

/// Storms or drills as the environment asks for them, or the short storm of every test run.
fn rage(replicas: usize, store: impl Fn() -> Option<Store>) {
    if let Some(rounds) = number("CHAOS_DRILLS") {
        return Drills::new(store()).run(rounds as usize);
    }
    storms(replicas, || store().map(Servers::One));
}

/// Storms on whatever has slots and queues.
fn storms(replicas: usize, servers: impl Fn() -> Option<Servers>) {
    let first = number("CHAOS_SEED").map_or(1, |seed| seed as u64);
    let seeds = first..first + number("CHAOS_SEEDS").map_or(1, |seeds| seeds as u64);
    let lasts = Duration::from_secs_f64(number("CHAOS_MINUTES").unwrap_or(0.4) * 60.0);
    let replicas = number("CHAOS_REPLICAS").map_or(replicas, |replicas| replicas as usize);
    let mut tally = Tally::default();
    for seed in seeds {
        Storm::new(StormOptions { seed, lasts, replicas }, servers()).rage(&mut tally);
    }
    println!("{tally}");
}

#[test]
fn memory() {
    rage(1, || None);
}

#[test]
fn postgresql() {
    rage(3, || Some(Store::postgresql()));
}

#[test]
fn etcd() {
    rage(3, || Some(Store::etcd()));
}

/// No commit is lost.
#[test]
#[ignore = "takes minutes and Patroni: cargo xtask chaos --failover synchronous"]
fn synchronous() {
    storms(3, || Some(Servers::Three(Patroni::start(Replication::Synchronous).unwrap().into())));
}

/// What was committed last may be.
#[test]
#[ignore = "takes minutes and Patroni: cargo xtask chaos --failover asynchronous"]
fn asynchronous() {
    storms(3, || Some(Servers::Three(Patroni::start(Replication::Asynchronous).unwrap().into())));
}
