//! What to alert on. Each alert has a section in docs/operations.md, which a test insists on.
//!
//! Every watcher tells what it sees of the same cluster, and only the one that leads tells some of it; hence the `max`.

use std::collections::BTreeMap;
use std::time::Duration;

use pac_metrics::catalogue::{
    CONNECTION_WAITERS, CONNECTIONS, CONNECTIONS_MAX, EXCESS, LEADER, LEAKED_SLOTS, OLDEST_WAITING_AGE,
    SETTINGS_NOT_IN_FORCE, STARTABLE, TROUBLE, WAIT,
};
use serde::{Deserialize, Serialize};

/// One rule of Prometheus.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alert {
    alert: String,
    expr: String,
    r#for: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// Whether somebody is to be woken.
#[derive(Debug, Clone, Copy)]
enum Severity {
    /// A promise is broken, or nobody is admitted.
    Critical,
    /// It is to be looked at within the day.
    Warning,
}

/// The Repository an alert is about. Its labels may be left out of the metrics.
const WHOSE: &str =
    "{{ if $labels.repository }}{{ $labels.namespace }}/{{ $labels.repository }}{{ else }}a Repository{{ end }}";

/// All alerts; nine in ten runs should start within `wait_target`.
pub(super) fn alerts(wait_target: Duration) -> Vec<Alert> {
    let by_repository = |metric: &str| format!("max by (namespace, repository) ({metric})");
    let target = wait_target.as_secs();
    let trouble = |parts: &str| format!("max by (part) ({}{{part=~\"{parts}\"}}) == 1", TROUBLE.name);
    vec![
        alert(
            "NobodyLeads",
            // Who can't reach the store doesn't lead, and has an alert of his own.
            &format!("absent({} == 1) unless on () max({}{{part=\"store\"}}) == 1", LEADER.name, TROUBLE.name),
            "2m",
            Severity::Critical,
            "No watcher admits PipelineRuns: none runs, or none gets the Lease.",
        ),
        alert(
            "StoreUnreachable",
            &trouble("store"),
            "2m",
            Severity::Critical,
            "The store of slots and queues can't be used, and nobody is admitted.",
        ),
        alert(
            "ApiServerUnreachable",
            &trouble("api_server|run_watch|repository_watch"),
            "5m",
            Severity::Critical,
            "The watcher is cut off from the API server ({{ $labels.part }}).",
        ),
        alert(
            "OverLimit",
            &format!("{} > 0", by_repository(EXCESS.name)),
            "1m",
            Severity::Critical,
            &format!("{{{{ $value }}}} PipelineRuns of {WHOSE} run over the limit, and didn't before it was set."),
        ),
        alert(
            "SlotsIdle",
            &format!("{} > 0", by_repository(STARTABLE.name)),
            "5m",
            Severity::Warning,
            &format!("{{{{ $value }}}} PipelineRuns of {WHOSE} wait although there are free slots."),
        ),
        alert(
            "SlotsLeaked",
            &format!("{} > 0", by_repository(LEAKED_SLOTS.name)),
            "5m",
            Severity::Warning,
            &format!("{{{{ $value }}}} slots of {WHOSE} are taken for PipelineRuns that are over."),
        ),
        alert(
            "WaitOverTarget",
            &format!(
                "histogram_quantile(0.9, sum by (namespace, repository, le) (rate({}_bucket[30m]))) > {target} or {} > {target}",
                WAIT.name,
                by_repository(OLDEST_WAITING_AGE.name)
            ),
            "10m",
            Severity::Warning,
            &format!(
                "PipelineRuns of {WHOSE} wait {{{{ $value | humanizeDuration }}}}, more than {}.",
                minutes(target)
            ),
        ),
        alert(
            "SettingsNotInForce",
            &format!("max by (reason) ({}) == 1", SETTINGS_NOT_IN_FORCE.name),
            "1m",
            Severity::Warning,
            "The settings as they are now are {{ $labels.reason }}, and former ones stay in force.",
        ),
        alert(
            "PoolExhausted",
            &format!(
                "{} > 0 and ignoring (state) ({}{{state=\"in_use\"}} >= ignoring (state) {})",
                CONNECTION_WAITERS.name, CONNECTIONS.name, CONNECTIONS_MAX.name
            ),
            "2m",
            Severity::Warning,
            "All connections to the store are taken, and {{ $value }} calls wait for one.",
        ),
    ]
}

fn alert(name: &str, expr: &str, r#for: &str, severity: Severity, summary: &str) -> Alert {
    let name = format!("PacConcurrency{name}");
    let severity = match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
    };
    let runbook = format!("docs/operations.md#{}", name.to_lowercase());
    Alert {
        expr: expr.to_owned(),
        r#for: r#for.to_owned(),
        labels: BTreeMap::from([("severity".to_owned(), severity.to_owned())]),
        annotations: BTreeMap::from([("summary".to_owned(), summary.to_owned()), ("runbook".to_owned(), runbook)]),
        alert: name,
    }
}

fn minutes(seconds: u64) -> String {
    format!("{} min", seconds / 60)
}
