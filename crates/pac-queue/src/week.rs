//! The last week of one repository's queue: when each run came, how long it waited, and how long it had its slot.
//!
//! It is what a replay under another limit goes by. A run takes some 16 bytes as text, so that a week of a busy repository can be
//! kept beside the rest of its history; [`RUNS`] bounds one repository, [`RUNS_OF_ALL`] all together. Times are in tenths of a
//! second, by the clock of the machine the watcher runs on.

use std::collections::{BTreeMap, HashSet, VecDeque};

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// So many of the latest runs are kept of each repository.
pub const RUNS: usize = 4000;
/// And so many of all repositories together; some 4 MB in a store, 10 MB in a watcher.
pub const RUNS_OF_ALL: usize = 250_000;
/// So many changes of what was allowed are kept of each repository.
const RULES: usize = 100;
/// So many runs that have their slots are written down.
const RUNNING: usize = 500;
/// How long anything is kept, in tenths of a second.
const KEPT: i64 = 7 * 86_400 * 10;

/// How a run left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It had its slot until it was done, or an operator took it.
    Done,
    /// It was cancelled or deleted: with a slot, or while it waited.
    Left,
    /// It goes on, or went on without being counted: how long it takes in all isn't known.
    Unfinished,
}

/// What is known of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunTimes {
    /// When it joined the queue, in tenths of a second since 1970.
    pub arrived: i64,
    /// When the first run of its event was created, in seconds from then on; mostly it is negative.
    pub event: i32,
    /// Its place among the runs of its event, from 0.
    pub position: u32,
    /// How long it waited, in tenths of a second.
    pub waited: u32,
    /// How long it had its slot, in tenths of a second; none if it never got one.
    pub held: Option<u32>,
    /// How it left.
    pub outcome: Outcome,
}

/// Who may be admitted, from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Since when, in tenths of a second since 1970.
    pub at: i64,
    /// So many at once; 0 during a pause, or where the limit couldn't be told; none if there was no limit.
    pub limit: Option<u32>,
}

/// A run that has its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// When it joined the queue, in tenths of a second since 1970.
    pub arrived: i64,
    /// See [`RunTimes::event`].
    pub event: i32,
    /// See [`RunTimes::position`].
    pub position: u32,
    /// How long it waited, in tenths of a second.
    pub waited: u32,
}

/// See the [module](self). As JSON its runs are one text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Week {
    #[serde(serialize_with = "write_runs", deserialize_with = "read_runs")]
    runs: VecDeque<RunTimes>,
    rules: VecDeque<Rule>,
    running: BTreeMap<String, Running>,
}

/// `at` in tenths of a second since 1970.
pub fn tenths(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(100)
}

/// The time that so many tenths of a second since 1970 are.
pub fn timestamp(tenths: i64) -> Timestamp {
    Timestamp::from_millisecond(tenths.saturating_mul(100)).unwrap_or_default()
}

/// Of how many runs a repository may keep the times, if these are the numbers that all have: as many as let all together have
/// no more than `most`, and nobody have less than another who has more.
pub fn fair_share(numbers: impl IntoIterator<Item = usize>, most: usize) -> usize {
    let mut numbers: Vec<usize> = numbers.into_iter().collect();
    numbers.sort_unstable();
    let (mut rest, mut left) = (most, numbers.len());
    for number in numbers {
        if number > rest / left {
            return rest / left;
        }
        (rest, left) = (rest - number, left - 1);
    }
    RUNS
}

// === impl Week ===

