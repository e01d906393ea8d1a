//! What people ask about the queue, and the answers.
//!
//! [`view`] has the answers as they are sent and read. [`look`] makes them from what the cluster shows (the index), what the
//! store holds (slots, holders, places) and what happened lately (the [`chronicle`], which keeps a [`history`] of each
//! repository); [`explain`] says of one run why it is where it is, and [`estimate`] when those who wait will start.
//!
//! None of it decides anything, and none of it is waited for by what does.

pub mod chronicle;
pub mod estimate;
pub mod explain;
pub mod history;
pub mod look;
pub mod plot;
pub mod view;

pub use chronicle::Chronicle;
pub use look::Onlooker;
