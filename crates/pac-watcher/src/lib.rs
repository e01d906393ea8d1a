//! The watcher: admits the PipelineRuns of a cluster under their Repository's limit.
//!
//! # One event, from end to end
//!
//! A run finishes. `watch` gets its new version, [`pac_kube::convert`] turns it into a few words of the domain, [`pac_state::index`] files
//! it under its repository, and [`pac_state::work_queue`] has the repository looked at. A worker of the `engine` makes a pass: the
//! manager takes the store's word on slots and queue, `plan` compares it with what the index shows, and one commit frees
//! the slot of the run that finished and gives it to the head of the queue. [`pac_kube::patch`] then starts that run, if it is still
//! pending and still the same, and writes onto the one that finished how it ended.
//!
//! # What can be relied on
//!
//! Events only say where to look; what is done follows from state. A run the cache doesn't show is read live before
//! anything is concluded ([`pac_kube::live_read`]). A start whose answer was lost keeps its slot until a read tells. Everything is
//! passed over every few minutes whether or not anything happened. See the promises P1 to P10 in `pac_concurrency`.
//!
//! # What is where
//!
//! `pac_kube` speaks Kubernetes: `watch` takes in what it hears, and only it writes PipelineRuns. `pac_state` has what is known just
//! now, and `pac_view` shows it to people. This crate acts: `supervise` goes from settings ([`reload`]) to an engine and from one
//! store to the next; beside Pipelines-as-Code's own watcher `gate_keeper` keeps out the queue that one has. It knows no driver:
//! [`Connect`] makes them.

mod abort_on_panic;
mod backlog;
mod config_maps;
mod connect;
mod election;
mod engine;
mod error;
mod former_store;
mod gate_keeper;
mod in_force;
pub mod list_once;
mod metrics;
mod observer;
mod options;
pub mod reload;
mod run;
mod shadow;
mod supervise;
pub mod telemetry;
mod traces;
mod watch;
mod webhook;

pub use connect::Connect;
pub use error::WatcherError;
pub use options::{Mode, SettingsPlace, WatcherOptions};
pub use pac_kube::gate::GateKind;
pub use pac_tenants::{AUDIENCE, HOLDS, TenantsOptions, TlsFiles};
pub use pac_view::http::Router;
pub use pac_view::notices::Pace;
pub use run::{run, run_with};
