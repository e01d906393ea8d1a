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
use storm::{Storm, StormOptions, Tally};
use support::Store;

/// Storms or drills as the environment asks for them, or the short storm of every test run.
fn rage(replicas: usize, store: impl Fn() -> Option<Store>) {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    if let Some(rounds) = number("CHAOS_DRILLS") {
        return Drills::new(store()).run(rounds as usize);
    }
    let first = number("CHAOS_SEED").map_or(1, |seed| seed as u64);
    let seeds = first..first + number("CHAOS_SEEDS").map_or(1, |seeds| seeds as u64);
    let lasts = Duration::from_secs_f64(number("CHAOS_MINUTES").unwrap_or(0.4) * 60.0);
    let replicas = number("CHAOS_REPLICAS").map_or(replicas, |replicas| replicas as usize);
    let mut tally = Tally::default();
    for seed in seeds {
        Storm::new(StormOptions { seed, lasts, replicas }, store()).rage(&mut tally);
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
