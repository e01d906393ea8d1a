//! Which objects a gate is, as kubectl and RBAC have them.

use super::options::Gate;

/// An object of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GateObject {
    /// As kubectl and RBAC have it.
    pub(super) resource: &'static str,
    pub(super) kind: &'static str,
}

// === impl Gate ===

impl Gate {
    /// What the watcher opens and closes; without it there is no such gate.
    pub(super) fn switch(self) -> GateObject {
        match self {
            Self::Policy => {
                GateObject { resource: "mutatingadmissionpolicybindings", kind: "MutatingAdmissionPolicyBinding" }
            }
            Self::Webhook => {
                GateObject { resource: "mutatingwebhookconfigurations", kind: "MutatingWebhookConfiguration" }
            }
            Self::Deny => {
                GateObject { resource: "validatingadmissionpolicybindings", kind: "ValidatingAdmissionPolicyBinding" }
            }
        }
    }

    /// What there is besides, if anything: the policy of a binding.
    pub(super) fn policy(self) -> Option<&'static str> {
        match self {
            Self::Policy => Some("mutatingadmissionpolicies"),
            Self::Webhook => None,
            Self::Deny => Some("validatingadmissionpolicies"),
        }
    }
}
