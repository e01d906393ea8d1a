//! What threads of a watcher share, under shuttle: the queue of work, the trust in its own term, and the snapshots it remembers.
//!
//! The files are the product's own, word for word. They take locks, notifications and clock from `crate::sync`, which is `std`'s and
//! tokio's in the product, and shuttle's [here](sync): so the product is built without a trace of it. `build.rs` makes a copy of
//! each with a race in it, in [`broken`]: the tests show that it is found.

#![allow(clippy::unwrap_used, reason = "what threads do here is a test")]
#![allow(dead_code, reason = "of the product's files only a part is made use of here")]

pub mod broken;
pub mod manager;
pub mod queue;
mod scenario;
pub mod sync;
#[path = "../../pac-state/src/work_queue.rs"]
pub mod work_queue;

#[doc(hidden)]
pub use pac_concurrency::{driver, error, key, lease, protocol, slot, snapshot};

/// What the product counts is counted by nobody here.
mod metrics {
    use pac_concurrency::RepositoryKey;

    pub(crate) fn limit_reached(_: &RepositoryKey) {}

    pub(crate) fn lease_lost() {}
}
