//! What people are told of a queue: the watcher makes it, and its client shows it.
//!
//! [`view`] has the answers as they are sent and read, [`history`] what happened lately in a repository's queue and how that is kept
//! in the store, and [`estimate`] when those who wait will start, by how long others held their slots.
//! [`shadow`] is what shadow mode measures.
//!
//! # What is not here
//!
//! No Kubernetes, no store, no HTTP, no terminal: data alone, so that the watcher and its client can't differ about it.

pub mod estimate;
pub mod history;
pub mod shadow;
pub mod times;
pub mod view;
pub mod week;
