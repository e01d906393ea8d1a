//! What a watcher knows just now, in its memory.
//!
//! The [`index`] has what the cluster shows, by repository, and puts it into the words of `plan` for a decision. The [`work_queue`] has
//! the repositories to look at next. The [`audit`] compares the store's slots with the index. [`health`] has what is wrong,
//! [`start_traffic`] the starts under way, [`active_store`] the store at work, and [`gate`] whether the queue of Pipelines-as-Code's own is kept out.
//!
//! # What is not here
//!
//! No action: this crate sends no request, spawns no task and calls no store. `pac_watcher` acts: its watches fill the index and the
//! queue, and its engine empties the queue. `pac_view` shows people what is here.

pub mod active_store;
pub mod audit;
pub mod gate;
pub mod health;
pub mod index;
pub mod start_traffic;
mod sync;
pub mod work_queue;
