//! Pipelines-as-Code's Repository.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::fields::Fields::{self, All, Only};
use super::labels::{PAUSED, PAUSED_UNTIL, RESUMED};
use super::readable::Read;

/// What a Repository says; of its fields only the limit.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "pipelinesascode.tekton.dev",
    version = "v1alpha1",
    kind = "Repository",
    namespaced,
    schema = "disabled"
)]
#[kube(plural = "repositories")]
pub struct RepositorySpec {
    /// How many of its runs may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_limit: Option<i64>,
    /// Its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<RepositorySettings>,
}

/// What a Repository says about how it is dealt with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RepositorySettings {
    /// The same limit: a note in PAC's source has it move here one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_limit: Option<i64>,
}

// === impl RepositorySpec ===

impl RepositorySpec {
    /// How many of its runs may run at once, wherever it says so.
    pub fn limit(&self) -> Option<i64> {
        self.concurrency_limit.or_else(|| self.settings.as_ref()?.concurrency_limit)
    }
}

// === impl Repository ===

impl Read for Repository {
    const FIELDS: Fields = Only(&[
        ("apiVersion", All),
        ("kind", All),
        (
            "metadata",
            Only(&[
                ("name", All),
                ("namespace", All),
                ("uid", All),
                ("resourceVersion", All),
                ("annotations", Only(&[(PAUSED, All), (PAUSED_UNTIL, All), (RESUMED, All)])),
            ]),
        ),
        ("spec", Only(&[("concurrency_limit", All), ("settings", Only(&[("concurrency_limit", All)]))])),
    ]);
}
