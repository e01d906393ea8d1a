//! The dashboard asks for metrics that there are, in expressions that Prometheus can read.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use support::monitoring::{metrics_of, promtool};
use support::workspace;

fn dashboard() -> Value {
    let text = fs::read_to_string(workspace().join("config/grafana-dashboard.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every expression, as Grafana would send it with everything chosen.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    queries
        .map(|query| query.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$repository", ".*"))
        .collect()
}

#[test]
fn every_metric_it_asks_for_exists() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.map(|variable| variable["query"].as_str().unwrap().to_owned()).skip(1);
    let queries: Vec<String> = queries(&dashboard).into_iter().chain(variables).collect();
    assert!(queries.len() > 40);
    let mut shown = BTreeSet::new();
    for query in &queries {
        let metrics = metrics_of(query);
        assert!(!metrics.is_empty(), "{query}");
        for metric in metrics {
            let found = pac_metrics::find(metric).unwrap_or_else(|| panic!("no {metric}: {query}"));
            shown.insert(found.name);
        }
    }
    // What is not on it: bounds of the process that change with nothing.
    let missing: Vec<&str> =
        pac_metrics::metrics().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    let left_out =
        ["process_virtual_memory_bytes", "process_virtual_memory_max_bytes", "process_max_fds", "process_threads"];
    assert_eq!(missing, left_out, "put new ones on it: xtask/src/deploy/dashboard.rs");
}

#[test]
fn prometheus_can_read_every_query() {
    let rules: Vec<Value> = queries(&dashboard())
        .iter()
        .enumerate()
        .map(|(number, query)| json!({"record": format!("query:{number}"), "expr": query}))
        .collect();
    let judged = |rules: &[Value]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.yaml");
        fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
        promtool().args(["check", "rules", "--lint=none"]).arg(&file).output().unwrap()
    };
    let output = judged(&rules);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!judged(&[json!({"record": "broken", "expr": "rate(x)"})]).status.success());
}

#[test]
fn no_panel_covers_another_and_each_says_what_it_shows() {
    let dashboard = dashboard();
    let mut covered = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(covered.insert((x, y)), "{panel}");
        }
        if panel["type"] != "row" {
            assert!(
                !panel["description"].as_str().unwrap().is_empty() && panel["datasource"]["uid"] == "${datasource}"
            );
        }
    }
}
