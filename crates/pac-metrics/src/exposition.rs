//! Prometheus' text format, for what is read when it is scraped.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::exemplar::{Exemplars, bucket};
use crate::metric::{Combine, Kind, Metric};

/// A Repository by namespace and name.
pub type Repository<'a> = (&'a str, &'a str);

/// Text in the making.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    names_repositories: bool,
    has_exemplars: bool,
}

/// What a histogram has counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// How often the value was at most the bound, for each bound, those of the bounds before not counted.
    pub(crate) buckets: Vec<u64>,
    /// How often it was more than the last bound.
    pub(crate) beyond: u64,
    /// All values added up.
    pub(crate) sum: f64,
    /// The runs behind some of the values.
    pub(crate) exemplars: Exemplars,
}

// === impl Distribution ===

impl Distribution {
    pub(crate) fn new(bounds: &[f64]) -> Self {
        Self { buckets: vec![0; bounds.len()], beyond: 0, sum: 0.0, exemplars: Exemplars::default() }
    }

    pub(crate) fn add(&mut self, bounds: &[f64], value: f64) {
        self.sum += value;
        match self.buckets.get_mut(bucket(bounds, value)) {
            Some(bucket) => *bucket += 1,
            None => self.beyond += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.beyond += other.beyond;
        self.exemplars.merge(&other.exemplars);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(bucket, more)| *bucket += more);
    }
}

// === impl Exposition ===

impl Exposition {
    /// An empty text, in which the labels of Repositories are, or are left out and what they'd tell apart is combined.
    pub fn new(names_repositories: bool) -> Self {
        Self { text: String::new(), names_repositories, has_exemplars: false }
    }

    /// With the runs behind values of histograms, which the classic format has no words for: for
    /// [`Format::OpenMetrics`](crate::openmetrics::Format::OpenMetrics) alone.
    #[must_use]
    pub fn with_exemplars(self) -> Self {
        Self { has_exemplars: true, ..self }
    }

    /// The text.
    pub fn text(self) -> String {
        self.text
    }

