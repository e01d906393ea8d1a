//! Everything that can go wrong, at random, for as long as it is asked for; then the API server's history is judged.
//!
//! `cargo xtask chaos` runs one of these for minutes; here each is a short storm of a fixed seed. What happens follows from
//! the seed, when it happens doesn't quite: processes and sockets have a time of their own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod storm;
mod support;

use std::env;
use std::time::Duration;

use storm::{Storm, StormOptions};
use support::Store;

/// What the environment asks for, or the short storm of every test run.
fn options(replicas: usize) -> StormOptions {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    StormOptions {
        seed: number("CHAOS_SEED").map_or(1, |seed| seed as u64),
        lasts: Duration::from_secs_f64(number("CHAOS_MINUTES").unwrap_or(0.4) * 60.0),
        replicas: number("CHAOS_REPLICAS").map_or(replicas, |replicas| replicas as usize),
    }
}

#[test]
fn memory() {
    Storm::new(options(1), None).rage();
}

#[test]
fn postgresql() {
    Storm::new(options(3), Some(Store::postgresql())).rage();
}

#[test]
fn etcd() {
    Storm::new(options(3), Some(Store::etcd())).rage();
}
