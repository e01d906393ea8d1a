//! A development cluster with work in it, a store, and watchers as the processes they are in a cluster.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test whose stage can't be set fails"
)]

mod by_hand;
mod command;
pub(crate) mod process;
pub(crate) mod prometheus;
mod scrape;
mod store;
pub(crate) mod tenants;
pub(crate) mod way;
mod work;

use std::time::{Duration, Instant};

pub(crate) use self::command::{Said, command, json_of, queue, run, said};
pub(crate) use self::process::Watcher;
pub(crate) use self::scrape::Scrape;
pub(crate) use self::store::{Store, postgresql_settings, settings_of_several};
pub(crate) use self::work::{World, event, short_runs};

/// How long anything awaited may take. Far longer than it does, so that a slow machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again and again until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(20)); // what is awaited is another process's doing
    }
}
