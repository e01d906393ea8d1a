//! Every alert rings when it should, and not before, by promtool's word; and each has a section that says what to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::monitoring::{metrics_of, promtool, rules};
use support::workspace;

/// A story of series, and what it comes to.
struct Case {
    alert: &'static str,
    /// Series and their values, one each 30 s, in promtool's notation.
    series: &'static [(&'static str, &'static str)],
    /// When it must not ring yet, in minutes.
    quiet: u32,
    /// When it must.
    rings: u32,
    /// Labels besides the severity.
    labels: &'static [(&'static str, &'static str)],
    summary: &'static str,
    /// The description, where it says more than it does of every case.
    description: Option<&'static str>,
}

const WHOSE: &[(&str, &str)] = &[("namespace", "ns"), ("repository", "repo")];

/// What NobodyLeads says where no watcher was ever seen.
const UNSEEN: &str = "PipelineRuns that run go on, and none that waits is started. Look at the watcher's pods first.";

/// Values begin well: trouble begins after 2 minutes.
const CASES: &[Case] = &[
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

impl Case {
    fn name(&self) -> String {
        format!("PacConcurrency{}", self.alert)
    }

    /// The case as promtool takes it, of this alert.
    fn test(&self, alert: &Value) -> Value {
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

/// The alert that `case` is of.
fn of<'a>(case: &Case, alerts: &'a [Value]) -> &'a Value {
    let alert = alerts.iter().find(|alert| alert["alert"] == case.name());
    alert.unwrap_or_else(|| panic!("there is no {}", case.name()))
}

/// What promtool says of `rules` after `cases`.
fn judged(rules: &str, cases: impl Iterator<Item = Value>) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let tests = json!({
        "rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": cases.collect::<Vec<_>>(),
    });
    fs::write(folder.path().join("tests.yaml"), tests.to_string()).unwrap();
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]] {
        let output = promtool().args(arguments).current_dir(folder.path()).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
        }
    }
    Ok(())
}

#[test]
fn every_alert_rings_when_it_should_and_not_before() {
    let (rules, alerts) = rules();
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(CASES.iter().any(|case| case.name() == name), "{name} has no case");
    }
    judged(&rules, CASES.iter().map(|case| case.test(of(case, &alerts)))).unwrap();
}

#[test]
fn every_alert_says_what_follows_and_where_the_runbook_is() {
    let told = |alerts: &[Value], runbook: &str| {
        for alert in alerts {
            let annotation =
                |name: &str| alert["annotations"][name].as_str().unwrap_or_else(|| panic!("no {name}: {alert}"));
            assert!(
                annotation("description").ends_with('.') && annotation("description") != annotation("summary"),
                "{alert}"
            );
            let anchor = alert["alert"].as_str().unwrap().to_lowercase();
            assert_eq!(annotation("runbook_url"), format!("{runbook}#{anchor}"));
        }
    };
    told(&rules().1, "https://pac-watcher.example.com/docs/operations.md");
    let here = "https://git.example.org/ci/pac-watcher/blob/v1/docs/operations.md";
    let (_folder, files) = support::rendered(&["--runbook-url", here]);
    let rule: Value = support::typed::object(&files["monitoring.yaml"], "PrometheusRule");
    told(rule["spec"]["groups"][0]["rules"].as_array().unwrap(), here);
    for unusable in ["docs/operations.md", "https://", "https:///x", "https://x/y#z", "https://x/a b", "ftp://x/y"] {
        let output = support::deploy(&["--runbook-url", unusable]).output().unwrap();
        assert!(!output.status.success(), "{unusable}");
        assert!(support::error_of(&output).contains("a whole address"), "{}", support::error_of(&output));
    }
}

#[test]
fn a_store_that_is_away_is_told_once() {
    let (rules, _) = rules();
    let series = |series: &str, values: &str| json!({"series": series, "values": values});
    let nobody = json!({"eval_time": "9m", "alertname": "PacConcurrencyNobodyLeads", "exp_alerts": []});
    let away = json!({
        "interval": "30s",
        "input_series": [
            series("pac_concurrency_leader{pod='a'}", "1x4 0x20"),
            series("pac_concurrency_trouble{part='store',pod='a'}", "0x4 1x20"),
        ],
        "alert_rule_test": [nobody],
    });
    judged(&rules, [away].into_iter()).unwrap();
}

#[test]
fn an_alert_that_rings_at_the_wrong_time_is_noticed() {
    let (rules, alerts) = rules();
    let case = CASES.iter().find(|case| case.alert == "OverLimit").unwrap();
    let broken = rules.replace("(pac_concurrency_excess_runs) > 0", "(pac_concurrency_excess_runs) > 2");
    assert_ne!(rules, broken);
    assert!(judged(&broken, [case.test(of(case, &alerts))].into_iter()).is_err());
    assert!(judged(&rules.replace("max by", "max bye"), std::iter::empty()).is_err());
}

#[test]
fn alerts_are_made_of_metrics_that_exist() {
    let (_, alerts) = rules();
    for alert in &alerts {
        let metrics = metrics_of(alert["expr"].as_str().unwrap());
        assert!(!metrics.is_empty(), "{alert}");
        for metric in metrics {
            assert!(pac_metrics::find(metric).is_some(), "{metric} in {alert}");
        }
    }
}

#[test]
fn every_alert_has_its_section_and_no_section_is_left_over() {
    let (_, alerts) = rules();
    let page = fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    let mut sections: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|name| name.starts_with("PacConcurrency"))
        .collect();
    let mut names: Vec<&str> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    sections.sort_unstable();
    names.sort_unstable();
    assert_eq!(sections, names);
    // What it tells to look at is there.
    for metric in metrics_of(&page) {
        assert!(pac_metrics::find(metric).is_some(), "{metric}");
    }
}

#[test]
fn the_time_to_wait_is_chosen_when_the_alerts_are_made() {
    let (_folder, files) = support::rendered(&["--driver", "etcd", "--wait-target", "5"]);
    let monitoring = &files["monitoring.yaml"];
    assert!(monitoring.contains("> 300 or ") && monitoring.contains("more than 5 min."), "{monitoring}");
}
