//! Plays the part of Tekton's webhook that clients run into: what of a run may change once it has started.

use serde_json::Value;

use crate::{condition::succeeded, error::ApiError, object};

/// Refuses an update as the webhook would.
///
/// # Errors
/// If more than `spec.status` changes, or anything of the spec of a run that is done.
pub(crate) fn check(current: &Value, desired: &Value) -> Result<(), ApiError> {
    let spec = |run: &Value| run.get("spec").cloned().unwrap_or_default();
    let (before, after) = (spec(current), spec(desired));
    let has_started = desired.pointer("/status/startTime").is_some();
    if has_started && object::text_at(desired, "/spec/status") == Some("PipelineRunPending") {
        return Err(denied("invalid value: PipelineRun cannot be Pending after it is started: spec.status"));
    }
    if before == after {
        return Ok(());
    }
    if before.get("managedBy") != after.get("managedBy") {
        return Err(denied("invalid value: managedBy is immutable: spec.managedBy"));
    }
    if matches!(succeeded(current), Some("True" | "False")) {
        return Err(denied("invalid value: Once the PipelineRun is complete, no updates are allowed: spec"));
    }
    if without_status(before) != without_status(after) {
        return Err(denied("invalid value: Once the PipelineRun has started, only status updates are allowed: spec"));
    }
    Ok(())
}

fn without_status(mut spec: Value) -> Value {
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("status");
    }
    spec
}

fn denied(why: &str) -> ApiError {
    let webhook = "validation.webhook.pipeline.tekton.dev";
    ApiError::bad_request(format!("admission webhook \"{webhook}\" denied the request: validation failed: {why}"))
}