impl Week {
    /// The runs that left the queue, in the order in which they did.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = &RunTimes> {
        self.runs.iter()
    }

    /// Who may be admitted since when.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Who has a slot, by uid.
    pub fn running(&self) -> impl Iterator<Item = (&str, &Running)> {
        self.running.iter().map(|(uid, run)| (uid.as_str(), run))
    }

    /// Notes that the run of this uid got its slot.
    pub fn started(&mut self, uid: &str, running: Running) {
        if self.running.len() < RUNNING {
            self.running.insert(uid.to_owned(), running);
        }
    }

    /// Takes out the run of this uid, which has its slot no more.
    pub fn take_running(&mut self, uid: &str) -> Option<Running> {
        self.running.remove(uid)
    }

    /// Notes a run that left the queue, and forgets those of more than a week before.
    pub fn ended(&mut self, run: RunTimes) {
        self.runs.push_back(run);
        self.trim();
    }

    /// Notes who may be admitted from a time on, if that is another number than before.
    pub fn ruled(&mut self, rule: Rule) {
        if self.rules.back().is_none_or(|last| last.limit != rule.limit) {
            self.rules.push_back(rule);
            self.rules.drain(..self.rules.len().saturating_sub(RULES));
        }
    }

    /// Keeps the latest so many runs.
    pub fn keep(&mut self, most: usize) {
        self.runs.drain(..self.runs.len().saturating_sub(most));
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What JSON says of a week; nothing if it isn't readable: it is for people, and they know no more either way.
    pub(crate) fn read<'de, D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(serde_json::from_value(Value::deserialize(json)?).unwrap_or_default())
    }

    /// Puts what was kept `before` in front of what is known here.
    pub fn continue_from(&mut self, before: Self) {
        let ours = std::mem::replace(self, before);
        let known: HashSet<RunTimes> = self.runs.iter().copied().collect();
        self.runs.extend(ours.runs.into_iter().filter(|run| !known.contains(run)));
        self.runs.make_contiguous().sort_by_key(RunTimes::left_at);
        ours.rules.into_iter().for_each(|rule| self.ruled(rule));
        self.running.extend(ours.running);
        self.trim();
    }

    fn trim(&mut self) {
        self.keep(RUNS);
        let Some(last) = self.runs.back() else { return };
        let oldest = last.left_at() - KEPT;
        while self.runs.front().is_some_and(|run| run.left_at() < oldest) {
            self.runs.pop_front();
        }
        // The rule that held at the beginning stays.
        while self.rules.get(1).is_some_and(|next| next.at < oldest) {
            self.rules.pop_front();
        }
        // Whoever has had a slot for longer was lost sight of.
        self.running.retain(|_, run| run.arrived + i64::from(run.waited) >= oldest);
    }
}

// === impl RunTimes ===

impl RunTimes {
    /// When it left the queue, in tenths of a second since 1970.
    pub fn left_at(&self) -> i64 {
        self.arrived + i64::from(self.waited) + i64::from(self.held.unwrap_or_default())
    }

    /// One letter for its outcome, and numbers: when it arrived, relative to the one before, how long it waited and had its slot,
    /// and its place.
    fn text(&self, before: i64) -> String {
        let letter = match self.outcome {
            Outcome::Done => 'd',
            Outcome::Left => 'l',
            Outcome::Unfinished => 'u',
        };
        let held = self.held.map_or_else(String::new, |held| held.to_string());
        let Self { event, position, .. } = self;
        let position = if *position == 0 { String::new() } else { format!(",{position}") };
        format!("{letter}{},{},{held},{event}{position}", self.arrived - before, self.waited)
    }

    fn parse(text: &str, before: i64) -> Option<Self> {
        let (outcome, numbers) = match text.split_at_checked(1)? {
            ("d", numbers) => (Outcome::Done, numbers),
            ("l", numbers) => (Outcome::Left, numbers),
            ("u", numbers) => (Outcome::Unfinished, numbers),
            _ => return None,
        };
        let mut numbers = numbers.split(',');
        Some(Self {
            arrived: before.checked_add(numbers.next()?.parse().ok()?)?,
            waited: numbers.next()?.parse().ok()?,
            held: match numbers.next()? {
                "" => None,
                held => Some(held.parse().ok()?),
            },
            event: numbers.next()?.parse().ok()?,
            position: numbers.next().map_or(Some(0), |position| position.parse().ok())?,
            outcome,
        })
    }
}

fn write_runs<S: Serializer>(runs: &VecDeque<RunTimes>, to: S) -> Result<S::Ok, S::Error> {
    let mut before = 0;
    let texts = runs.iter().map(|run| run.text(std::mem::replace(&mut before, run.arrived)));
    to.serialize_str(&texts.collect::<Vec<_>>().join(" "))
}

