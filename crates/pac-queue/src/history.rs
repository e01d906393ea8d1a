//! What happened lately in one repository's queue: for people, and for the estimate of what comes.
//!
//! Times are those of the machine the watcher runs on. Nothing is decided by them (P9).

use std::collections::VecDeque;
use std::fmt;

use k8s_openapi::jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::week::Week;

/// So many of the latest records are kept of each repository.
pub(crate) const RECORDS: usize = 100;
/// And of these so many in a store.
pub(crate) const RECORDS_STORED: usize = 40;
/// So many of the latest times that slots were held are kept of each repository.
pub const TIMES: usize = 64;
/// Longest text kept of what others said, in characters.
const TEXT_MAX: usize = 300;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was written down.
    pub at: Timestamp,
    /// To which run, as `namespace/name`; none if to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// That run's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Happened {
    /// It joined the queue.
    Queued {
        /// At this place, from 1 on.
        position: usize,
    },
    /// Another was admitted before it, since its own start had been refused.
    PassedOver {
        /// The run that was admitted.
        by: String,
        /// What the API server had said.
        why: String,
    },
    /// It got a slot.
    Admitted {
        /// From this watcher.
        holder: String,
    },
    /// It was found running without a slot, and got one.
    Adopted {
        /// From this watcher.
        holder: String,
    },
    /// Its slot was taken over from a watcher that was gone or did nothing.
    TakenOver {
        /// By this watcher.
        holder: String,
    },
    /// It was started.
    Started,
    /// The API server refused to start it.
    Refused {
        /// What it said.
        why: String,
    },
    /// Its slot was given back, and it returned to its place.
    GivenBack,
    /// Its slot or place was freed.
    Released {
        /// Because of this.
        why: String,
        /// Whether that is an operator's word.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_operator: bool,
        /// How long it had its slot, in seconds, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_for: Option<f64>,
    },
    /// The limit of the repository changed.
    LimitChanged {
        /// From this.
        from: String,
        /// To this.
        to: String,
    },
    /// An operator paused the repository.
    Paused {
        /// In the operator's words.
        reason: String,
        /// Until this time, or until it is resumed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The repository is paused no more.
    Resumed {
        /// In the operator's words; none if the pause ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What is kept of one repository's past, the latest last. As JSON it is what a store keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What happened.
    #[serde(default)]
    pub records: VecDeque<Record>,
    /// How long slots were held by runs that came to their end, in seconds.
    #[serde(default)]
    pub held_for: VecDeque<f64>,
    /// The times of the last week's runs.
    #[serde(default, skip_serializing_if = "Week::is_empty", deserialize_with = "Week::read")]
    pub week: Week,
}

// === impl History ===

impl History {
    /// What a store kept. Of what can't be read nothing is known: it is for people, and they know no more either way.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What a store is to keep: of the records only the last.
    pub fn text(&self) -> String {
        let skipped = self.records.len().saturating_sub(RECORDS_STORED);
        let records = self.records.iter().skip(skipped).cloned().collect();
        serde_json::to_string(&Self { records, held_for: self.held_for.clone(), week: self.week.clone() })
            .unwrap_or_default()
    }

    /// Writes `what` down, and forgets what is too old to be kept.
    pub fn add(&mut self, record: Record) {
        self.records.push_back(record);
        self.trim();
    }

    /// Notes how long a slot was held, in seconds.
    pub fn add_time(&mut self, held_for: f64) {
        self.held_for.push_back(held_for);
        self.trim();
    }

    /// Puts what was kept `before` in front of what is known here.
    pub fn continue_from(&mut self, mut before: Self) {
        before.records.retain(|record| !self.records.contains(record));
        before.records.extend(self.records.drain(..));
        before.records.make_contiguous().sort_by_key(|record| record.at);
        before.held_for.extend(self.held_for.drain(..));
        let mut week = std::mem::take(&mut self.week);
        week.continue_from(std::mem::take(&mut before.week));
        before.week = week;
        *self = before;
        self.trim();
    }

    /// When the run of this uid got the slot it has or had last.
    pub fn slot_since(&self, uid: &str) -> Option<Timestamp> {
        let took = |record: &&Record| matches!(record.what, Happened::Admitted { .. } | Happened::Adopted { .. });
        self.of(uid).rev().find(took).map(|record| record.at)
    }

    /// What happened to the run of this uid.
    pub fn of<'a>(&'a self, uid: &'a str) -> impl DoubleEndedIterator<Item = &'a Record> {
        self.records.iter().filter(move |record| record.uid.as_deref() == Some(uid))
    }

    fn trim(&mut self) {
        self.records.drain(..self.records.len().saturating_sub(RECORDS));
        self.held_for.drain(..self.held_for.len().saturating_sub(TIMES));
    }
}

/// Now, to the millisecond: what people read and stores keep needs no more.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

/// What others said, short enough to be kept.
pub fn shortened(text: &str) -> String {
    if text.chars().count() <= TEXT_MAX {
        return text.to_owned();
    }
    text.chars().take(TEXT_MAX - 1).chain(['…']).collect()
}

// === impl Happened ===

impl Happened {
    /// Whether an operator's word made it happen.
    pub fn is_an_operators(&self) -> bool {
        matches!(self, Self::Released { by_operator: true, .. })
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { position } => write!(f, "queued at place {position}"),
            Self::PassedOver { by, why } => write!(f, "passed over by {by}, its own start was refused: {why}"),
            Self::Admitted { holder } => write!(f, "given a slot by {}", watcher(holder)),
            Self::Adopted { holder } => write!(f, "found running without a slot and counted by {}", watcher(holder)),
            Self::TakenOver { holder } => write!(f, "its slot was taken over by {}", watcher(holder)),
            Self::Started => f.write_str("started"),
            Self::Refused { why } => write!(f, "the API server refused to start it: {why}"),
            Self::GivenBack => f.write_str("its slot was given back; it keeps its place"),
            Self::Released { why, held_for: None, .. } => write!(f, "released: {why}"),
            Self::Released { why, held_for: Some(seconds), .. } => write!(f, "released after {seconds:.1} s: {why}"),
            Self::LimitChanged { from, to } => write!(f, "limit changed from {from} to {to}"),
            Self::Paused { reason, until: None } => write!(f, "paused: {reason}"),
            Self::Paused { reason, until: Some(until) } => write!(f, "paused until {until}: {reason}"),
            Self::Resumed { reason: None } => f.write_str("resumed"),
            Self::Resumed { reason: Some(reason) } => write!(f, "resumed: {reason}"),
        }
    }
}

