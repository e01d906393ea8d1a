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
    targets.map(|target| all_chosen(target["expr"].as_str().unwrap())).collect()
}

/// A query as Grafana would send it with everything chosen.
fn all_chosen(query: &str) -> String {
    let query = query.replace("$__rate_interval", "5m");
    VARIABLES.iter().fold(query, |query, name| query.replace(&format!("${name}"), ".*"))
}

/// What is chosen on top of the page.
const VARIABLES: [&str; 4] = ["cluster", "job", "namespace", "repository"];

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
    // What is not on it: bounds of the process that change with nothing, and shadow mode, which has a report of its own.
    let of_shadow = |name: &str| name.starts_with("pac_concurrency_shadow_");
    let metrics = pac_metrics::metrics().map(|metric| metric.name);
    let missing: Vec<&str> = metrics.filter(|name| !shown.contains(name) && !of_shadow(name)).collect();
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
fn everything_goes_by_what_is_chosen_on_top() {
    let dashboard = dashboard();
    let variables: Vec<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "cluster", "job", "namespace", "repository"]);
    for panel in dashboard["panels"].as_array().unwrap() {
        for query in panel["targets"].as_array().into_iter().flatten().map(|target| target["expr"].as_str().unwrap()) {
            let metrics = metrics_of(query).len();
            let chosen = |name: &str| query.matches(&format!("{name}=~\"${name}\"")).count();
            assert_eq!((chosen("cluster"), chosen("job")), (metrics, metrics), "{query}");
            let of_repositories = metrics_of(query)
                .iter()
                .filter(|metric| pac_metrics::find(metric).unwrap().per_repository.is_some())
                .count();
            assert_eq!((chosen("namespace"), chosen("repository")), (of_repositories, of_repositories), "{query}");
        }
    }
}

/// What a query comes to, as Grafana calls units, by the catalogue.
fn unit_of(query: &str) -> &'static str {
    let metric = pac_metrics::find(metrics_of(query)[0]).unwrap();
    let is_rate = query.contains("rate(");
    match metric.unit {
        _ if query.contains("histogram_quantile") || query.contains("_sum") => "s",
        "bytes" => "bytes",
        // Seconds of a processor in each second: how many are busy.
        "seconds" if is_rate && metric.kind == pac_metrics::Kind::Counter => "short",
        "seconds" if !is_rate => "s",
        _ if is_rate => "ops",
        _ => "short",
    }
}

#[test]
fn a_panel_has_one_unit() {
    for panel in dashboard()["panels"].as_array().unwrap() {
        for query in panel["targets"].as_array().into_iter().flatten().map(|target| target["expr"].as_str().unwrap()) {
            assert_eq!(panel["fieldConfig"]["defaults"]["unit"], unit_of(query), "{}: {query}", panel["title"]);
        }
    }
}

#[test]
fn no_colour_is_left_to_grafana_and_legends_are_the_fields_own() {
    let dashboard = dashboard();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        let steps =
            panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap_or_else(|| panic!("{panel}"));
        assert!(!steps.is_empty() && steps[0]["value"].is_null(), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let (query, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
            assert!(panel["type"] == "stat" || !legend.is_empty(), "{panel}");
            let of_all = query.starts_with("histogram_quantile") && query.contains("sum by (le)");
            let quantile = query.split(['(', ',']).nth(1).unwrap_or_default().trim_start_matches("0.");
            assert!(!of_all || legend == format!("p{quantile:0<2}"), "{legend}: {query}");
        }
    }
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
