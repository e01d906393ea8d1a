//! What the watcher measures: one catalogue of every metric, with its kind, unit, labels and meaning.
//!
//! # The parts
//!
//! [`catalogue`] is the table; nothing else has a metric's name. Code that measures says which [`Metric`] it means
//! and gives the values of its labels, which come from closed sets: a value that isn't in the catalogue fails in debug
//! builds. `docs/metrics.md`, the dashboard and the alerts are made of, or checked against, the same table.
//!
//! # Two places for what is counted
//!
//! What concerns the watcher as a whole goes to the recorder of the crate `metrics`. What concerns one Repository is kept
//! in [`per_repository`], because it has to vanish with its Repository, and because the two labels that name it may be
//! left out where there are too many. [`exposition`] writes these, and gauges read when they are scraped, as text; [`openmetrics`] says
//! all of it once more in the format of that name, with the runs behind the values of two histograms.
//!
//! # What is not here
//!
//! No driver, no Kubernetes, no HTTP, no recorder: those know this crate.

pub mod catalogue;
mod exemplar;
pub mod exposition;
mod handles;
mod markdown;
mod metric;
pub mod openmetrics;
pub mod per_repository;

pub use catalogue::{describe, find, metrics};
pub use exposition::Exposition;
pub use markdown::metrics_markdown;
pub use metric::{Combine, Group, Kind, Label, Metric, Values};