/// The watcher behind a holder: without the term, which means nothing to people.
pub fn watcher(holder: &str) -> &str {
    holder.rsplit_once(':').map_or(holder, |(identity, _)| identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(second: i64, uid: &str, what: Happened) -> Record {
        let at = Timestamp::from_second(second).unwrap();
        Record { at, run: Some(format!("ns/{uid}")), uid: Some(uid.to_owned()), what }
    }

    #[test]
    fn a_store_keeps_fewer_and_what_is_none_of_ours_is_nothing() {
        let mut history = History::default();
        (0..1000).for_each(|second| history.add(record(second, "a", Happened::Started)));
        let stored = History::parse(&history.text()).unwrap();
        assert_eq!((stored.records.len(), stored.records.back()), (RECORDS_STORED, history.records.back()));
        assert_eq!(History::parse("[1]"), None);
    }

    #[test]
    fn only_the_latest_are_kept() {
        let mut history = History::default();
        for second in 0..1000 {
            history.add(record(second, "a", Happened::Started));
            history.add_time(second as f64);
        }
        assert_eq!((history.records.len(), history.held_for.len()), (RECORDS, TIMES));
        assert_eq!(history.records.back().unwrap().at.as_second(), 999);
        assert_eq!(history.held_for.back(), Some(&999.0));
    }

    #[test]
    fn what_a_store_kept_comes_before_and_nothing_twice() {
        let mut before = History::default();
        before.add(record(1, "a", Happened::Queued { position: 1 }));
        before.add(record(2, "a", Happened::Admitted { holder: "w:1".to_owned() }));
        let mut now = History::default();
        now.add(record(2, "a", Happened::Admitted { holder: "w:1".to_owned() }));
        now.add(record(3, "a", Happened::Started));
        now.continue_from(before);
        assert_eq!(now.records.iter().map(|record| record.at.as_second()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(now.slot_since("a").unwrap().as_second(), 2);
        assert_eq!(now.slot_since("b"), None);
    }

    #[test]
    fn a_store_gets_back_what_it_was_given() {
        let mut history = History::default();
        history.add(record(1, "a", Happened::Released { why: "x".to_owned(), by_operator: true, held_for: Some(1.5) }));
        history.add(Record {
            at: Timestamp::UNIX_EPOCH,
            run: None,
            uid: None,
            what: Happened::Paused { reason: "x".to_owned(), until: None },
        });
        history.add_time(1.5);
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history, "{text}");
    }

    #[test]
    fn texts_of_others_are_cut_between_characters() {
        assert_eq!(shortened("ä"), "ä");
        assert_eq!(shortened(&"ä".repeat(1000)).chars().count(), TEXT_MAX);
    }
}
