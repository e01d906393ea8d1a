//! Every alert by stories of series: until when it doesn't ring, and when it does.

use serde_json::{Value, json};

/// A story of series, and what it comes to.
pub(crate) struct Case {
    pub(crate) alert: &'static str,
    /// Series and their values, one each 30 s, in promtool's notation.
    pub(crate) series: &'static [(&'static str, &'static str)],
    /// When it must not ring yet, in minutes.
    pub(crate) quiet: u32,
    /// When it must.
    pub(crate) rings: u32,
    /// Labels besides the severity.
    pub(crate) labels: &'static [(&'static str, &'static str)],
    pub(crate) summary: &'static str,
    /// The description, where it says more than it does of every case.
    pub(crate) description: Option<&'static str>,
}

const WHOSE: &[(&str, &str)] = &[("namespace", "ns"), ("repository", "repo")];

/// What NobodyLeads says where no watcher was ever seen.
const UNSEEN: &str = "PipelineRuns that run go on, and none that waits is started. Look at the watcher's pods first.";

/// Values begin well: trouble begins after 2 minutes.
pub(crate) const CASES: &[Case] = &[
    Case {
        alert: "NobodyLeads",
        series: &[
            ("pac_concurrency_leader{pod='a'}", "1x4 0x20"),
            ("pac_concurrency_leader{pod='b'}", "0x24"),
            ("pac_concurrency_trouble{part='store',pod='b'}", "0x24"),
        ],
        quiet: 3,
        rings: 5,
        labels: &[],
        summary: "No watcher admits PipelineRuns: none runs, or none gets the Lease.",
        description: None,
    },
    // How many waited is what was told last.
    Case {
        alert: "NobodyLeads",
        series: &[
            ("pac_concurrency_leader", "1x4 stale"),
            ("pac_concurrency_waiting_runs{namespace='ns',repository='repo',pod='a'}", "3x4 stale"),
            ("pac_concurrency_waiting_runs{namespace='ns',repository='repo',pod='b'}", "3x4 stale"),
            ("pac_concurrency_waiting_runs{namespace='ns',repository='other',pod='a'}", "4x4 stale"),
        ],
        quiet: 3,
        rings: 5,
        labels: &[],
        summary: "No watcher admits PipelineRuns: none runs, or none gets the Lease.",
        description: Some(
            "PipelineRuns that run go on, and none that waits is started. 7 waited when a watcher was seen last. Look at the \
             watcher's pods first.",
        ),
    },
    // Nobody waits at first, and one of two watchers tells.
    Case {
        alert: "OffWhileRunsWait",
        series: &[
            ("pac_concurrency_enabled{pod='a'}", "0x24"),
            ("pac_concurrency_waiting_while_off_runs{pod='a'}", "0x4 12x20"),
            ("pac_concurrency_leader{pod='a'}", "1x24"),
        ],
        quiet: 6,
        rings: 8,
        labels: &[],
        summary: "The concurrency system is switched off, and 12 PipelineRuns wait that nobody starts.",
        description: None,
    },
    // One of two watchers finds out first.
    Case {
        alert: "GateDoesNotHold",
        series: &[
            ("pac_concurrency_gate_holds{pod='a'}", "_x2 1x2 0x20"),
            ("pac_concurrency_gate_holds{pod='b'}", "_x2 1x22"),
        ],
        quiet: 3,
        rings: 6,
        labels: &[],
        summary: "Pipelines-as-Code's own queue isn't kept out, and nobody is admitted where there is a limit.",
        description: None,
    },
    // Only one of them has tried it while it was so.
    Case {
        alert: "GateLosesOrders",
        series: &[
            ("pac_concurrency_gate_loses_orders{pod='a'}", "_x2 0x2 1x20"),
            ("pac_concurrency_gate_loses_orders{pod='b'}", "_x2 0x22"),
            ("pac_concurrency_gate_holds{pod='a'}", "1x24"),
        ],
        quiet: 4,
        rings: 6,
        labels: &[],
        summary: "The API server can't ask the gate, and runs of one push are admitted in the order of their names.",
        description: None,
    },
    // One of two watchers has not taken up the new one.
    Case {
        alert: "WebhookCertificateExpires",
        series: &[
            ("pac_concurrency_webhook_certificate_remaining_seconds{pod='a'}", "_x2 604890-30x40"),
            ("pac_concurrency_webhook_certificate_remaining_seconds{pod='b'}", "_x2 7776000-30x40"),
        ],
        quiet: 12,
        rings: 14,
        labels: &[],
        summary: "The certificate of the gate's webhook is valid for another 6d 23h 48m 30s, and wasn't renewed.",
        description: None,
    },
    // One of two watchers has not taken up the new one.
    Case {
        alert: "TenantsCertificateExpires",
        series: &[
            ("pac_concurrency_tenant_certificate_remaining_seconds{pod='a'}", "_x2 604890-30x40"),
            ("pac_concurrency_tenant_certificate_remaining_seconds{pod='b'}", "_x2 7776000-30x40"),
        ],
        quiet: 12,
        rings: 14,
        labels: &[],
        summary: "The certificate of the port for tenants is valid for another 6d 23h 48m 30s, and wasn't renewed.",
        description: None,
    },
    // From one watcher to the next.
    Case {
        alert: "PauseForgotten",
        series: &[
            (
                "pac_concurrency_paused_without_end_repositories{namespace='ns',repository='repo',pod='a'}",
                "_x4 1x2000 stale",
            ),
            (
                "pac_concurrency_paused_without_end_repositories{namespace='ns',repository='repo',pod='b'}",
                "_x2003 1x1000",
            ),
            (
                "pac_concurrency_paused_without_end_repositories{namespace='ns',repository='short',pod='a'}",
                "_x4 1x2000 stale",
            ),
        ],
        quiet: 1440,
        rings: 1445,
        labels: WHOSE,
        summary: "An operator paused ns/repo without an end, more than a day ago.",
        description: None,
    },
    Case {
        alert: "StoreUnreachable",
        series: &[
            ("pac_concurrency_trouble{part='store',pod='a'}", "0x4 1x20"),
            ("pac_concurrency_trouble{part='store',pod='b'}", "0x24"),
        ],
        quiet: 3,
        rings: 5,
        labels: &[("part", "store")],
        summary: "The store of slots and queues can't be used, and nobody is admitted.",
        description: None,
    },
    Case {
        alert: "ApiServerUnreachable",
        series: &[
            ("pac_concurrency_trouble{part='run_watch'}", "0x4 1x30"),
            ("pac_concurrency_trouble{part='start'}", "1x34"),
        ],
        quiet: 6,
        rings: 8,
        labels: &[("part", "run_watch")],
        summary: "The watcher is cut off from the API server (run_watch).",
        description: None,
    },
    Case {
        alert: "OverLimit",
        series: &[
            ("pac_concurrency_excess_runs{namespace='ns',repository='repo',pod='a'}", "0x4 2x20"),
            ("pac_concurrency_excess_runs{namespace='ns',repository='repo',pod='b'}", "0x4 2x20"),
            ("pac_concurrency_draining_runs{namespace='ns',repository='other',pod='a'}", "5x24"),
        ],
        quiet: 2,
        rings: 4,
        labels: WHOSE,
        summary: "2 PipelineRuns of ns/repo run over the limit, and didn't before it was set.",
        description: None,
    },
    Case {
        alert: "SlotsIdle",
        series: &[("pac_concurrency_startable_runs", "0x4 3x20")],
        quiet: 6,
        rings: 8,
        labels: &[],
        summary: "3 PipelineRuns of a Repository wait although there are free slots.",
        description: None,
    },
    Case {
        alert: "SlotsLeaked",
        series: &[("pac_concurrency_leaked_slots{namespace='ns',repository='repo'}", "0x4 1x20")],
        quiet: 6,
        rings: 8,
        labels: WHOSE,
        summary: "1 slots of ns/repo are taken for PipelineRuns that are over.",
        description: None,
    },
    // Every half minute one run is started: nine in ten have waited 20 min at most, then all more than 30.
    Case {
        alert: "WaitOverTarget",
        series: &[
            ("pac_concurrency_wait_seconds_bucket{namespace='ns',repository='repo',le='1200'}", "0+1x60 60x120"),
            ("pac_concurrency_wait_seconds_bucket{namespace='ns',repository='repo',le='1800'}", "0+1x60 60x120"),
            ("pac_concurrency_wait_seconds_bucket{namespace='ns',repository='repo',le='3600'}", "0+1x180"),
            ("pac_concurrency_wait_seconds_bucket{namespace='ns',repository='repo',le='+Inf'}", "0+1x180"),
        ],
        quiet: 30,
        rings: 75,
        labels: WHOSE,
        summary: "PipelineRuns of ns/repo wait 57m 0s, more than 30 min.",
        description: None,
    },
    // Nobody is started at all.
    Case {
        alert: "WaitOverTarget",
        series: &[("pac_concurrency_oldest_waiting_age_seconds{namespace='ns',repository='repo'}", "0+30x120")],
        quiet: 39,
        rings: 41,
        labels: WHOSE,
        summary: "PipelineRuns of ns/repo wait 41m 0s, more than 30 min.",
        description: None,
    },
    Case {
        alert: "SettingsNotInForce",
        series: &[
            ("pac_concurrency_settings_not_in_force{reason='unusable'}", "0x4 1x20"),
            ("pac_concurrency_settings_not_in_force{reason='unreachable'}", "0x24"),
        ],
        quiet: 2,
        rings: 4,
        labels: &[("reason", "unusable")],
        summary: "The settings as they are now are unusable, and former ones stay in force.",
        description: None,
    },
    Case {
        alert: "PoolExhausted",
        series: &[
            ("pac_concurrency_store_waiting_calls{pod='a'}", "5x4 7x20"),
            ("pac_concurrency_store_connections{pod='a',state='in_use'}", "8x4 9x20"),
            ("pac_concurrency_store_connections{pod='a',state='idle'}", "1x4 0x20"),
            ("pac_concurrency_store_connections_max{pod='a'}", "9x24"),
        ],
        quiet: 3,
        rings: 5,
        labels: &[("pod", "a")],
        summary: "All connections to the store are taken, and 7 calls wait for one.",
        description: None,
    },
    Case {
        alert: "ChangesUnheard",
        series: &[
            ("pac_concurrency_store_hears_changes{pod='a'}", "1x4 0x40"),
            ("pac_concurrency_store_hears_changes{pod='b'}", "1x44"),
        ],
        quiet: 11,
        rings: 13,
        labels: &[("pod", "a")],
        summary: "A watcher has no connection to PostgreSQL to listen on, and looks for changes every 2 s.",
        description: None,
    },
    // Both watchers see it, one of them a little later.
    Case {
        alert: "OldTransaction",
        series: &[
            ("pac_concurrency_store_oldest_transaction_age_seconds{pod='a'}", "0x3 0+30x120"),
            ("pac_concurrency_store_oldest_transaction_age_seconds{pod='b'}", "0x4 0+30x120"),
        ],
        quiet: 36,
        rings: 38,
        labels: &[],
        summary: "A transaction in PostgreSQL has been open for 36m 0s.",
        description: None,
    },
];

// === impl Case ===

impl Case {
    /// The name of its alert.
    pub(crate) fn name(&self) -> String {
        format!("PacConcurrency{}", self.alert)
    }

    /// The case as promtool takes it, of this alert.
    pub(crate) fn test(&self, alert: &Value) -> Value {
        let series = self.series.iter().map(|(series, values)| json!({"series": series, "values": values}));
        let mut labels = json!({ "severity": alert["labels"]["severity"] });
        for (name, value) in self.labels {
            labels[name] = json!(value);
        }
        let mut annotations = alert["annotations"].clone();
        annotations["summary"] = json!(self.summary);
        if let Some(description) = self.description {
            annotations["description"] = json!(description);
        } else if annotations["description"].as_str().unwrap().contains("{{") {
            annotations["description"] = json!(UNSEEN);
        }
        let rung = json!({"exp_labels": labels, "exp_annotations": annotations});
        let at = |minutes: u32, expected: Value| json!({"eval_time": format!("{minutes}m"), "alertname": self.name(), "exp_alerts": expected});
        json!({
            "interval": "30s",
            "input_series": series.collect::<Vec<_>>(),
            "alert_rule_test": [at(self.quiet, json!([])), at(self.rings, json!([rung]))],
        })
    }
}
