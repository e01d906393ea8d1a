//! What Prometheus would read of `/metrics`.

use std::collections::{BTreeMap, BTreeSet};

use pac_metrics::{Kind, Metric, Values};

use super::{Watcher, eventually};

/// One answer of `/metrics`.
#[derive(Debug)]
pub(crate) struct Scrape {
    samples: Vec<Sample>,
    /// Metrics with a help text, and of which kind they are said to be.
    kinds: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Sample {
    series: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

// === impl Scrape ===

impl Scrape {
    pub(crate) fn of(watcher: &Watcher) -> Self {
        Self::parse(&Watcher::get(watcher.metrics_port, "/metrics"))
    }

    fn parse(text: &str) -> Self {
        let (mut samples, mut kinds, mut helped) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(helped.contains(name) && kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                samples.push(Sample::parse(line));
            }
        }
        Self { samples, kinds }
    }

    /// The value of the series with these labels and no others.
    pub(crate) fn value(&self, series: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.iter().find(|sample| sample.series == series && sample.labels == wanted).map(|sample| sample.value)
    }

    /// The sum of all series that have these labels.
    pub(crate) fn sum(&self, series: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.series == series
                && labels.iter().all(|(name, value)| sample.labels.get(*name).map(String::as_str) == Some(*value))
        };
        self.samples.iter().filter(has).map(|sample| sample.value).sum()
    }

    /// Whether any series has this label with this value.
    pub(crate) fn mentions(&self, label: &str, value: &str) -> bool {
        self.samples.iter().any(|sample| sample.labels.get(label).map(String::as_str) == Some(value))
    }

    /// The metrics of which there is a value. Each must be in the catalogue, of the kind and with the labels that it has
    /// there.
    pub(crate) fn checked(&self) -> BTreeSet<&'static str> {
        self.samples.iter().map(|sample| sample.check(&self.kinds)).collect()
    }

    /// Waits until the series has the value; what else is there by then.
    pub(crate) fn until(watcher: &Watcher, series: &str, labels: &[(&str, &str)], value: f64) -> Self {
        let mut last = Self::of(watcher);
        eventually(&format!("{series} {labels:?} is {value}"), || {
            last = Self::of(watcher);
            last.value(series, labels) == Some(value)
        });
        last
    }
}

// === impl Sample ===

impl Sample {
    /// Label values in tests have no quotes and commas in them.
    fn parse(line: &str) -> Self {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let (series, labels) = name.split_once('{').unwrap_or((name, "}"));
        let labels = labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
        Self { series: series.to_owned(), labels: labels.collect(), value: value.parse().unwrap() }
    }

    fn check(&self, kinds: &BTreeMap<String, String>) -> &'static str {
        let metric: &'static Metric =
            pac_metrics::find(&self.series).unwrap_or_else(|| panic!("not in the catalogue: {self:?}"));
        assert_eq!(kinds.get(metric.name).map(String::as_str), Some(metric.kind.name()), "{self:?}");
        for (name, value) in &self.labels {
            let is_own = |label: &&pac_metrics::Label| label.name == name;
            match metric.labels.iter().find(is_own).map(|label| label.values) {
                Some(Values::Closed(values)) => assert!(values.contains(&value.as_str()), "{self:?}"),
                Some(Values::Open(_)) => {}
                None if name == "le" => assert!(matches!(metric.kind, Kind::Histogram(_)), "{self:?}"),
                None => {
                    let of_repository = ["namespace", "repository"].contains(&name.as_str());
                    assert!(of_repository && metric.per_repository.is_some(), "{self:?}");
                }
            }
        }
        metric.name
    }
}
