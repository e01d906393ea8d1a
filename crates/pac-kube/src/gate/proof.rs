//! Whether the gate holds, by a trial: an object that is there may have no effect, by its own fault or by the API server's.

use std::collections::BTreeMap;

use kube::Client;
use kube::core::Status;
use pac_concurrency::RunKey;

use super::{GateKind, NAME, WEBHOOK};
use crate::api::labels::{EXECUTION_ORDER, EXECUTION_ORDER_KEPT};
use crate::error::answered;
use crate::patch::{self, Failure};

/// What is tried to be written for an order. It orders nothing, and no run has it already.
const TRIAL: &str = "trial-of-the-gate";

/// What a trial came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The annotation does not reach PAC's queue.
    Holds,
    /// Nor does it here, but only because the API server refuses what it can't ask the gate about: where the order would be kept it is
    /// lost, and PAC complains. With what the API server says.
    Refuses(String),
    /// The annotation would reach PAC's queue.
    DoesNotHold(String),
    /// Nobody knows; with what happened instead.
    Unknown(String),
}

/// Tries on `run`, which should be waiting and without PAC's annotation, whether the gate of this kind holds. Nothing is written.
pub async fn prove(client: &Client, kind: GateKind, run: &RunKey) -> Proof {
    match patch::try_order(client, run, TRIAL).await {
        Ok(annotations) => kind.judge_written(run, &annotations),
        Err(Failure::Answer(status)) => kind.judge_refused(&status),
        Err(Failure::NoAnswer(why)) => Proof::Unknown(why),
    }
}

// === impl Proof ===

impl Proof {
    /// Whether PAC's queue hears of no run; none if that isn't known.
    pub fn keeps_out(&self) -> Option<bool> {
        match self {
            Self::Holds | Self::Refuses(_) => Some(true),
            Self::DoesNotHold(_) => Some(false),
            Self::Unknown(_) => None,
        }
    }

    /// What the API server says that refuses what it can't ask the gate about, and with it the order that would be kept.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refuses(why) => Some(why),
            Self::Holds | Self::DoesNotHold(_) | Self::Unknown(_) => None,
        }
    }
}

// === impl GateKind ===

impl GateKind {
    fn judge_written(self, run: &RunKey, annotations: &BTreeMap<String, String>) -> Proof {
        let is_trial = |name: &str| annotations.get(name).is_some_and(|value| value == TRIAL);
        match () {
            () if is_trial(EXECUTION_ORDER) => Proof::DoesNotHold(format!(
                "{} has no effect: the API server would let {EXECUTION_ORDER} through onto {run}",
                self.object()
            )),
            () if is_trial(EXECUTION_ORDER_KEPT) && self.keeps_orders() => Proof::Holds,
            // Somebody else's doing, which may be over any time, or be for this run alone.
            () => Proof::DoesNotHold(format!(
                "{EXECUTION_ORDER} is kept from {run}, but not by {}: another webhook or policy changes it",
                self.object()
            )),
        }
    }

    fn judge_refused(self, status: &Status) -> Proof {
        let says = |words: &str| status.message.contains(words);
        let by_policy = || says(&format!("olicy '{NAME}'")) && says("denied request");
        let by_webhook = || says(&format!("webhook \"{WEBHOOK}\""));
        match self {
            Self::Deny if by_policy() => Proof::Holds,
            Self::Policy if by_policy() => Proof::Refuses(answered(status)),
            Self::Webhook if by_webhook() => Proof::Refuses(answered(status)),
            _ => Proof::Unknown(answered(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: GateKind, annotations: &[(&str, &str)]) -> Proof {
        let annotations = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        kind.judge_written(&RunKey::new("ns", "run", "uid").unwrap(), &annotations)
    }

    fn refused(kind: GateKind, code: u16, message: &str) -> Proof {
        kind.judge_refused(&Status::failure(message, "Invalid").with_code(code))
    }

    #[test]
    fn what_is_renamed_is_kept_out() {
        for kind in [GateKind::Policy, GateKind::Webhook] {
            assert_eq!(written(kind, &[(EXECUTION_ORDER_KEPT, TRIAL), ("other", "x")]), Proof::Holds);
        }
    }

    #[test]
    fn what_comes_through_or_is_kept_by_others_is_no_proof() {
        for kind in [GateKind::Policy, GateKind::Webhook, GateKind::Deny] {
            assert_eq!(written(kind, &[(EXECUTION_ORDER, TRIAL)]).keeps_out(), Some(false), "{kind:?}");
            assert_eq!(
                written(kind, &[(EXECUTION_ORDER, TRIAL), (EXECUTION_ORDER_KEPT, TRIAL)]).keeps_out(),
                Some(false)
            );
            assert_eq!(written(kind, &[]).keeps_out(), Some(false), "dropped by something else");
        }
        assert_eq!(
            written(GateKind::Policy, &[(EXECUTION_ORDER_KEPT, "ns/run")]).keeps_out(),
            Some(false),
            "an old one"
        );
    }

    #[test]
    fn a_refusal_is_a_proof_if_it_is_the_gates_own() {
        let denied = "pipelineruns.tekton.dev \"run\" is forbidden: ValidatingAdmissionPolicy \
                      'pac-concurrency-execution-order' with binding 'pac-concurrency-execution-order' denied request: no";
        assert_eq!(refused(GateKind::Deny, 422, denied), Proof::Holds);
        let broken =
            "policy 'pac-concurrency-execution-order' with binding 'pac-concurrency-execution-order' denied request: x";
        assert!(matches!(refused(GateKind::Policy, 500, broken), Proof::Refuses(_)));
        let down = "Internal error occurred: failed calling webhook \"execution-order.concurrency.pipelinesascode.tekton.dev\": \
                    failed to call webhook: Post \"https://x\": connection refused";
        assert!(matches!(refused(GateKind::Webhook, 500, down), Proof::Refuses(_)));
        for kind in [GateKind::Policy, GateKind::Webhook, GateKind::Deny] {
            let others = "admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request: done";
            assert_eq!(refused(kind, 400, others).keeps_out(), None, "{kind:?}");
            assert_eq!(refused(kind, 404, "pipelineruns.tekton.dev \"run\" not found").keeps_out(), None);
            assert_eq!(refused(kind, 503, "not yet ready to handle request").keeps_out(), None);
        }
    }
}