/// As far as they can be read.
fn read_runs<'de, D: Deserializer<'de>>(from: D) -> Result<VecDeque<RunTimes>, D::Error> {
    let text = String::deserialize(from)?;
    let mut before = 0;
    let runs = text.split_ascii_whitespace().map_while(|text| {
        let run = RunTimes::parse(text, before)?;
        before = run.arrived;
        Some(run)
    });
    Ok(runs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400 * 10;

    fn run(arrived: i64) -> RunTimes {
        RunTimes { arrived, event: -1, position: 0, waited: 30, held: Some(600), outcome: Outcome::Done }
    }

    #[test]
    fn a_store_gets_back_what_it_was_given() {
        let mut week = Week::default();
        week.ruled(Rule { at: 16_999_999_980, limit: Some(2) });
        week.ruled(Rule { at: 16_999_999_985, limit: Some(2) });
        week.ruled(Rule { at: 17_000_000_000, limit: None });
        week.ended(RunTimes { held: None, outcome: Outcome::Left, ..run(17_000_000_000) });
        week.ended(RunTimes { position: 3, event: 0, outcome: Outcome::Unfinished, ..run(16_999_999_990) });
        week.started("uid", Running { arrived: 17_000_000_000, event: 0, position: 1, waited: 0 });
        let text = serde_json::to_string(&week).unwrap();
        assert!(text.contains(r#""runs":"l17000000000,30,,-1 u-10,30,600,0,3""#), "{text}");
        assert_eq!(serde_json::from_str::<Week>(&text).unwrap(), week);
        assert_eq!(week.rules().count(), 2, "a rule that is none is none");
    }

    #[test]
    fn what_is_none_of_ours_is_nothing_and_the_rest_of_a_history_stays() {
        for week in ["7", "{}", r#"{"runs":7,"rules":[],"running":{}}"#, r#"{"runs":"z1","rules":[],"running":{}}"#] {
            let history = crate::history::History::parse(&format!(r#"{{"held_for":[1.5],"week":{week}}}"#)).unwrap();
            assert_eq!((history.held_for.len(), history.week.is_empty()), (1, true), "{week}");
        }
    }

    #[test]
    fn a_week_is_kept_and_so_many_runs() {
        let mut week = Week::default();
        week.ruled(Rule { at: 0, limit: Some(1) });
        week.ruled(Rule { at: 1, limit: Some(2) });
        week.started("lost", Running { arrived: 0, event: 0, position: 0, waited: 0 });
        (0..=10).for_each(|day| week.ended(run(day * DAY)));
        assert_eq!(week.runs().map(|run| run.arrived / DAY).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(week.rules().map(|rule| rule.limit).collect::<Vec<_>>(), [Some(2)], "what held at its beginning");
        assert_eq!(week.running().count(), 0);
        (0..10_000).for_each(|second| week.ended(run(10 * DAY + second)));
        assert_eq!(week.runs().len(), RUNS);
        // Ten times as busy, with the longest numbers there are in practice.
        let size = serde_json::to_string(&week).unwrap().len();
        assert!(size < 20 * RUNS, "{size} bytes");
    }

    #[test]
    fn what_a_store_kept_comes_before_and_nothing_twice() {
        let (mut before, mut now) = (Week::default(), Week::default());
        before.ruled(Rule { at: 0, limit: Some(1) });
        before.started("one", Running { arrived: 30, event: 0, position: 0, waited: 0 });
        [run(10), run(20)].into_iter().for_each(|run| before.ended(run));
        now.ruled(Rule { at: 40, limit: Some(1) });
        now.started("two", Running { arrived: 40, event: 0, position: 0, waited: 0 });
        [run(20), run(40)].into_iter().for_each(|run| now.ended(run));
        now.continue_from(before);
        assert_eq!(now.runs().map(|run| run.arrived).collect::<Vec<_>>(), [10, 20, 40]);
        assert_eq!((now.rules().count(), now.running().count()), (1, 2));
    }

    #[test]
    fn who_has_the_most_gives_up_the_most() {
        assert_eq!(fair_share([10, 20, 30], 60), RUNS);
        assert_eq!(fair_share([10, 20, 100], 60), 30);
        assert_eq!(fair_share([10, 100, 100], 60), 25);
        assert_eq!(fair_share([], 0), RUNS);
    }
}
