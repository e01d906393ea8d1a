//! What people ask about the queue, and the answers.
//!
//! [`pac_queue`] has the answers as they are sent and read. [`query`] makes them from what the cluster shows (the index), what the
//! store holds (slots, holders, places) and what happened lately (the [`history_recorder`], which keeps the history of each
//! repository); [`explain`] says of one run why it is where it is.
//!
//! None of it decides anything, and none of it is waited for by what does.

pub(crate) mod explain;
pub(crate) mod history_recorder;
pub(crate) mod plot;
pub(crate) mod query;

pub(crate) use history_recorder::HistoryRecorder;
pub(crate) use query::QueueQuery;
