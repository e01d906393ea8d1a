//! What to alert on. Each alert has a section in docs/operations.md, which a test insists on.
//!
//! Every watcher tells what it sees of the same cluster, and only the one that leads tells some of it; hence the `max`.

use std::collections::BTreeMap;
use std::time::Duration;

use pac_metrics::catalogue::{
    BACKLOG, CONNECTION_WAITERS, CONNECTIONS, CONNECTIONS_MAX, EXCESS, GATE_HOLDS, GATE_LOSES_ORDERS, HEARS_CHANGES,
    LEADER, LEAKED_SLOT, LEAKED_SLOTS, OLDEST_TRANSACTION_AGE, OLDEST_WAITING_AGE, PAUSED_WITHOUT_END,
    SETTINGS_NOT_IN_FORCE, STARTABLE, TENANT_CERTIFICATE_REMAINING, TROUBLE, WAIT, WAITING,
    WEBHOOK_CERTIFICATE_REMAINING,
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

/// What is written down of an alert here.
struct Rule {
    /// Its name, without what all of them begin with.
    name: &'static str,
    expr: String,
    /// How long it must be so.
    lasts: &'static str,
    severity: Severity,
    /// What is so, in a line.
    summary: String,
    /// What follows from it, and what to look at first.
    description: String,
}

/// Whether somebody is to be woken.
#[derive(Debug, Clone, Copy)]
enum Severity {
    /// A promise is broken, or nobody is admitted.
    Critical,
    /// It is to be looked at within the day.
    Warning,
}

/// How many seconds a transaction may be open. A dump of a database that is the watchers' alone takes less.
const OLD_TRANSACTION: u64 = 1800;

/// How many seconds before its end a certificate should have been renewed. The webhook's own are when 30 days are left.
const CERTIFICATE_DUE: u64 = 7 * 24 * 3600;

/// The Repository an alert is about. Its labels may be left out of the metrics.
const WHOSE: &str =
    "{{ if $labels.repository }}{{ $labels.namespace }}/{{ $labels.repository }}{{ else }}a Repository{{ end }}";

/// All alerts; nine in ten runs should start within `wait_target`, and `runbook` has a section for each alert.
pub(super) fn alerts(wait_target: Duration, runbook: &str) -> Vec<Alert> {
    let rules = of_all().into_iter().chain(of_repositories(wait_target)).chain(of_the_store());
    rules.map(|rule| rule.alert(runbook)).collect()
}

/// Those on the system as a whole.
fn of_all() -> Vec<Rule> {
    // What was told last before nobody told it any more.
    let waited = format!("sum(max by (namespace, repository) (last_over_time({}[1h])))", WAITING.name);
    vec![
        Rule {
            name: "NobodyLeads",
            // Who can't reach the store doesn't lead, and has an alert of his own.
            expr: format!("absent({} == 1) unless on () max({}{{part=\"store\"}}) == 1", LEADER.name, TROUBLE.name),
            lasts: "2m",
            severity: Severity::Critical,
            summary: "No watcher admits PipelineRuns: none runs, or none gets the Lease.".to_owned(),
            description: format!(
                "PipelineRuns that run go on, and none that waits is started. {{{{ with query `{waited}` }}}}{{{{ . | first | value }}}} \
                 waited when a watcher was seen last. {{{{ end }}}}Look at the watcher's pods first."
            ),
        },
        Rule {
            name: "OffWhileRunsWait",
            expr: format!("max({}) > 0", BACKLOG.name),
            lasts: "5m",
            severity: Severity::Critical,
            summary: "The concurrency system is switched off, and {{ $value }} PipelineRuns wait that nobody starts.".to_owned(),
            description: "They wait for ever: concurrency-enabled is false, or its key is gone from the ConfigMap. If that is \
                          meant, start or cancel them; if not, set it to \"true\", and they are started in order."
                .to_owned(),
        },
        Rule {
            name: "ApiServerUnreachable",
            expr: trouble("api_server|run_watch|repository_watch"),
            lasts: "5m",
            severity: Severity::Critical,
            summary: "The watcher is cut off from the API server ({{ $labels.part }}).".to_owned(),
            description: "Nobody is admitted; PipelineRuns that run go on. The watcher's log and /ready say which request was \
                          answered how."
                .to_owned(),
        },
        Rule {
            name: "GateDoesNotHold",
            // Who can't reach the API server can't try it, and has an alert of his own.
            expr: format!("min({}) == 0 unless on () max({}{{part=\"api_server\"}}) == 1", GATE_HOLDS.name, TROUBLE.name),
            lasts: "2m",
            severity: Severity::Critical,
            summary: "Pipelines-as-Code's own queue isn't kept out, and nobody is admitted where there is a limit.".to_owned(),
            description: "The gate (pac-concurrency-execution-order) is missing, has no effect, or nobody can tell: PAC's own queue \
                          starts PipelineRuns by itself. The watcher's /ready and log say what is wrong with it."
                .to_owned(),
        },
        Rule {
            name: "GateLosesOrders",
            expr: format!("max({}) == 1", GATE_LOSES_ORDERS.name),
            lasts: "2m",
            severity: Severity::Warning,
            summary: "The API server can't ask the gate, and runs of one push are admitted in the order of their names.".to_owned(),
            description: "The limit holds and nobody waits for it, but the execution-order that Pipelines-as-Code writes is lost. Mostly \
                          nobody answers the gate's webhook; the watcher's /ready and log have the API server's words."
                .to_owned(),
        },
        Rule {
            name: "WebhookCertificateExpires",
            expr: format!("min({}) < {CERTIFICATE_DUE}", WEBHOOK_CERTIFICATE_REMAINING.name),
            lasts: "10m",
            severity: Severity::Warning,
            summary: "The certificate of the gate's webhook is valid for another {{ $value | humanizeDuration }}, and wasn't renewed."
                .to_owned(),
            description: "Once it has expired, the API server can't ask the webhook: runs of one push are admitted in the order of their \
                          names. The log of the watcher that leads says why it can't renew it, unless somebody else keeps the Secret \
                          pac-concurrency-webhook."
                .to_owned(),
        },
        Rule {
            name: "TenantsCertificateExpires",
            expr: format!("min({}) < {CERTIFICATE_DUE}", TENANT_CERTIFICATE_REMAINING.name),
            lasts: "10m",
            severity: Severity::Warning,
            summary: "The certificate of the port for tenants is valid for another {{ $value | humanizeDuration }}, and wasn't renewed."
                .to_owned(),
            description: "Without a valid one nobody can connect there; admission goes on. It is in the Secret pac-concurrency-tenants, \
                          which somebody else keeps; the watcher's log says why it can't take up what is in it."
                .to_owned(),
        },
        Rule {
            name: "SettingsNotInForce",
            expr: format!("max by (reason) ({}) == 1", SETTINGS_NOT_IN_FORCE.name),
            lasts: "1m",
            severity: Severity::Warning,
            summary: "The settings as they are now are {{ $labels.reason }}, and former ones stay in force.".to_owned(),
            description: "All goes on by the former ones; a watcher that is restarted would not come up, or admit nobody. The log \
                          names each problem, and `pac-watcher check-config` shows the same."
                .to_owned(),
        },
    ]
}

/// Those on one Repository.
fn of_repositories(wait_target: Duration) -> Vec<Rule> {
    let target = wait_target.as_secs();
    vec![
        Rule {
            name: "OverLimit",
            expr: above_zero(EXCESS.name),
            lasts: "1m",
            severity: Severity::Critical,
            summary: format!("{{{{ $value }}}} PipelineRuns of {WHOSE} run over the limit, and didn't before it was set."),
            description: "The watcher never does that: somebody else starts PipelineRuns. They are counted, and the next one waits \
                          until there is room. metadata.managedFields names who removed spec.status."
                .to_owned(),
        },
        Rule {
            name: "SlotsIdle",
            expr: above_zero(STARTABLE.name),
            lasts: "5m",
            severity: Severity::Warning,
            summary: format!("{{{{ $value }}}} PipelineRuns of {WHOSE} wait although there are free slots."),
            description: "Starts that are refused or not answered, leaked slots, or a watcher without a processor to work on. \
                          `pac-watcher queue explain` says of each run what it waits for."
                .to_owned(),
        },
        Rule {
            name: "SlotsLeaked",
            expr: above_zero(LEAKED_SLOTS.name),
            lasts: "5m",
            severity: Severity::Warning,
            summary: format!("{{{{ $value }}}} slots of {WHOSE} are taken for PipelineRuns that are over."),
            description: format!(
                "As many fewer may run. {} has the names; the log says why they could not be freed.",
                LEAKED_SLOT.name
            ),
        },
        Rule {
            name: "WaitOverTarget",
            expr: format!(
                "histogram_quantile(0.9, sum by (namespace, repository, le) (rate({}_bucket[30m]))) > {target} or {} > {target}",
                WAIT.name,
                by_repository(OLDEST_WAITING_AGE.name)
            ),
            lasts: "10m",
            severity: Severity::Warning,
            summary: format!("PipelineRuns of {WHOSE} wait {{{{ $value | humanizeDuration }}}}, more than {}.", minutes(target)),
            description: "That is what nine in ten of those started lately waited at most, or the one that waits longest. Mostly \
                          the limit is too low for the work, or runs hang in their slots."
                .to_owned(),
        },
        Rule {
            name: "PauseForgotten",
            expr: above_zero(PAUSED_WITHOUT_END.name),
            lasts: "1d",
            severity: Severity::Warning,
            summary: format!("An operator paused {WHOSE} without an end, more than a day ago."),
            description: "None of its PipelineRuns is admitted until somebody ends the pause: `pac-watcher queue resume`. `pac-watcher \
                          queue list -A` has the reason that was given; with --for a pause ends by itself."
                .to_owned(),
        },
    ]
}

/// Those on the store of slots and queues.
fn of_the_store() -> Vec<Rule> {
    vec![
        Rule {
            name: "StoreUnreachable",
            expr: trouble("store"),
            lasts: "2m",
            severity: Severity::Critical,
            summary: "The store of slots and queues can't be used, and nobody is admitted.".to_owned(),
            description: "PipelineRuns that run go on, and are counted when it is back; nothing has to be restarted. The watcher's \
                          log and /ready have the server's own words with the setting to look at."
                .to_owned(),
        },
        Rule {
            name: "PoolExhausted",
            expr: format!(
                "{} > 0 and ignoring (state) ({}{{state=\"in_use\"}} >= ignoring (state) {})",
                CONNECTION_WAITERS.name, CONNECTIONS.name, CONNECTIONS_MAX.name
            ),
            lasts: "2m",
            severity: Severity::Warning,
            summary: "All connections to the store are taken, and {{ $value }} calls wait for one.".to_owned(),
            description: "Starts come later than they could. If the server is slow, more connections make it slower; otherwise \
                          raise postgresql-max-connections."
                .to_owned(),
        },
        Rule {
            name: "ChangesUnheard",
            expr: format!("{} == 0", HEARS_CHANGES.name),
            lasts: "10m",
            severity: Severity::Warning,
            summary: "A watcher has no connection to PostgreSQL to listen on, and looks for changes every 2 s.".to_owned(),
            description: "Nobody waits for it but by those 2 s, and only for what another watcher did. Mostly the server has no \
                          connection left, or the role's CONNECTION LIMIT is reached; the log and /ready say why."
                .to_owned(),
        },
        Rule {
            name: "OldTransaction",
            // Several watchers see the same one.
            expr: format!("max({}) > {OLD_TRANSACTION}", OLDEST_TRANSACTION_AGE.name),
            lasts: "5m",
            severity: Severity::Warning,
            summary: "A transaction in PostgreSQL has been open for {{ $value | humanizeDuration }}.".to_owned(),
            description: "Rows that nobody needs any more can't be cleared away meanwhile, and the store grows and slows down. \
                          pg_stat_activity, pg_prepared_xacts and pg_replication_slots say whose it is: end it there."
                .to_owned(),
        },
    ]
}

fn trouble(parts: &str) -> String {
    format!("max by (part) ({}{{part=~\"{parts}\"}}) == 1", TROUBLE.name)
}

fn by_repository(metric: &str) -> String {
    format!("max by (namespace, repository) ({metric})")
}

fn above_zero(metric: &str) -> String {
    format!("{} > 0", by_repository(metric))
}

fn minutes(seconds: u64) -> String {
    format!("{} min", seconds / 60)
}

// === impl Rule ===

impl Rule {
    fn alert(self, runbook: &str) -> Alert {
        let alert = format!("PacConcurrency{}", self.name);
        let severity = match self.severity {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
        };
        let runbook_url = format!("{runbook}#{}", alert.to_lowercase());
        let annotations = [("summary", self.summary), ("description", self.description), ("runbook_url", runbook_url)];
        Alert {
            alert,
            expr: self.expr,
            r#for: self.lasts.to_owned(),
            labels: BTreeMap::from([("severity".to_owned(), severity.to_owned())]),
            annotations: BTreeMap::from(annotations.map(|(name, text)| (name.to_owned(), text))),
        }
    }
}
