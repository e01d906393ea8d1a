//! The protocol explored whole.
//!
//! Two watchers, a store and an API server are put into every state that a [`Scenario`] allows, by every order of steps, and the
//! promises are judged in each. What decides is the product's own: `RepositoryState`, `plan`, `Pass`, `Remembered`, `Trust`,
//! `Snapshot::advance`, and the patch that starts a run. What is the model's is what carries requests to and fro: the order in which
//! `Engine` does things with what those say, the API server, and the store's contract.
//!
//! Read `cluster`, what there is; `watcher`, who decides; `system`, all of it at one instant, and what is a breach;
//! `protocol`, what can happen next; [`explore()`], the exploration.
//!
//! A watcher does the same in the same state whatever the rest of the system is like. So what it does is worked out by the product
//! once for each of its own states and inputs, and remembered: states of the whole then cost little.

mod cluster;
mod explore;
mod known;
mod protocol;
mod scenario;
mod system;
mod watcher;

pub use cluster::Life;
pub use explore::{Broken, Found, Progress, explore};
pub use scenario::{Budget, Scenario, Slow};
