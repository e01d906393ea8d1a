//! The etcd driver: slots and queues under one key prefix, `/pac/concurrency/v2/`.
//!
//! # What makes it right
//!
//! A repository has a version key, and its version is the revision of that key. `commit` is one transaction that compares
//! the revision, changes slots and queue, and writes the version key anew. Whoever finds another revision gets nothing done
//! ([`DriverError::Conflict`](pac_concurrency::DriverError::Conflict)). Revisions only grow, so a version never comes back,
//! not even after a repository was forgotten.
//!
//! What a change does depends on what is there: an enqueue does nothing to a run that has a slot. That is worked out here,
//! from what was last seen at the expected version, for if the transaction takes effect it still is so. What isn't known
//! is looked up first.
//!
//! A change of more operations than a transaction may have is written down in parts, decided by one transaction on the
//! version key, and carried out by whoever sees the repository next, before anything else is done with it.
//!
//! # Leases
//!
//! A holder has one etcd lease and one key under it. Slots have none: a slot whose holder's key is gone has lapsed, and
//! counts all the same.
//!
//! # What can go wrong on the way
//!
//! Calls go to one member until it fails or is silent, then to whichever answers first. A write is repeated only if it
//! certainly did nothing; one whose answer didn't arrive is `Indeterminate`. The server's words are told apart in one
//! place, `error`.
//!
//! # News
//!
//! What others commit is heard through a watch on all version keys that goes on where it broke off. If that part of the
//! history is gone, the word is to look at everything.
//!
//! # What was there before
//!
//! An earlier implementation kept its state beside ours. `legacy` reads it; the watcher takes it over once.
//!
//! # Reading order
//!
//! `keys`, `records` and `version_key` (what is kept), [`driver`], `load`, `placement_cache`, `operation` and `commit`, `staged`; then `connect` and
//! `cluster` (how a call gets there), `leases`, `watch`, `error`.

mod cluster;
mod commit;
mod connect;
pub mod driver;
mod error;
mod keys;
mod leases;
mod legacy;
mod load;
mod operation;
mod past;
mod placement_cache;
mod records;
mod staged;
mod store;
mod version_key;
mod watch;

pub use driver::EtcdDriver;
