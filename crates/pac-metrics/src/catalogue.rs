//! The one table of every metric. Code, documentation, dashboard, alerts and tests read it; nothing repeats a name.

use metrics::{describe_counter, describe_gauge, describe_histogram};

use crate::metric::{Combine, Group, Kind, Label, Metric, Values};

/// Seconds of what a machine does: from what a commit in memory takes to what a deadline allows.
const WORK: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds that people wait: up to half a day.
const PATIENCE: &[f64] =
    &[0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0];

const DRIVERS: &[&str] = &["postgresql", "etcd", "memory"];
const OPERATIONS: &[&str] = &[
    "load",
    "commit",
    "begin",
    "renew",
    "end",
    "repositories",
    "forget",
    "check",
    "legacy",
    "note_legacy",
    "past",
    "keep_past",
];
const OUTCOMES: &[&str] = &["ok", "conflict", "unavailable", "indeterminate", "rejected", "corrupt"];

const fn closed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Closed(values) }
}

const fn open(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::Open(what) }
}

/// Declares the metrics, each as a constant to measure with, and the table of all of them.
macro_rules! catalogue {
    ($($constant:ident = $metric:expr;)*) => {
        $(
            #[doc = concat!("See its entry in the table, or `docs/metrics.md`: `", stringify!($constant), "`.")]
            pub static $constant: Metric = $metric;
        )*
        static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

const fn counter(group: Group, name: &'static str, unit: &'static str) -> Metric {
    Metric::new(Kind::Counter, group, name, unit)
}

const fn gauge(group: Group, name: &'static str, unit: &'static str) -> Metric {
    Metric::new(Kind::Gauge, group, name, unit)
}

const fn seconds(group: Group, name: &'static str, bounds: &'static [f64]) -> Metric {
    Metric::new(Kind::Histogram(bounds), group, name, "seconds")
}

catalogue! {
    REPOSITORIES = gauge(Group::Queues, "pac_concurrency_repositories", "repositories")
        .says("Repositories by what limit they have; held: it can't be told, and nobody is admitted.")
        .labelled(&[closed("limit", &["limited", "unlimited", "held"])]);
    LIMIT = gauge(Group::Queues, "pac_concurrency_limit_runs", "runs")
        .says("How many runs may run at once; 0 while the limit can't be told, and no value without a limit.")
        .of_each_repository(Combine::Sum);
    RUNNING = gauge(Group::Queues, "pac_concurrency_running_runs", "runs")
        .says("Runs that run.")
        .of_each_repository(Combine::Sum);
    WAITING = gauge(Group::Queues, "pac_concurrency_waiting_runs", "runs")
        .says("Runs that wait for a slot.")
        .of_each_repository(Combine::Sum);
    OLDEST_WAITING_AGE = gauge(Group::Queues, "pac_concurrency_oldest_waiting_age_seconds", "seconds")
        .says("How long the run has waited that has waited longest; 0 if none waits.")
        .of_each_repository(Combine::Max);
    STARTABLE = gauge(Group::Queues, "pac_concurrency_startable_runs", "runs")
        .says("Runs that wait although as many could run without exceeding the limit: more than a moment is a fault.")
        .of_each_repository(Combine::Sum);
    PAUSED = gauge(Group::Queues, "pac_concurrency_paused_repositories", "repositories")
        .says("1 for a Repository that an operator paused: none of its runs is admitted.")
        .of_each_repository(Combine::Sum);
    PAUSED_WITHOUT_END = gauge(Group::Queues, "pac_concurrency_paused_without_end_repositories", "repositories")
        .says("1 for a Repository whose pause lasts until somebody ends it; no value for others.")
        .of_each_repository(Combine::Sum);
    HELD_SLOTS = gauge(Group::Queues, "pac_concurrency_held_slots", "slots")
        .says("Slots taken, as the store had it at the last pass. Told by the watcher that leads.")
        .of_each_repository(Combine::Sum);

    ADMISSIONS = counter(Group::Admission, "pac_concurrency_admissions_total", "runs")
        .says("Waiting runs that were given a slot.")
        .of_each_repository(Combine::Sum);
    STARTS = counter(Group::Admission, "pac_concurrency_starts_total", "runs")
        .says("Runs that were started.")
        .of_each_repository(Combine::Sum);
    START_FAILURES = counter(Group::Admission, "pac_concurrency_start_failures_total", "attempts")
        .says(
            "Starts that came to nothing. refused: the API server or a webhook said no; unknown: no answer, or none that \
             says; withdrawn: cancelled or deleted meanwhile; late: not sent, because too long after its slot was given.",
        )
        .labelled(&[closed("reason", &["refused", "unknown", "withdrawn", "late"])])
        .of_each_repository(Combine::Sum);
    RELEASES = counter(Group::Admission, "pac_concurrency_releases_total", "runs")
        .says(
            "Runs whose slot or place was freed. completed, failed: it ended so; withdrawn: cancelled or deleted before it \
             was started; gone: deleted, or made again under its name; unlimited: there is no limit to count for; \
             operator: an operator took its slot.",
        )
        .labelled(&[closed("reason", &["completed", "failed", "withdrawn", "gone", "unlimited", "operator"])])
        .of_each_repository(Combine::Sum);
    ADOPTIONS = counter(Group::Admission, "pac_concurrency_adoptions_total", "runs")
        .says("Runs found running without a slot, and given one, over the limit or not.")
        .of_each_repository(Combine::Sum);
    LIMIT_REACHED = counter(Group::Admission, "pac_concurrency_limit_reached_total", "times")
        .says("Times a Repository came to have someone waiting for its limit.")
        .of_each_repository(Combine::Sum);
    OVER_LIMIT_DRAINS = counter(Group::Admission, "pac_concurrency_over_limit_drains_total", "runs")
        .says("Runs that ran over a limit when it was lowered or first set, and were left to finish.")
        .of_each_repository(Combine::Sum);
    GIVEN_BACK = counter(Group::Admission, "pac_concurrency_given_back_total", "slots")
        .says("Slots given back because their run could not be started; it keeps its place.");
    CLAIMS = counter(Group::Admission, "pac_concurrency_claims_total", "slots")
        .says("Slots taken over from a watcher that is gone or did not act.");
    WAIT = seconds(Group::Admission, "pac_concurrency_wait_seconds", PATIENCE)
        .says(
            "How long runs waited, from when they were created to when they were started. Of runs older than this \
             watcher's process, to the second, by the clocks of the API server and of this machine.",
        )
        .of_each_repository(Combine::Sum);
    HAND_OFF = seconds(Group::Admission, "pac_concurrency_hand_off_seconds", WORK)
        .says("How long a slot stays idle while someone waits: from when its run was seen to be over until the next is started.");
    START = seconds(Group::Admission, "pac_concurrency_start_seconds", WORK)
        .says("From the commit of a slot to the API server's word that its run was started.");

    EXCESS = gauge(Group::Audit, "pac_concurrency_excess_runs", "runs")
        .says("Runs that run over the limit and did not run yet when it was lowered or first set: always 0, unless others start runs.")
        .of_each_repository(Combine::Sum);
    DRAINING = gauge(Group::Audit, "pac_concurrency_draining_runs", "runs")
        .says("Runs over the limit that ran already when it was lowered or first set, or when this watcher began: they drain.")
        .of_each_repository(Combine::Sum);
    LEAKED_SLOTS = gauge(Group::Audit, "pac_concurrency_leaked_slots", "slots")
        .says("Slots whose run has been done or gone for 30 s, and that are still taken. Told by the watcher that leads.")
        .of_each_repository(Combine::Sum);
    LEAKED_SLOT = gauge(Group::Audit, "pac_concurrency_leaked_slot_info", "1")
        .says("The leaked slots by name, the first 10 of a Repository; without the labels of Repositories there are none.")
        .labelled(&[open("run", "name of the PipelineRun")])
        .of_each_repository(Combine::Sum);

    OPEN_TO_PACS_QUEUE = gauge(Group::Audit, "pac_concurrency_open_to_pacs_queue_runs", "runs")
        .says(
            "Runs that wait and that PAC's own queue has to start: those it had before the gate was closed, or gets because the gate \
             doesn't hold. Nobody else of their Repository is admitted meanwhile. No value where there are none, and in standalone mode.",
        )
        .of_each_repository(Combine::Sum);

    GATE_HOLDS = gauge(Group::Audit, "pac_concurrency_gate_holds", "1 or 0")
        .says(
            "1 while the gate keeps runs from PAC's own queue, 0 while it doesn't, or nobody can tell: then none of a Repository with a \
             limit is admitted. No value in standalone mode, and while the system is switched off.",
        );
    GATE_LOSES_ORDERS = gauge(Group::Audit, "pac_concurrency_gate_loses_orders", "1 or 0")
        .says(
            "1 while the API server can't ask the gate, a webhook that nobody serves for one, and so refuses PAC's word on the order of an \
             event's runs: they are admitted in the order of their names. No value with a gate of kind deny, in standalone mode, and while the \
             system is switched off.",
        );

    SHADOW_WAIT = seconds(Group::Audit, "pac_concurrency_shadow_wait_seconds", PATIENCE)
        .says("Shadow mode: how long runs waited in PAC's own queue, from its word that they are queued until they were started.")
        .of_each_repository(Combine::Sum);
    SHADOW_WOULD_HAVE_WAITED = seconds(Group::Audit, "pac_concurrency_shadow_would_have_waited_seconds", PATIENCE)
        .says("Shadow mode: how long the same runs would have waited under our rule, each running as long as it did.")
        .of_each_repository(Combine::Sum);
    SHADOW_HAND_OFF = seconds(Group::Audit, "pac_concurrency_shadow_hand_off_seconds", WORK)
        .says("Shadow mode: how long PAC's own queue left a slot idle while someone waited: from the end of its run until the next was started.")
        .of_each_repository(Combine::Sum);
    SHADOW_SLOTS = counter(Group::Audit, "pac_concurrency_shadow_slot_seconds_total", "seconds")
        .says(
            "Shadow mode, of PAC's own queue. idle: slots that were free while someone waited, times the seconds they were; over_limit: \
             runs over the limit, times the seconds they were.",
        )
        .labelled(&[closed("slots", &["idle", "over_limit"])])
        .of_each_repository(Combine::Sum);
    SHADOW_DRIFT = counter(Group::Audit, "pac_concurrency_shadow_drift_total", "times")
        .says(
            "Shadow mode: what PAC's own queue lost track of. forgotten: a run waited beside a free slot for 30 s; passed: others behind \
             a run were started, and it was not within 5 s; over_limit: more came to run than the limit allows.",
        )
        .labelled(&[closed("kind", &["forgotten", "passed", "over_limit"])])
        .of_each_repository(Combine::Sum);

    PASS = seconds(Group::Work, "pac_concurrency_pass_seconds", WORK)
        .says("Time of one pass over one Repository: looking, deciding and one commit at most.")
        .labelled(&[closed("outcome", &["ok", "error"])]);
    WORK_QUEUE = gauge(Group::Work, "pac_concurrency_work_queue_repositories", "repositories")
        .says("Repositories that are to be looked at, or looked at again; 0 on a standby, which looks at none.");
    CONFLICTS = counter(Group::Work, "pac_concurrency_conflicts_total", "commits")
        .says("Commits that came to nothing because another watcher was faster; each is decided again.");
    LEASE_LOSSES = counter(Group::Work, "pac_concurrency_lease_losses_total", "leases")
        .says("Times this watcher lost the lease behind its slots.");
    WATCH_RESTARTS = counter(Group::Work, "pac_concurrency_watch_restarts_total", "times")
        .says("Times a watch or a list broke and was begun again; one that the API server closes in good order is none.")
        .labelled(&[closed("watch", &["pipelineruns", "repositories"])]);
    WEBHOOK_REVIEWS = counter(Group::Work, "pac_concurrency_webhook_reviews_total", "reviews")
        .says("Writes that the API server showed to this watcher's webhook (--gate webhook): the order renamed, nothing to rename, or no review at all.")
        .labelled(&[closed("result", &["renamed", "passed", "refused"])]);
    WEBHOOK_DURATION = seconds(Group::Work, "pac_concurrency_webhook_seconds", WORK)
        .says("How long the webhook takes from the head of a request to its answer.");
    WEBHOOK_CERTIFICATE_REMAINING = gauge(Group::Work, "pac_concurrency_webhook_certificate_remaining_seconds", "seconds")
        .says("For how long the certificate that the webhook shows is still valid; 0 without one, and no value without a webhook.");
    RUNS_DONE = counter(Group::Work, "pac_concurrency_runs_done_total", "runs")
        .says("Final states written onto runs; standalone mode only.")
        .labelled(&[closed("state", &["completed", "failed"]), closed("outcome", &["ok", "error"])]);

    STORE = gauge(Group::Store, "pac_concurrency_store_info", "1")
        .says("Which driver is in use; no value while none is.")
        .labelled(&[closed("driver", DRIVERS)]);
    DRIVER_CALL = seconds(Group::Store, "pac_concurrency_driver_call_seconds", WORK)
        .says("Time of calls to the store, by what came of them.")
        .labelled(&[closed("driver", DRIVERS), closed("operation", OPERATIONS), closed("outcome", OUTCOMES)]);
    CONNECTIONS = gauge(Group::Store, "pac_concurrency_store_connections", "connections")
        .says("Open connections to the store that calls use; the one that listens to PostgreSQL is not among them.")
        .labelled(&[closed("state", &["in_use", "idle"])]);
    CONNECTIONS_MAX = gauge(Group::Store, "pac_concurrency_store_connections_max", "connections")
        .says("How many of them there may be. With etcd one, which all calls share.");
    CONNECTION_WAITERS = gauge(Group::Store, "pac_concurrency_store_waiting_calls", "calls")
        .says("Calls to the store that wait for a connection now.");
    HEARS_CHANGES = gauge(Group::Store, "pac_concurrency_store_hears_changes", "1 or 0")
        .says(
            "1 while PostgreSQL sends word of what other watchers change, 0 while it is looked for every 2 s, because there is no \
             connection to listen on. No value where nothing is listened to: other drivers, and transaction poolers.",
        );
    OLDEST_TRANSACTION_AGE = gauge(Group::Store, "pac_concurrency_store_oldest_transaction_age_seconds", "seconds")
        .says(
            "Age of the oldest transaction for which PostgreSQL keeps rows that are no longer needed, asked for every 30 s: since it \
             began, or, where the watcher's user may not know that, since it was first seen; 0 if there is none. No value with other \
             drivers, and where it may not be asked for.",
        );

    ENABLED = gauge(Group::Watcher, "pac_concurrency_enabled", "1 or 0")
        .says("1 while the system is switched on (concurrency-enabled), 0 while it is off and admits nobody.");
    ALL_PAUSED = gauge(Group::Watcher, "pac_concurrency_paused", "1 or 0")
        .says("1 while nobody is admitted anywhere by the settings (concurrency-paused).");
    BACKLOG = gauge(Group::Watcher, "pac_concurrency_waiting_while_off_runs", "runs")
        .says(
            "Runs that wait although the system is switched off, and that nobody else would start; beyond 2,000 they are not \
             counted. Asked for every two minutes, and told, by the watcher that leads; no value while the system is on.",
        );
    LEADER = gauge(Group::Watcher, "pac_concurrency_leader", "1 or 0")
        .says("1 while this watcher leads, and so admits runs if the system is switched on; without election, always.");
    TROUBLE = gauge(Group::Watcher, "pac_concurrency_trouble", "1 or 0")
        .says("1 for each part that is in trouble now; the log and /ready say why.")
        .labelled(&[closed(
            "part",
            &["settings", "store", "api_server", "run_watch", "repository_watch", "gate", "start"],
        )]);
    SETTINGS_NOT_IN_FORCE = gauge(Group::Watcher, "pac_concurrency_settings_not_in_force", "1 or 0")
        .says("1 while former settings stay in force. unusable: the new ones are wrong; unreachable: their store can't be had.")
        .labelled(&[closed("reason", &["unusable", "unreachable"])]);
    EVENTS = counter(Group::Watcher, "pac_concurrency_events_total", "Events")
        .says(
            "Kubernetes Events. written: published, or counted on one; retried: it could not be written then; failed: the API \
             server won't have it; superseded: there was newer news of that run before it was written; dropped: too many \
             waited to be written.",
        )
        .labelled(&[closed("outcome", &["written", "retried", "failed", "superseded", "dropped"])]);
    NOTICES = counter(Group::Watcher, "pac_concurrency_annotation_writes_total", "writes")
        .says(
            "Writes of what PipelineRuns that wait say of it themselves. written: place, reason and expected start; taken_away: the \
             run waits no more, and no start took them away; past: the run was started, cancelled or deleted before it was \
             written; failed: the API server would not, or had no time; put_off: not sent, because starts were under way, the \
             API server is short of time, or as many as a second allows were sent.",
        )
        .labelled(&[closed("outcome", &["written", "taken_away", "past", "failed", "put_off"])]);
    TRACE_SPANS = counter(Group::Watcher, "pac_concurrency_trace_spans_total", "spans")
        .says("Spans of runs' waits. sent: the collector took it; refused: it took others of that request; failed: it was given up; dropped: too many waited to be sent.")
        .labelled(&[closed("outcome", &["sent", "refused", "failed", "dropped"])]);
    CONFIG_RELOADS = counter(Group::Watcher, "pac_concurrency_config_reloads_total", "times")
        .says("Changes of the settings. applied: taken up; refused: they can't be used.")
        .labelled(&[closed("outcome", &["applied", "refused"])]);
    TENANT_REQUESTS = counter(Group::Watcher, "pac_concurrency_tenant_requests_total", "requests")
        .says(
            "Requests at the port for tenants, by the code of the answer. 401: no token, or one that is nobody's; 403: a namespace \
             that isn't theirs to see; 429: too often; 503: the API server can't be asked, or this watcher is starting.",
        )
        .labelled(&[closed("code", &["200", "400", "401", "403", "404", "405", "429", "503"])]);
    TENANT_CERTIFICATE_REMAINING = gauge(Group::Watcher, "pac_concurrency_tenant_certificate_remaining_seconds", "seconds")
        .says("For how long the certificate shown to tenants is still valid; 0 without one, and no value without a port with TLS.");
    TENANT_REVIEWS = counter(Group::Watcher, "pac_concurrency_tenant_reviews_total", "reviews")
        .says("Questions to the API server about a caller: token: who it is; access: what they may see. failed: no answer.")
        .labelled(&[closed("about", &["token", "access"]), closed("answer", &["yes", "no", "failed"])]);
    BUILD = gauge(Group::Watcher, "pac_concurrency_build_info", "1")
        .says("The watcher's version.")
        .labelled(&[open("version", "version of pac-watcher")]);

    PROCESS_CPU = counter(Group::Process, "process_cpu_seconds_total", "seconds")
        .says("Time the process spent on processors.");
    PROCESS_MEMORY = gauge(Group::Process, "process_resident_memory_bytes", "bytes").says("Memory in use.");
    PROCESS_VIRTUAL = gauge(Group::Process, "process_virtual_memory_bytes", "bytes").says("Memory reserved.");
    PROCESS_VIRTUAL_MAX = gauge(Group::Process, "process_virtual_memory_max_bytes", "bytes")
        .says("Memory that may be reserved.");
    PROCESS_FILES = gauge(Group::Process, "process_open_fds", "file descriptors").says("Open files and connections.");
    PROCESS_FILES_MAX = gauge(Group::Process, "process_max_fds", "file descriptors")
        .says("How many files and connections may be open.");
    PROCESS_THREADS = gauge(Group::Process, "process_threads", "threads").says("Threads of the process.");
    PROCESS_START = gauge(Group::Process, "process_start_time_seconds", "seconds")
        .says("When the process was started, in seconds since 1970.");
}

/// Every metric, in the order of the documentation.
pub fn metrics() -> impl ExactSizeIterator<Item = &'static Metric> + Clone {
    ALL.iter().copied()
}

/// The metric that a series of this name belongs to: a histogram's have endings of their own.
pub fn find(series: &str) -> Option<&'static Metric> {
    let is_histogram = |metric: &Metric| matches!(metric.kind, Kind::Histogram(_));
    metrics().find(|metric| match series.strip_prefix(metric.name) {
        Some("") => !is_histogram(metric),
        Some("_bucket" | "_sum" | "_count") => is_histogram(metric),
        _ => false,
    })
}

