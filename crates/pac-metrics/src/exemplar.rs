//! The run behind a value: what OpenMetrics calls an exemplar. Of each bucket of a histogram the latest is kept.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// OpenMetrics has no exemplar whose labels, names and values, are longer, in characters.
const LABELS_MAX: usize = 128;
const LABEL: &str = "run";

/// A run, and what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exemplar {
    /// As `namespace/name`.
    run: Box<str>,
    value: f64,
    /// In seconds since 1970.
    at: f64,
}

/// Those of one histogram, by bucket; the last is that of what is beyond all bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Exemplars(Vec<Option<Box<Exemplar>>>);

/// Those of histograms of the whole watcher, by the metric's name.
static WHOLE: LazyLock<Mutex<BTreeMap<&'static str, Exemplars>>> = LazyLock::new(Mutex::default);

/// Keeps the run behind a value of a histogram of the whole watcher.
pub(crate) fn note(metric: &'static str, bounds: &[f64], value: f64, run: &str) {
    whole().entry(metric).or_default().note(bounds, value, run);
}

/// Those kept of histograms of the whole watcher.
pub(crate) fn of_the_whole() -> BTreeMap<&'static str, Exemplars> {
    whole().clone()
}

fn whole() -> MutexGuard<'static, BTreeMap<&'static str, Exemplars>> {
    WHOLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bucket of a value.
pub(crate) fn bucket(bounds: &[f64], value: f64) -> usize {
    bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len())
}

// === impl Exemplars ===

impl Exemplars {
    pub(crate) fn note(&mut self, bounds: &[f64], value: f64, run: &str) {
        if LABEL.len() + run.chars().count() > LABELS_MAX {
            return;
        }
        self.0.resize(bounds.len() + 1, None);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.0[bucket(bounds, value)] = Some(Box::new(Exemplar { run: run.into(), value, at }));
    }

    pub(crate) fn of(&self, bucket: usize) -> Option<&Exemplar> {
        self.0.get(bucket)?.as_deref()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), None);
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            if theirs.as_ref().is_some_and(|theirs| ours.as_ref().is_none_or(|ours| ours.at < theirs.at)) {
                ours.clone_from(theirs);
            }
        }
    }
}

// === impl Exemplar ===

impl std::fmt::Display for Exemplar {
    /// As it stands behind a bucket's count. No name of Kubernetes' has a character that would end a label.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, " # {{{LABEL}=\"{}\"}} {} {:.3}", self.run, self.value, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_bucket_is_kept() {
        let (bounds, mut exemplars, mut later) = ([1.0, 2.0], Exemplars::default(), Exemplars::default());
        assert_eq!(exemplars.of(0), None);
        for (value, run) in [(0.5, "ns/a"), (1.0, "ns/b"), (7.0, "ns/c")] {
            exemplars.note(&bounds, value, run);
        }
        let runs = |exemplars: &Exemplars| [0, 1, 2].map(|bucket| exemplars.of(bucket).map(|one| one.run.to_string()));
        assert_eq!(runs(&exemplars), [Some("ns/b".to_owned()), None, Some("ns/c".to_owned())]);
        later.note(&bounds, 0.1, "ns/d");
        later.note(&bounds, 1.5, "ns/e");
        later.0[0].as_mut().unwrap().at += 1.0;
        exemplars.merge(&later);
        assert_eq!(runs(&exemplars), ["ns/d", "ns/e", "ns/c"].map(|run| Some(run.to_owned())));
        later.merge(&exemplars);
        assert_eq!(runs(&later), runs(&exemplars), "whoever comes first");
    }

    #[test]
    fn a_name_too_long_for_the_format_has_none() {
        let mut exemplars = Exemplars::default();
        exemplars.note(&[], 1.0, &"x".repeat(126));
        assert_eq!(exemplars.of(0), None);
        exemplars.note(&[], 1.0, &"x".repeat(125));
        assert!(exemplars.of(0).is_some());
    }
}
