//! A span of each run's wait, from its creation to its start, for an OpenTelemetry collector.
//!
//! # What it promises
//!
//! Whoever admits runs waits for none of it. A [`Traces`] is told in passing what happens, as the history is, and remembers of each run
//! that waits what its span is to say. When the wait is over the span goes into a queue with a bound: where there is no room it is
//! dropped and counted. The [`Exporter`] at the queue's other end sends them, and nothing it meets, be it a collector that is away or
//! one that never answers, reaches back further than that queue.
//!
//! A watcher sends one span for a run. Trace and span of a run that Pipelines-as-Code gave no trace follow from its uid, and so does the
//! span of any run: where two watchers end the same wait, because one died in between, collectors have it once.
//!
//! # Where to read on
//!
//! `waits` remembers and is pure, `reason` says why a repository admits nobody, `wait` is a wait that is over, `span` writes it as
//! OpenTelemetry has it, `exporter` sends many of them together, and `collector` is one request over HTTP.

mod collector;
mod exporter;
mod reason;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
mod traces;
mod wait;
mod waits;

pub use collector::Collector;
pub use exporter::{Exporter, Pace};
pub use reason::Reason;
pub use traces::Traces;
