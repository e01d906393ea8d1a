//! The condition by which Tekton says how a run fares.

use serde_json::Value;

use crate::object;

/// The condition `Succeeded`.
pub(crate) fn condition(run: &Value) -> Option<&Value> {
    let conditions = run.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| object::text_at(condition, "/type") == Some("Succeeded"))
}

/// Its status.
pub(crate) fn succeeded(run: &Value) -> Option<&str> {
    object::text_at(condition(run)?, "/status")
}
