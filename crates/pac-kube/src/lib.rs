//! What speaks Kubernetes: the objects of Pipelines-as-Code and Tekton, how they are read, watched and changed, and which of several
//! watchers leads.
//!
//! # What is where
//!
//! [`cluster`] is the way to the API server, and how long its silence is borne; [`list_watch`] hears what happens there, and
//! [`list_all`] asks once.
//! [`api`] has the few fields that are read of a PipelineRun and a Repository, and [`convert`] turns those into the words of
//! `pac_concurrency`. [`hold`] tells who else may hold a run. [`live_read`] asks the API server itself where the watch's word is
//! not enough. [`patch`] is all that is ever written onto a PipelineRun or a Repository, [`decision`] and [`pause`] what operators
//! say by it, [`notice`] what a run that waits says of its wait. [`trace_context`] is the trace a run is of. [`gate`] is what keeps runs from the
//! queue that Pipelines-as-Code has of its own, and gives them to it again. [`leader`] is the election by a Lease.
//!
//! # What is not here
//!
//! What is admitted, and when: nothing here decides. No store, no settings, no HTTP server.

pub mod api;
pub mod backoff;
pub mod cluster;
pub mod convert;
pub mod decision;
pub mod error;
pub mod execution_order;
pub mod gate;
pub mod hold;
pub mod leader;
pub mod list_all;
pub mod list_watch;
pub mod live_read;
pub mod notice;
pub mod patch;
pub mod pause;
mod proxy;
pub mod trace_context;
