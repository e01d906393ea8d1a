//! PostgreSQL, etcd, Patroni and Prometheus servers of one's own, for tests and the demo: on ports of their own on loopback, in temporary
//! folders, ended by their id when the value is dropped.
//!
//! A program that is missing is an error that says how to install it. [`process`] has the processes, [`find()`] finds
//! programs, [`postgres`], [`etcd`] and [`prometheus`] are the servers, [`patroni`] a cluster of PostgreSQL
//! that fails over, [`proxy`] is a network to be cut, [`clock`] a clock to be set.

pub mod clock;
pub mod etcd;
mod find;
pub mod patroni;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;

pub use find::{find, free_port, is_root};
