//! What a store promises of one repository: the driver contract of `load` and `commit`, as a specification for the search.
//!
//! It is written from the contract alone, without a line of the product's: a mistake in what both would share would be seen by nobody.
//!
//! # Versions
//!
//! A commit takes effect only at the version it expects, and makes one that no state had before. Whose answer was lost made a version,
//! too, but nobody was told which: the state's is `Version::Unseen` until an answer shows it. It is one that no commit is known to
//! have made, and none that was seen before.
//!
//! From that follows which commits are spent, and it is all that the search takes from versions. A client that commits on a version was
//! told of it before ([`Judged::was_told`]), so the repository was at that version by then, and will be once it moved on never again. No
//! commit is left out by that which could take effect: it expects a version that is over.
//!
//! # One state, two versions
//!
//! A driver may carry out a large commit in steps that others can complete. If they do and go on, before the one who began hears of it,
//! it is told another version of the state than they are, which is good for nothing but a conflict
//! (`pac_driver_etcd`, `staged`). So after a large commit, where the store is said to do so, the version may change once by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::history::{Change, Client, Entry, History, Number, Operation, Outcome, Run, Seen};
use crate::linearizability::{Call, Specification};

/// The contract, for one history.
#[derive(Debug, Clone)]
pub struct Contract {
    /// Versions that a commit is known to have made.
    made: BTreeSet<Number>,
    /// A commit of more runs than this may have two versions.
    large: usize,
}

/// An operation of the history.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What it is.
    pub operation: Operation,
    /// Whether the version that it expects was in an answer that was there before it was called; true, too, for the version of
    /// a repository that isn't known, at which it begins.
    pub was_told: bool,
}

/// What a repository is like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    version: Version,
    /// Whether the version may still become another by itself.
    may_change: bool,
    /// Versions of before that no commit is known to have made: none of them comes back.
    past: Arc<BTreeSet<Number>>,
    /// Slots and queue; none if nothing is known of them.
    content: Option<Arc<Content>>,
}

/// The version a repository is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Version {
    /// This one.
    Known(Number),
    /// One that nobody has seen, and that is none of these.
    Unseen(BTreeSet<Number>),
    /// Any.
    Any,
}

/// Slots and queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Content {
    slots: BTreeMap<Run, (u32, Client)>,
    waiting: BTreeMap<Run, u32>,
}

/// A version that two commits were told to have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeTwice(pub usize, pub usize);

// === impl Contract ===

impl Contract {
    /// The contract for `history`, whose commits of more than `large` runs may have two versions, and the history as it is judged.
    ///
    /// # Errors
    ///
    /// The numbers of two commits that made the same version, or of one that made the version of a repository that isn't known.
    pub fn of(history: &History, large: usize) -> Result<(Self, Vec<Call<Judged>>), MadeTwice> {
        let mut made = HashMap::from([(0, None)]);
        for (number, record) in history.records.iter().enumerate() {
            if let Operation::Commit { outcome: Outcome::Done(version), .. } = &record.call.operation
                && let Some(before) = made.insert(*version, Some(number))
            {
                return Err(MadeTwice(before.unwrap_or(number), number));
            }
        }
        let contract = Self { made: made.into_keys().collect(), large };
        Ok((contract, judged(history)))
    }

    /// Nothing is there, and nobody knows the repository.
    pub fn beginning(&self) -> State {
        let (version, content) = (Version::Known(0), Some(Arc::default()));
        State { version, may_change: false, past: Arc::default(), content }
    }

    /// Anything may be there.
    pub fn anything(&self) -> State {
        State { version: Version::Any, may_change: false, past: Arc::default(), content: None }
    }

    /// `state`, if it may be at `number`, and what is known of it then.
    fn at(&self, state: &State, number: Number) -> Option<State> {
        let mut state = state.clone();
        match &state.version {
            Version::Known(known) if *known == number => {}
            Version::Known(known) if state.may_change && self.may_show(&state, number) => {
                // It is over, for what was made is made once.
                debug_assert!(self.made.contains(known));
                state.note_seen(number);
            }
            Version::Unseen(not) if !not.contains(&number) && self.may_show(&state, number) => state.note_seen(number),
            Version::Any => state.version = Version::Known(number),
            _ => return None,
        }
        Some(state)
    }

    /// Whether a version that was unseen may turn out to be `number`.
    fn may_show(&self, state: &State, number: Number) -> bool {
        !self.made.contains(&number) && !state.past.contains(&number)
    }

    fn load(&self, state: &State, window: Option<usize>, seen: &Seen) -> Option<State> {
        let mut state = self.at(state, seen.version)?;
        match &state.content {
            Some(content) if !content.shows(window, seen) => return None,
            // The head of a queue doesn't tell the rest.
            None if seen.whole => state.content = Some(Arc::new(Content::of(seen)?)),
            _ => {}
        }
        Some(state)
    }

    fn commit(
        &self,
        state: &State,
        expected: Number,
        holder: Client,
        change: &Change,
        made: Option<Number>,
    ) -> Option<State> {
        let mut state = self.at(state, expected)?;
        state.content = state.content.map(|content| Arc::new(content.changed(holder, change)));
        state.may_change = made.is_some() && change.len() > self.large;
        state.version = made.map_or_else(|| Version::Unseen(BTreeSet::new()), Version::Known);
        Some(state)
    }

