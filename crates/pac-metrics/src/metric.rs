//! One metric: what the catalogue says of it, and how it is measured.

use std::fmt;
use std::time::Duration;

use metrics::{Counter, Histogram, Key, Label as KeyLabel, Level, Metadata};

use crate::exemplar;
use crate::handles::Handles;

/// One metric of the catalogue.
#[derive(Debug)]
pub struct Metric {
    /// The whole name, unit included.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// What one of it is: `seconds`, `runs`, or `1 or 0` for a yes or no.
    pub unit: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// Its labels besides those of the Repository.
    pub labels: &'static [Label],
    /// Whether it is told for each Repository, and how it is told for all of them together.
    pub per_repository: Option<Combine>,
    /// Which part of the system it is about.
    pub group: Group,
    counters: Handles<Counter>,
    histograms: Handles<Histogram>,
}

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at the watcher's start.
    Counter,
    /// Says what is true when it is scraped.
    Gauge,
    /// Counts how often something was at most each of these bounds.
    Histogram(&'static [f64]),
}

/// How a value told for each Repository is told for all together, when the labels that name them are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// Added up.
    Sum,
    /// The greatest.
    Max,
}

/// A label, and what values it may have.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub values: Values,
}

/// What values a label may have.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These and no others.
    Closed(&'static [&'static str]),
    /// Anything of this description.
    Open(&'static str),
}

/// Which part of the system a metric is about; the order is that of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Limits and queues.
    Queues,
    /// What was admitted, started and freed.
    Admission,
    /// Whether what is true is what should be.
    Audit,
    /// The watcher's own work.
    Work,
    /// The store of slots and queues.
    Store,
    /// Settings, leadership and what is wrong.
    Watcher,
    /// The process.
    Process,
}

impl Group {
    /// All, in order.
    pub const ALL: [Self; 7] =
        [Self::Queues, Self::Admission, Self::Audit, Self::Work, Self::Store, Self::Watcher, Self::Process];
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queues => "Limits and queues",
            Self::Admission => "Admission",
            Self::Audit => "Audit",
            Self::Work => "The watcher's work",
            Self::Store => "The store",
            Self::Watcher => "The watcher",
            Self::Process => "The process",
        })
    }
}

// === impl Kind ===

impl Kind {
    /// Its name in the text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

// === impl Label ===

impl Label {
    /// Whether it may have this value.
    pub fn allows(&self, value: &str) -> bool {
        match self.values {
            Values::Closed(values) => values.contains(&value),
            Values::Open(_) => true,
        }
    }
}

static METADATA: Metadata<'static> = Metadata::new("pac_metrics", Level::INFO, None);

// === impl Metric ===

impl Metric {
    pub(crate) const fn new(kind: Kind, group: Group, name: &'static str, unit: &'static str) -> Self {
        Self {
            name,
            kind,
            unit,
            help: "",
            labels: &[],
            per_repository: None,
            group,
            counters: Handles::new(),
            histograms: Handles::new(),
        }
    }

    pub(crate) const fn says(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    pub(crate) const fn labelled(mut self, labels: &'static [Label]) -> Self {
        self.labels = labels;
        self
    }

    pub(crate) const fn of_each_repository(mut self, combine: Combine) -> Self {
        self.per_repository = Some(combine);
        self
    }

    /// Adds `count` to a counter of the whole watcher. `values` are those of its labels, in their order.
    pub fn count(&'static self, values: &[&'static str], count: u64) {
        let register = || {
            let key = self.key(values);
            metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
        };
        self.counters.with(self.combination(values), register, |counter| counter.increment(count));
    }

    /// Puts a duration into a histogram of the whole watcher. `values` are those of its labels, in their order.
    pub fn observe(&'static self, values: &[&'static str], took: Duration) {
        let register = || {
            let key = self.key(values);
            metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
        };
        self.histograms.with(self.combination(values), register, |histogram| histogram.record(took.as_secs_f64()));
    }

    /// The same, and keeps which run it is of: `namespace/name`. For metrics without labels.
    pub fn observe_run(&'static self, values: &[&'static str], took: Duration, run: &str) {
        self.observe(values, took);
        if let (Kind::Histogram(bounds), []) = (self.kind, self.labels) {
            exemplar::note(self.name, bounds, took.as_secs_f64(), run);
        }
    }

    /// Has the recorder asked only once for each combination of values; see [`Handles::keep`].
    pub(crate) fn keep_handles(&'static self) {
        let combinations = self.combinations().len();
        match self.kind {
            Kind::Counter => self.counters.keep(combinations),
            Kind::Gauge => {}
            Kind::Histogram(_) => self.histograms.keep(combinations),
        }
    }

    fn key(&'static self, values: &[&'static str]) -> Key {
        let labels = self.labels.iter().zip(values).map(|(label, value)| KeyLabel::new(label.name, *value));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }

    /// Which of its [`Metric::combinations`] these values are.
    pub(crate) fn combination(&self, values: &[&str]) -> Option<usize> {
        self.check(values);
        self.labels.iter().zip(values).try_fold(0, |number, (label, value)| {
            let Values::Closed(allowed) = label.values else { return None };
            Some(number * allowed.len() + allowed.iter().position(|allowed| allowed == value)?)
        })
    }

    /// That `values` are what the catalogue allows; a mistake is the programmer's, and shows in debug builds.
    pub(crate) fn check(&self, values: &[&str]) {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        debug_assert!(
            self.labels.iter().zip(values).all(|(label, value)| label.allows(value)),
            "{} {values:?}",
            self.name
        );
    }

    /// Every combination of values its labels may have; none if a label is open.
    pub fn combinations(&self) -> Vec<Vec<&'static str>> {
        let mut all = vec![Vec::new()];
        for label in self.labels {
            let Values::Closed(values) = label.values else { return Vec::new() };
            let longer = |short: Vec<&'static str>| values.iter().map(move |value| [&short[..], &[*value]].concat());
            all = all.into_iter().flat_map(longer).collect();
        }
        all
    }
}
