//! Which Kubernetes is played, and what it therefore doesn't serve.

use crate::resource::{RESOURCES, ResourceType};

/// A version of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The N of 1.N, from 28 on: mutating admission policies are there from 36 on, validating ones from 30 on.
    pub minor: u8,
    /// Whether beta APIs are served, which they aren't unless somebody turns them on: from 34 on, mutating admission
    /// policies are one.
    pub beta_apis: bool,
}

// === impl Kubernetes ===

impl Default for Kubernetes {
    fn default() -> Self {
        Self { minor: 36, beta_apis: false }
    }
}

impl Kubernetes {
    pub(crate) fn serves(self, resource: &ResourceType) -> bool {
        match (resource.plural, resource.version) {
            ("mutatingadmissionpolicies" | "mutatingadmissionpolicybindings", "v1") => self.minor >= 36,
            ("mutatingadmissionpolicies" | "mutatingadmissionpolicybindings", _) => self.minor >= 34 && self.beta_apis,
            ("validatingadmissionpolicies" | "validatingadmissionpolicybindings", _) => self.minor >= 30,
            _ => true,
        }
    }

    /// The resources it has, in the order in which discovery lists them.
    pub(crate) fn resources(self) -> impl Iterator<Item = &'static ResourceType> {
        RESOURCES.iter().filter(move |resource| self.serves(resource))
    }

    /// The resource served under this group, version and plural name.
    pub(crate) fn find(self, group: &str, version: &str, plural: &str) -> Option<&'static ResourceType> {
        self.resources().find(|entry| entry.group == group && entry.version == version && entry.plural == plural)
    }
}
