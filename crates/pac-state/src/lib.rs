//! What a watcher knows just now, in its memory.
//!
//! The [`index`] has what the cluster shows, by repository, and tells a decision of it in the words of `plan`. The [`work_queue`]
//! has which repositories to look at next. The [`audit`] compares the store's slots with the index. [`health`] has what is wrong,
//! and [`active_store`] what store is at work.
//!
//! # What is not here
//!
//! Nobody acts: no request is sent, no task is spawned, no store is called. Those who act are in `pac_watcher`: watches fill the
//! index and the queue, the engine empties the queue. `pac_view` shows people what is here.

pub mod active_store;
pub mod audit;
pub mod health;
pub mod index;
pub mod work_queue;
