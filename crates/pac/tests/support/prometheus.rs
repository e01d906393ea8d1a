//! Prometheus, with the alerts that are committed.

use std::time::{SystemTime, UNIX_EPOCH};

use pac_devservers::prometheus::Prometheus;
use serde_json::{Value, json};

use super::process::ask;
use super::{Watcher, eventually};

const RULES: &str = include_str!("../../../../config/standalone-postgresql/monitoring.yaml");
const DASHBOARD: &str = include_str!("../../../../config/grafana-dashboard.json");

/// A Prometheus that scrapes watchers.
pub(crate) struct Scraper {
    server: Prometheus,
    began: f64,
}

/// The alerts, changed by `change`, as a file of rules.
fn rules(change: impl Fn(&mut Value)) -> Value {
    let mut documents = serde_yaml::Deserializer::from_str(RULES);
    let is_rule = |document: &Value| document["kind"] == "PrometheusRule";
    let rule = documents.find_map(|document| {
        let document: Value = serde::Deserialize::deserialize(document).unwrap();
        is_rule(&document).then_some(document)
    });
    let mut groups = rule.unwrap()["spec"]["groups"].clone();
    groups[0]["rules"].as_array_mut().unwrap().iter_mut().for_each(change);
    json!({ "groups": groups })
}

/// Every query of the dashboard with its panel's title, as Grafana would send it with everything chosen.
pub(crate) fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let title = panel["title"].as_str().unwrap().to_owned();
        targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    let variables = ["$cluster", "$job", "$namespace", "$repository"];
    let chosen = |query: String| variables.iter().fold(query, |query, variable| query.replace(variable, ".*"));
    queries.map(|(title, query)| (title, chosen(query).replace("$__rate_interval", "4s"))).collect()
}

// === impl Scraper ===

impl Scraper {
    /// With the alerts as they are.
    pub(crate) fn start(watchers: &[&Watcher]) -> Self {
        Self::with_rules(watchers, &rules(|_| ()))
    }

    /// With alerts that ring after one second, and where two seconds are long to wait.
    pub(crate) fn impatient(watchers: &[&Watcher]) -> Self {
        let rules = rules(|alert| {
            alert["for"] = json!("1s");
            alert["expr"] = json!(alert["expr"].as_str().unwrap().replace("> 1800", "> 2"));
        });
        assert!(rules.to_string().contains("> 2"));
        Self::with_rules(watchers, &rules)
    }

    fn with_rules(watchers: &[&Watcher], rules: &Value) -> Self {
        let ports: Vec<u16> = watchers.iter().map(|watcher| watcher.metrics_port).collect();
        let server = Prometheus::start(&ports, &rules.to_string()).unwrap();
        let scraper = Self { server, began: now() };
        let up = || scraper.values("sum(up)") == [ports.len() as f64];
        eventually("Prometheus scrapes the watchers", up);
        scraper
    }

    /// The values of `query` now.
    pub(crate) fn values(&self, query: &str) -> Vec<f64> {
        let found = self.get("query", &[("query", query)]);
        found["result"].as_array().unwrap().iter().map(|one| number(&one["value"][1])).collect()
    }

    /// All values that `query` has had since the server was started, a second apart.
    pub(crate) fn history(&self, query: &str) -> Vec<f64> {
        let times = [self.began.to_string(), now().to_string()];
        let range = [("query", query), ("start", &times[0]), ("end", &times[1]), ("step", "1")];
        let found = self.get("query_range", &range);
        let series = found["result"].as_array().unwrap().iter().flat_map(|one| one["values"].as_array().unwrap());
        series.map(|value| number(&value[1])).collect()
    }

    /// The exemplars of `query` since the server was started: which run, and what was measured of it.
    pub(crate) fn exemplars(&self, query: &str) -> Vec<(String, f64)> {
        let times = [self.began.to_string(), now().to_string()];
        let found = self.get("query_exemplars", &[("query", query), ("start", &times[0]), ("end", &times[1])]);
        let exemplars = found.as_array().unwrap().iter().flat_map(|one| one["exemplars"].as_array().unwrap());
        exemplars.map(|one| (one["labels"]["run"].as_str().unwrap().to_owned(), number(&one["value"]))).collect()
    }

    /// The rules, with what became of judging them.
    pub(crate) fn judged_rules(&self) -> Vec<Value> {
        self.get("rules", &[])["groups"][0]["rules"].as_array().unwrap().clone()
    }

    /// Waits until the alert rings, or not.
    pub(crate) fn rings(&self, alert: &str, rings: bool) {
        let query = format!("ALERTS{{alertname=\"PacConcurrency{alert}\",alertstate=\"firing\"}}");
        eventually(&format!("{alert} rings: {rings}; now {}", self.ringing()), || {
            self.values(&query).is_empty() != rings
        });
    }

    /// The alerts that ring now, for people.
    pub(crate) fn ringing(&self) -> String {
        self.get("query", &[("query", "ALERTS{alertstate=\"firing\"}")])["result"].to_string()
    }

    fn get(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let (status, body) = ask(self.server.port(), &format!("/api/v1/{what}?{parameters}")).unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 200 && answer["status"] == "success", "{parameters}: {body}");
        answer["data"].clone()
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
