//! What is counted for each Repository.
//!
//! The counts live as long as their Repository does, and no longer: the recorder of the crate `metrics` keeps every
//! combination of labels it has ever seen for as long as the process lives.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::catalogue::metrics;
use crate::exposition::{Distribution, Exposition, Repository, number};
use crate::metric::{Kind, Metric};

/// By namespace, then name.
type All = HashMap<Box<str>, HashMap<Box<str>, Counts>>;

/// One Repository's, by name of the metric.
#[derive(Debug, Default)]
struct Counts {
    /// By the values of the metric's labels.
    counters: HashMap<&'static str, BTreeMap<Vec<&'static str>, u64>>,
    histograms: HashMap<&'static str, Distribution>,
}

static ALL: LazyLock<Mutex<All>> = LazyLock::new(Mutex::default);

/// Adds `count` to a counter of `repository`. `values` are those of its other labels, in their order.
pub fn count(metric: &'static Metric, repository: Repository<'_>, values: &[&'static str], count: u64) {
    metric.check(values);
    if count > 0 {
        with(&mut all(), repository, |counts| {
            *counts.counters.entry(metric.name).or_default().entry(values.to_vec()).or_default() += count;
        });
    }
}

/// Puts a duration into a histogram of `repository`.
pub fn observe(metric: &'static Metric, repository: Repository<'_>, took: Duration) {
    add(metric, repository, took, None);
}

/// The same, and keeps which run it is of: `namespace/name`.
pub fn observe_run(metric: &'static Metric, repository: Repository<'_>, took: Duration, run: &str) {
    add(metric, repository, took, Some(run));
}

fn add(metric: &'static Metric, repository: Repository<'_>, took: Duration, run: Option<&str>) {
    let Kind::Histogram(bounds) = metric.kind else { return };
    let value = took.as_secs_f64();
    with(&mut all(), repository, |counts| {
        let distribution = counts.histograms.entry(metric.name).or_insert_with(|| Distribution::new(bounds));
        distribution.add(bounds, value);
        if let Some(run) = run {
            distribution.exemplars.note(bounds, value, run);
        }
    });
}

/// Forgets what was counted for Repositories that are not among these.
pub fn keep(existing: &BTreeSet<Repository<'_>>) {
    all().retain(|namespace, repositories| {
        repositories.retain(|name, _| existing.contains(&(&**namespace, &**name)));
        !repositories.is_empty()
    });
}

/// Writes all of it. Counters without labels of their own begin at 0 for each of `existing`.
pub fn write(exposition: &mut Exposition, existing: &BTreeSet<Repository<'_>>) {
    let mut all = all();
    existing.iter().for_each(|repository| with(&mut all, *repository, |_| ()));
    let mut repositories: Vec<(Repository<'_>, &Counts)> = Vec::new();
    for (namespace, named) in &*all {
        repositories.extend(named.iter().map(|(name, counts)| ((&**namespace, &**name), counts)));
    }
    repositories.sort_unstable_by_key(|(repository, _)| *repository);
    for metric in metrics().filter(|metric| metric.per_repository.is_some()) {
        match metric.kind {
            // Read when it is scraped, by whoever knows.
            Kind::Gauge => {}
            Kind::Counter => {
                let counted = repositories.iter().flat_map(|(repository, counts)| counts.samples(metric, *repository));
                exposition.of_repositories(metric, counted);
            }
            Kind::Histogram(_) => {
                let known = repositories
                    .iter()
                    .filter_map(|(repository, counts)| Some((*repository, counts.histograms.get(metric.name)?)));
                exposition.distributions(metric, known);
            }
        }
    }
}

// === impl Counts ===

impl Counts {
    fn samples<'a>(
        &self,
        metric: &Metric,
        repository: Repository<'a>,
    ) -> Vec<(Repository<'a>, Vec<&'static str>, f64)> {
        let counted = self.counters.get(metric.name);
        let zero = (counted.is_none() && metric.labels.is_empty()).then(|| (repository, Vec::new(), 0.0));
        let counted = counted.into_iter().flatten();
        counted.map(|(values, count)| (repository, values.clone(), number(*count))).chain(zero).collect()
    }
}

fn with(all: &mut All, (namespace, name): Repository<'_>, change: impl FnOnce(&mut Counts)) {
    // Looked up before it is made: mostly it is there, and needs no copy of the name.
    if let Some(counts) = all.get_mut(namespace).and_then(|named| named.get_mut(name)) {
        return change(counts);
    }
    change(all.entry(namespace.into()).or_default().entry(name.into()).or_default());
}

fn all() -> MutexGuard<'static, All> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{ADMISSIONS, RELEASES, WAIT};

    #[test]
    fn counts_begin_at_zero_and_vanish_with_their_repository() {
        let (gone, stays) = (("ns", "gone"), ("ns", "stays"));
        let written = || {
            let mut exposition = Exposition::new(true);
            write(&mut exposition, &BTreeSet::from([stays]));
            exposition.text()
        };
        let admissions = |name, value| format!("admissions_total{{namespace=\"ns\",repository=\"{name}\"}} {value}\n");
        count(&ADMISSIONS, gone, &[], 2);
        count(&RELEASES, gone, &["failed"], 1);
        observe(&WAIT, gone, Duration::from_secs(1));
        let text = written();
        assert!(text.contains(&admissions("gone", 2)) && text.contains(&admissions("stays", 0)), "{text}");
        assert!(text.contains("wait_seconds_count{namespace=\"ns\",repository=\"gone\"} 1\n"), "{text}");
        keep(&BTreeSet::from([stays]));
        let text = written();
        assert!(!text.contains("gone\"") && text.contains(&admissions("stays", 0)), "{text}");
    }
}
