//! Tekton's PipelineRun.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::fields::Fields::{self, All, Only};
use super::labels::{
    EVENT, EXECUTION_ORDER, EXECUTION_ORDER_KEPT, EXPECTED_START, HANDED_OVER, KUEUE_QUEUE, ORIGINAL_NAME, PLACE,
    QUEUE_NAME, REASON, RELEASED, RELEASED_REASON, REPOSITORY, SECRET_CREATED, SPAN_CONTEXT, STATE,
};
use super::readable::Read;

/// What is wanted of a run; of its many fields only whether it is to wait, go or stop.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tekton.dev",
    version = "v1",
    kind = "PipelineRun",
    namespaced,
    schema = "disabled",
    status = "PipelineRunStatus"
)]
pub struct PipelineRunSpec {
    /// `PipelineRunPending`, `Cancelled`, `CancelledRunFinally`, `StoppedRunFinally`, or none: go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whose the run is to carry out, if not Tekton's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
}

/// What became of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRunStatus {
    /// When Tekton began with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// `Succeeded` among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// One condition of a status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Which.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// `True`, `False` or `Unknown`; empty in one that says nothing, which must not keep the others from being read.
    #[serde(default)]
    pub status: String,
}

// === impl PipelineRun ===

impl Read for PipelineRun {
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
                ("creationTimestamp", All),
                ("deletionTimestamp", All),
                ("labels", Only(&[(QUEUE_NAME, All)])),
                (
                    "annotations",
                    Only(&[
                        (STATE, All),
                        (REPOSITORY, All),
                        (EXECUTION_ORDER, All),
                        (EXECUTION_ORDER_KEPT, All),
                        (HANDED_OVER, All),
                        (KUEUE_QUEUE, All),
                        (RELEASED, All),
                        (RELEASED_REASON, All),
                        (EVENT[0], All),
                        (EVENT[1], All),
                        (EVENT[2], All),
                        (SECRET_CREATED, All),
                        (PLACE, All),
                        (REASON, All),
                        (EXPECTED_START, All),
                        (ORIGINAL_NAME, All),
                        (SPAN_CONTEXT, All),
                    ]),
                ),
            ]),
        ),
        ("spec", Only(&[("status", All), ("managedBy", All)])),
        ("status", Only(&[("startTime", All), ("conditions", Only(&[("type", All), ("status", All)]))])),
    ]);
}
