//! Every alert rings when it should, and not before, by promtool's word; and each has a section that says what to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::alert_cases::{CASES, Case};
use support::monitoring::{metrics_of, promtool, rules};
use support::workspace;

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
