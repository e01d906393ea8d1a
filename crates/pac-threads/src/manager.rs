//! The manager's files, and what threads do with them.

#[path = "../../pac-concurrency/src/manager/snapshot_cache.rs"]
pub mod snapshot_cache;
#[path = "../../pac-concurrency/src/manager/term.rs"]
pub mod term;

crate::scenario::of_manager!();