    /// A metric of the whole watcher, with a value for each combination of label values there is one for.
    pub fn whole<'a>(&mut self, metric: &Metric, values: impl IntoIterator<Item = (Vec<&'a str>, f64)>) {
        self.head(metric);
        for (labels, value) in values {
            metric.check(&labels);
            self.line(metric, "", &pairs(metric, None, &labels), value);
        }
    }

    /// A counter or gauge of each Repository.
    pub fn of_repositories<'a>(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = (Repository<'a>, Vec<&'a str>, f64)>,
    ) {
        self.head(metric);
        if self.names_repositories {
            for (repository, labels, value) in values {
                metric.check(&labels);
                self.line(metric, "", &pairs(metric, Some(repository), &labels), value);
            }
            return;
        }
        // Where the values of a label are as many as there are objects, they go with the Repositories'.
        if !metric.labels.is_empty() && metric.combinations().is_empty() {
            return;
        }
        let mut combined = BTreeMap::new();
        for (_, labels, value) in values {
            let all: &mut f64 = combined.entry(labels).or_default();
            *all = match metric.per_repository {
                Some(Combine::Max) => all.max(value),
                _ => *all + value,
            };
        }
        for (labels, value) in combined {
            self.line(metric, "", &pairs(metric, None, &labels), value);
        }
    }

    /// A histogram of each Repository, without labels of its own.
    pub fn distributions<'a>(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = (Repository<'a>, &'a Distribution)>,
    ) {
        self.head(metric);
        let Kind::Histogram(bounds) = metric.kind else { return };
        let mut all: Option<Distribution> = None;
        for (repository, distribution) in values {
            if self.names_repositories {
                self.histogram(metric, bounds, &pairs(metric, Some(repository), &[]), distribution);
            } else {
                all.get_or_insert_with(|| Distribution::new(bounds)).merge(distribution);
            }
        }
        if let Some(all) = all {
            self.histogram(metric, bounds, &[], &all);
        }
    }

    fn histogram(&mut self, metric: &Metric, bounds: &[f64], labels: &[(&str, &str)], distribution: &Distribution) {
        let mut count = 0;
        let bounds = bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let counts = distribution.buckets.iter().chain([&distribution.beyond]);
        for (place, (bound, more)) in bounds.zip(counts).enumerate() {
            count += more;
            self.line(metric, "_bucket", &[labels, &[("le", &bound)]].concat(), number(count));
            if let Some(exemplar) = distribution.exemplars.of(place).filter(|_| self.has_exemplars) {
                self.text.pop();
                let _ = writeln!(self.text, "{exemplar}");
            }
        }
        self.line(metric, "_sum", labels, distribution.sum);
        self.line(metric, "_count", labels, number(count));
    }

    fn head(&mut self, metric: &Metric) {
        let Metric { name, kind, help, .. } = metric;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String can't fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    }

    fn line(&mut self, metric: &Metric, ending: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(metric.name);
        self.text.push_str(ending);
        let mut before = '{';
        for (name, value) in labels {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{before}{name}=\"{value}\"");
            before = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn pairs<'a>(metric: &Metric, repository: Option<Repository<'a>>, labels: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let named = repository.map(|(namespace, name)| [("namespace", namespace), ("repository", name)]);
    let own = metric.labels.iter().map(|label| label.name).zip(labels.iter().copied());
    named.into_iter().flatten().chain(own).collect()
}

/// A count as the format has numbers: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "nothing is counted so often")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{LEAKED_SLOT, OLDEST_WAITING_AGE, RELEASES, WAIT};

    fn text(names_repositories: bool, write: impl Fn(&mut Exposition)) -> String {
        let mut exposition = Exposition::new(names_repositories);
        write(&mut exposition);
        exposition.text().lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn without_the_labels_of_repositories_values_are_combined() {
        let releases = |exposition: &mut Exposition| {
            let value = |name, reason, value| (("ns", name), vec![reason], value);
            let values = [value("a", "failed", 1.0), value("b", "failed", 2.0), value("b", "gone", 4.0)];
            exposition.of_repositories(&RELEASES, values);
        };
        let named = "\
pac_concurrency_releases_total{namespace=\"ns\",repository=\"a\",reason=\"failed\"} 1
pac_concurrency_releases_total{namespace=\"ns\",repository=\"b\",reason=\"failed\"} 2
pac_concurrency_releases_total{namespace=\"ns\",repository=\"b\",reason=\"gone\"} 4
";
        assert_eq!(text(true, releases), named);
        let combined = "\
pac_concurrency_releases_total{reason=\"failed\"} 3
pac_concurrency_releases_total{reason=\"gone\"} 4
";
        assert_eq!(text(false, releases), combined);
        let ages = |exposition: &mut Exposition| {
            exposition.of_repositories(&OLDEST_WAITING_AGE, [(("ns", "a"), vec![], 7.5), (("ns", "b"), vec![], 3.0)]);
        };
        assert_eq!(text(false, ages), "pac_concurrency_oldest_waiting_age_seconds 7.5\n");
        let leaked =
            |exposition: &mut Exposition| exposition.of_repositories(&LEAKED_SLOT, [(("ns", "a"), vec!["run"], 1.0)]);
        assert_eq!(text(false, leaked), "");
    }

    #[test]
    fn buckets_add_up() {
        let Kind::Histogram(bounds) = WAIT.kind else { unreachable!() };
        let mut waits = Distribution::new(bounds);
        for seconds in [0.1, 0.2, 50_000.0] {
            waits.add(bounds, seconds);
        }
        for (names_repositories, labels) in [(true, "namespace=\"ns\",repository=\"a\","), (false, "")] {
            let text = text(names_repositories, |exposition| exposition.distributions(&WAIT, [(("ns", "a"), &waits)]));
            for (bound, count) in [("0.1", 1), ("0.5", 2), ("43200", 2), ("+Inf", 3)] {
                let line = format!("pac_concurrency_wait_seconds_bucket{{{labels}le=\"{bound}\"}} {count}\n");
                assert!(text.contains(&line), "{line} in {text}");
            }
            assert!(text.contains("_sum") && text.contains(" 50000.3\n"), "{text}");
        }
    }

    #[test]
    fn the_run_behind_a_value_is_named_where_that_is_asked_for() {
        let Kind::Histogram(bounds) = WAIT.kind else { unreachable!() };
        let mut waits = Distribution::new(bounds);
        waits.add(bounds, 0.3);
        waits.exemplars.note(bounds, 0.3, "ns/run");
        for names_repositories in [true, false] {
            let written = |exposition: Exposition| {
                let mut exposition = exposition;
                exposition.distributions(&WAIT, [(("ns", "a"), &waits)]);
                exposition.text()
            };
            let without = written(Exposition::new(names_repositories));
            let with = written(Exposition::new(names_repositories).with_exemplars());
            let (bucket, exemplar) = with.split_once(" # ").unwrap();
            assert!(bucket.ends_with("le=\"0.5\"} 1") && exemplar.starts_with("{run=\"ns/run\"} 0.3 1"), "{with}");
            let rest = exemplar.split_once('\n').unwrap().1;
            assert_eq!(format!("{bucket}\n{rest}"), without);
        }
    }

    #[test]
    fn what_would_end_a_label_does_not() {
        let odd =
            text(true, |exposition| exposition.of_repositories(&LEAKED_SLOT, [(("ns", "a"), vec!["x\"} 1\n\\"], 1.0)]));
        assert_eq!(odd.lines().count(), 1);
        assert!(odd.contains("run=\"x\\\"} 1\\n\\\\\""), "{odd}");
    }
}
