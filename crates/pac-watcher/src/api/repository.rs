//! Pipelines-as-Code's Repository.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

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
}
