//! The statuses that Tekton gives runs, as far as they're looked at.

use serde_json::{Value, json};

use crate::{object, verdict::succeeded};

/// Whether the run has ended.
pub(super) fn is_over(run: &Value) -> bool {
    matches!(succeeded(run), Some("True" | "False"))
}

/// The status of a run that may run and has none yet.
pub(super) fn started(run: &Value) -> Option<Value> {
    // PAC's own watcher starts a run by setting this to nothing.
    let wishes = object::text_at(run, "/spec/status").is_some_and(|status| !status.is_empty());
    let untouched = !wishes && run.pointer("/status/startTime").is_none();
    (untouched && !is_over(run)).then(|| {
        let condition = condition("Unknown", "Running", "Tasks Completed: 0");
        json!({ "startTime": object::now(), "conditions": [condition] })
    })
}

/// The status of a run that ends by itself.
pub(super) fn finished(run: &Value, fails: bool) -> Option<Value> {
    let (status, reason) = if fails { ("False", "Failed") } else { ("True", "Succeeded") };
    ended(run, status, reason, "Tasks Completed: 1")
}

/// The status of a run that its user cancelled or stopped.
pub(super) fn cancelled(run: &Value) -> Option<Value> {
    let wish = object::text_at(run, "/spec/status").filter(|status| *status != "PipelineRunPending")?;
    let message = format!("PipelineRun \"{}\" was cancelled ({wish})", object::name(run));
    ended(run, "False", "Cancelled", &message)
}

fn ended(run: &Value, status: &str, reason: &str, message: &str) -> Option<Value> {
    if is_over(run) {
        return None;
    }
    let mut result = run.get("status").cloned().unwrap_or_else(|| json!({}));
    result["conditions"] = json!([condition(status, reason, message)]);
    result["completionTime"] = json!(object::now());
    Some(result)
}

fn condition(status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": object::now(),
    })
}
