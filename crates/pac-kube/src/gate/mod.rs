//! What keeps PipelineRuns out of the queue that Pipelines-as-Code has of its own, in the memory of its watcher.
//!
//! A queued run gets into that queue by the annotation execution-order alone, which PAC writes after it created the run. The gate is
//! an object by which the API server itself stops that annotation: it acts on an UPDATE of a PipelineRun that *brings* PAC's
//! annotation, which is to say that its value is new on the run, unless the same write brings the marker
//! [`HANDED_BACK`](crate::api::labels::HANDED_BACK). A run that has the annotation already keeps it through other writes: it is PAC's
//! to start.
//!
//! # What is where
//!
//! `object` reads, closes and opens the gate; `proof` finds out by a trial whether it holds, since an object that is there may have no
//! effect; `hand_back` gives PAC's queue what the gate kept from it.
//!
//! # What is not here
//!
//! When it is to be closed, and who is admitted meanwhile: nothing here decides. Who makes the objects: `cargo xtask deploy`.

mod hand_back;
mod object;
mod proof;

pub use hand_back::{HandBack, HandedBack, ORDER_WITHIN, due, hand_back_all};
pub use object::{GateError, GateState, close, open, read};
pub use proof::{Proof, prove};

/// The name of every object of the gate, cluster-wide.
pub const NAME: &str = "pac-concurrency-execution-order";

/// The name of the one webhook in the configuration called [`NAME`].
pub const WEBHOOK: &str = "execution-order.concurrency.pipelinesascode.tekton.dev";

/// By what kind of object the API server keeps the annotation from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateKind {
    /// A MutatingAdmissionPolicy renames it; Kubernetes 1.36, or a beta before that.
    #[default]
    Policy,
    /// A mutating webhook, served by the watcher, renames it.
    Webhook,
    /// A ValidatingAdmissionPolicy refuses the write: the run never has an order.
    Deny,
}

// === impl GateKind ===

impl GateKind {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Policy, Self::Webhook, Self::Deny];

    /// Its name as the value of a flag and of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Webhook => "webhook",
            Self::Deny => "deny",
        }
    }

    /// Whether what it stops is kept on the run under another name; otherwise no order is ever told.
    pub fn keeps_orders(self) -> bool {
        self != Self::Deny
    }
}
