//! What a watcher shows people: the answers to what they ask, Kubernetes Events, annotations of runs that wait, the ports and the
//! page.
//!
//! [`queue`] makes the answers, which [`pac_queue`] defines, and records what happens in each repository's queue. [`events`] tells it
//! on the objects it happened to, and [`notices`] keeps true what runs that wait say of it themselves. [`http`] serves the answers, with the page that draws them, the probes, and whatever text of
//! metrics it is handed.
//!
//! # What is not here
//!
//! No decision: whoever acts puts a record here in passing and waits for nothing. What is shown comes from `pac_state`, from a
//! store's manager, which is only read, and from single reads of the API server.

pub mod events;
pub mod http;
pub mod notices;
pub mod queue;