    fn conflict(&self, state: &State, expected: Number) -> Option<State> {
        let mut state = state.clone();
        match &mut state.version {
            Version::Known(known) if *known != expected => {}
            Version::Known(_) if state.may_change => {
                state.version = Version::Unseen(BTreeSet::new());
                state.may_change = false;
            }
            Version::Known(_) => return None,
            Version::Unseen(not) => {
                if !self.made.contains(&expected) && !state.past.contains(&expected) {
                    not.insert(expected);
                }
            }
            Version::Any => {}
        }
        Some(state)
    }
}

impl Specification for Contract {
    type Operation = Judged;
    type State = State;

    fn step(&self, state: &State, judged: &Judged) -> Option<State> {
        match &judged.operation {
            Operation::Load { window, seen } => self.load(state, *window, seen),
            Operation::Commit { expected, holder, change, outcome } => match outcome {
                Outcome::Done(made) => self.commit(state, *expected, *holder, change, Some(*made)),
                Outcome::Lost => self.commit(state, *expected, *holder, change, None),
                Outcome::Conflict => self.conflict(state, *expected),
            },
        }
    }

    fn is_spent(&self, state: &State, judged: &Judged) -> bool {
        let Operation::Commit { expected, .. } = &judged.operation else { return true };
        match &state.version {
            Version::Known(known) => known != expected && judged.was_told,
            Version::Unseen(_) => judged.was_told,
            Version::Any => false,
        }
    }
}

/// The history's operations, with what their clients were told before.
fn judged(history: &History) -> Vec<Call<Judged>> {
    // When each version was first told of.
    let mut told: HashMap<Number, u64> = HashMap::new();
    for record in &history.records {
        if let (Some(version), Some(returned)) = (record.call.operation.tells(), record.call.returned) {
            told.entry(version).and_modify(|first| *first = returned.min(*first)).or_insert(returned);
        }
    }
    let judged = |record: &crate::history::Record| {
        let Call { called, returned, operation } = record.call.clone();
        let was_told = match &operation {
            Operation::Commit { expected: 0, .. } => true,
            Operation::Commit { expected, .. } => told.get(expected).is_some_and(|first| *first < called),
            Operation::Load { .. } => false,
        };
        Call { called, returned, operation: Judged { operation, was_told } }
    };
    history.records.iter().map(judged).collect()
}

// === impl State ===

impl State {
    fn note_seen(&mut self, number: Number) {
        self.version = Version::Known(number);
        self.may_change = false;
        Arc::make_mut(&mut self.past).insert(number);
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Version::Known(number) => write!(f, "v{number}")?,
            Version::Unseen(_) => f.write_str("a version nobody saw")?,
            Version::Any => f.write_str("any version")?,
        }
        let Some(content) = &self.content else { return f.write_str(", with anything") };
        f.write_str(" held")?;
        content.slots.iter().try_for_each(|(run, (place, holder))| write!(f, " {run}@{place}/{holder}"))?;
        f.write_str(" waits")?;
        content.in_order().iter().try_for_each(|entry| write!(f, " {}@{}", entry.run, entry.place))
    }
}

// === impl Content ===

impl Content {
    /// What a whole load showed; none if a run is there twice, or not in order.
    fn of(seen: &Seen) -> Option<Self> {
        let slots = seen.slots.iter().map(|(entry, holder)| (entry.run, (entry.place, *holder))).collect();
        let content = Self { slots, waiting: seen.waiting.iter().map(|entry| (entry.run, entry.place)).collect() };
        content.shows(None, seen).then_some(content)
    }

    fn in_order(&self) -> Vec<Entry> {
        let mut queue: Vec<Entry> = self.waiting.iter().map(|(&run, &place)| Entry { place, run }).collect();
        queue.sort_unstable();
        queue
    }

    fn shows(&self, window: Option<usize>, seen: &Seen) -> bool {
        let slots = self.slots.iter().map(|(&run, &(place, holder))| (Entry { place, run }, holder));
        let head = window.map_or(self.waiting.len(), |window| window.min(self.waiting.len()));
        seen.waiting_count == self.waiting.len()
            && seen.whole == (head == self.waiting.len())
            && slots.eq(seen.slots.iter().copied())
            && seen.waiting[..] == self.in_order()[..head]
    }

    fn changed(&self, holder: Client, change: &Change) -> Self {
        let Self { mut slots, mut waiting } = self.clone();
        for run in &change.release {
            slots.remove(run);
            waiting.remove(run);
        }
        for run in &change.give_back {
            if let Some((place, _)) = slots.remove(run) {
                waiting.insert(*run, place);
            }
        }
        for entry in &change.enqueue {
            if !slots.contains_key(&entry.run) {
                waiting.entry(entry.run).or_insert(entry.place);
            }
        }
        for entry in &change.hold {
            // Its place in the queue stays with the slot, and so does that of a slot that only changes hands.
            let place = waiting.remove(&entry.run).or(slots.get(&entry.run).map(|(place, _)| *place));
            slots.insert(entry.run, (place.unwrap_or(entry.place), holder));
        }
        Self { slots, waiting }
    }
}
