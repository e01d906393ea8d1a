//! The alerts as Prometheus takes them, and promtool.

use std::process::Command;

use pac_devservers::find;
use serde_json::{Value, json};

use super::typed::object;
use super::variant;

/// The rules as a file of Prometheus, and each alert by itself.
pub(crate) fn rules() -> (String, Vec<Value>) {
    let (_folder, files) = variant(["standalone", "postgresql"]);
    let rule: Value = object(&files["monitoring.yaml"], "PrometheusRule");
    let alerts = rule["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    (serde_json::to_string(&json!({ "groups": rule["spec"]["groups"] })).unwrap(), alerts)
}

pub(crate) fn promtool() -> Command {
    let promtool = find("promtool").expect("promtool is missing; install it with: apt-get install prometheus");
    Command::new(promtool)
}

/// The names of metrics in an expression: whatever starts with a prefix of ours.
pub(crate) fn metrics_of(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("pac_concurrency_") || word.starts_with("process_")).collect()
}
