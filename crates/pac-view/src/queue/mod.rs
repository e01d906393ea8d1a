//! What people ask about the queue, and the answers.
//!
//! [`pac_queue`] has the answers as they are sent and read. A [`QueueQuery`] makes them from what the cluster shows (the index), what
//! the store holds (slots, holders, places) and what happened lately (the [`HistoryRecorder`] keeps the history of each repository);
//! its part in `explain.rs` says of one run why it is where it is, and `notices.rs` what of that a run itself is to say.
//!
//! None of it decides anything, and whoever decides waits for none of it.

mod arrivals;
mod explain;
mod history_recorder;
mod notices;
mod plot;
mod query;

pub use history_recorder::HistoryRecorder;
pub(crate) use notices::Wanted;
pub use plot::{Plot, PlotView};
pub use query::QueueQuery;