/// Registers every help text with the recorder in place, which must be the process's last, and every counter of the whole
/// watcher at 0: one that first shows when something was counted is not seen to grow.
pub fn describe() {
    for metric in metrics().filter(|metric| metric.per_repository.is_none()) {
        metric.keep_handles();
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
        if metric.kind == Kind::Counter && metric.group != Group::Process {
            metric.combinations().iter().for_each(|values| metric.count(values, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_is_there_once_under_our_name_or_as_everybodys() {
        let names: BTreeSet<_> = metrics().map(|metric| metric.name).collect();
        assert_eq!(names.len(), metrics().len());
        for metric in metrics() {
            let prefix = if metric.group == Group::Process { "process_" } else { "pac_concurrency_" };
            assert!(metric.name.starts_with(prefix), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn names_end_as_their_kind_and_unit_ask_for() {
        for metric in metrics().filter(|metric| metric.group != Group::Process) {
            let ending = match (metric.kind, metric.unit) {
                (Kind::Counter, _) => "_total",
                (_, "1") => "_info",
                // Yes or no, and how many of what the name itself says, have no unit.
                (_, "1 or 0" | "connections" | "calls") => "",
                (_, unit) => unit,
            };
            assert!(metric.name.ends_with(ending), "{} in {}", metric.name, metric.unit);
        }
    }

    #[test]
    fn series_of_histograms_are_found() {
        assert_eq!(find("pac_concurrency_wait_seconds_bucket").unwrap().name, WAIT.name);
        assert_eq!(find("pac_concurrency_waiting_runs").unwrap().name, WAITING.name);
        assert!(find("pac_concurrency_wait_seconds").is_none() && find("pac_concurrency_waiting_runs_sum").is_none());
    }

    #[test]
    fn bounds_ascend() {
        for metric in metrics() {
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted(), "{}", metric.name);
            }
        }
    }

    #[test]
    fn a_label_has_every_combination_with_the_others() {
        assert_eq!(RUNS_DONE.combinations().len(), 4);
        assert_eq!(CLAIMS.combinations(), [[""; 0]]);
        assert_eq!(BUILD.combinations().len(), 0);
        for metric in metrics() {
            for (number, values) in metric.combinations().iter().enumerate() {
                assert_eq!(metric.combination(values), Some(number), "{} {values:?}", metric.name);
            }
        }
    }
}
