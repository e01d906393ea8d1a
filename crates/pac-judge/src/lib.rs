//! Judges stores from outside: what clients of a driver asked and were answered, while the server is killed and the network cut, must be
//! what one who does one thing after the other might have answered.
//!
//! # The story of a trial
//!
//! A real server runs, and drivers reach it each through a network of its own. Several clients share a driver. They load and commit on a
//! few repositories, and each notes when it called what, when the answer was there, and what it was; an answer that was lost is a commit that may
//! have taken effect at any time after its call, or never ([`history`]). Meanwhile the server is killed with SIGKILL, paused, its clock put forward and
//! back; the network holds, cuts, slows and swallows (`faults`). Or it is three servers that fail over (`failover`). In the end each
//! repository's history is judged by itself: linearizability of the whole is that of each of them.
//!
//! # What judges
//!
//! [`linearizability`] knows neither stores nor versions: it searches for an order of any specification's operations. [`repository`] is the
//! specification, the driver contract of `load` and `commit`, written anew. [`verdict`] puts both together, and finds the shortest part of a
//! history that has no explanation.
//!
//! A load is judged by all it shows but one thing: whether leases have lapsed, which is a matter of time. What a driver says did not happen
//! ([`Unavailable`](pac_concurrency::DriverError::Unavailable)) isn't in the history at all; if it did happen, what others see has no explanation.
//!
//! Servers whose replication is asynchronous lose commits when they fail over: of those it is counted how many ([`undone`]).

pub mod history;
pub mod linearizability;
pub mod options;
pub mod repository;
pub mod text;
pub mod undone;
pub mod verdict;

mod clients;
mod failover;
mod faults;
mod store;
mod trial;

pub use faults::Faults;
pub use history::History;
pub use options::StoreKind;
pub use store::connect;
pub use trial::{Outcomes, Trial, judge_all, large_in};
pub use verdict::{Breach, judge};
