//! Histories made by a store that does one thing after the other, and a search that tries everything.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use pac_judge::history::{Change, Client, Entry, History, Number, Operation, Outcome, Record, Run, Seen};
use pac_judge::linearizability::Call;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What a history is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) operations: usize,
    pub(crate) clients: Client,
    pub(crate) runs: Run,
    /// The part of commits whose answer is lost.
    pub(crate) lost: f64,
}

/// A store of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Store {
    version: Number,
    /// Each run that is there, with its place, and who holds its slot.
    runs: Vec<(Run, u32, Option<Client>)>,
}

// === impl Store ===

impl Store {
    fn commit(&mut self, version: Number, holder: Client, change: &Change) {
        self.version = version;
        self.runs.retain(|(run, ..)| !change.release.contains(run));
        for (run, _, held) in &mut self.runs {
            if change.give_back.contains(run) {
                *held = None;
            }
        }
        for entry in &change.enqueue {
            if !self.runs.iter().any(|(run, ..)| *run == entry.run) {
                self.runs.push((entry.run, entry.place, None));
            }
        }
        for entry in &change.hold {
            match self.runs.iter_mut().find(|(run, ..)| *run == entry.run) {
                Some((_, _, held)) => *held = Some(holder),
                None => self.runs.push((entry.run, entry.place, Some(holder))),
            }
        }
        self.runs.sort_unstable();
    }

    fn seen(&self, window: Option<usize>) -> Seen {
        let slots = self.runs.iter().filter_map(|&(run, place, held)| Some((Entry { place, run }, held?))).collect();
        let waiting = self.runs.iter().filter(|(_, _, held)| held.is_none());
        let mut waiting: Vec<Entry> = waiting.map(|&(run, place, _)| Entry { place, run }).collect();
        waiting.sort_unstable();
        let waiting_count = waiting.len();
        waiting.truncate(window.unwrap_or(usize::MAX));
        let whole = waiting.len() == waiting_count;
        Seen { version: self.version, slots, waiting, waiting_count, whole }
    }
}

/// What a client is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Call,
    Effect,
    Return,
}

/// A history of clients that know what they were told, and a store that does one thing after the other.
pub(crate) fn generate(shape: Shape, seed: u64) -> History {
    let mut random = StdRng::seed_from_u64(seed);
    let mut store = Store::default();
    let mut versions = 1_000;
    let mut moments: BinaryHeap<_> =
        (0..shape.clients).map(|client| Reverse((u64::from(client), client, Moment::Call))).collect();
    let mut told: HashMap<Client, Number> = HashMap::new();
    let mut under_way: HashMap<Client, Record> = HashMap::new();
    let mut records = Vec::new();
    while let Some(Reverse((now, client, moment))) = moments.pop() {
        let later = now + random.random_range(1..12);
        match moment {
            Moment::Call if records.len() + under_way.len() >= shape.operations => {}
            Moment::Call => {
                let expected = told.get(&client).copied().unwrap_or_default();
                let operation = asked(&mut random, shape, expected, client);
                under_way.insert(client, Record { client, call: Call { called: now, returned: None, operation } });
                moments.push(Reverse((later, client, Moment::Effect)));
            }
            Moment::Effect => {
                let record = under_way.get_mut(&client).unwrap();
                match &mut record.call.operation {
                    Operation::Load { window, seen } => *seen = store.seen(*window),
                    Operation::Commit { expected, holder, change, outcome } => {
                        *outcome = Outcome::Conflict;
                        if *expected == store.version {
                            versions += 1;
                            store.commit(versions, *holder, change);
                            *outcome = Outcome::Done(versions);
                        }
                        if random.random_bool(shape.lost) {
                            *outcome = Outcome::Lost;
                            records.extend(under_way.remove(&client));
                            // It gives up, and does something else.
                            moments.push(Reverse((later, client, Moment::Call)));
                            continue;
                        }
                    }
                }
                moments.push(Reverse((later, client, Moment::Return)));
            }
            Moment::Return => {
                let mut record = under_way.remove(&client).unwrap();
                record.call.returned = Some(now);
                told.extend(record.call.operation.tells().map(|version| (client, version)));
                records.push(record);
                moments.push(Reverse((later, client, Moment::Call)));
            }
        }
    }
    History { repository: format!("random/seed-{seed}"), records }
}

fn asked(random: &mut StdRng, shape: Shape, expected: Number, holder: Client) -> Operation {
    if random.random_bool(0.5) {
        let window = random.random_bool(0.5).then(|| random.random_range(0..3));
        return Operation::Load { window, seen: Store::default().seen(None) };
    }
    let mut change = Change::default();
    for _ in 0..random.random_range(0..3) {
        let entry = Entry { place: random.random_range(0..3), run: random.random_range(0..shape.runs) };
        match random.random_range(0..4) {
            0 => change.release.push(entry.run),
            1 => change.give_back.push(entry.run),
            2 => change.enqueue.push(entry),
            _ => change.hold.push(entry),
        }
    }
    Operation::Commit { expected, holder, change, outcome: Outcome::Lost }
}

/// Whether any order of any choice of the lost ones, with any versions that those may have made, explains the history.
pub(crate) fn brute_force(history: &History, large: usize) -> bool {
    let mut versions: Vec<Number> = vec![u64::MAX];
    let mut made = Vec::new();
    for record in &history.records {
        versions.extend(record.call.operation.tells());
        match &record.call.operation {
            Operation::Commit { expected, outcome, .. } => {
                versions.push(*expected);
                made.extend(if let Outcome::Done(version) = outcome { Some(*version) } else { None });
            }
            Operation::Load { .. } => {}
        }
    }
    versions.sort_unstable();
    versions.dedup();
    versions.retain(|version| !made.contains(version));
    let all = All { records: &history.records, free: versions, large };
    all.explains(&Store::default(), &[0], false, &mut vec![false; history.records.len()])
}

struct All<'h> {
    records: &'h [Record],
    /// Versions that a commit may have made whose answer was lost; the last one stands for all that nobody saw.
    free: Vec<Number>,
    large: usize,
}

// === impl All ===

impl All<'_> {
    fn explains(&self, store: &Store, used: &[Number], may_change: bool, done: &mut Vec<bool>) -> bool {
        let left = |done: &[bool]| (0..self.records.len()).filter(|&at| !done[at]).collect::<Vec<_>>();
        let left = left(done);
        if left.iter().all(|&at| self.records[at].call.returned.is_none()) {
            return true;
        }
        if may_change && self.makes(store, used, |next, used| self.explains(next, used, false, done)) {
            return true;
        }
        for &at in &left {
            let call = &self.records[at].call;
            if left
                .iter()
                .any(|&other| self.records[other].call.returned.is_some_and(|returned| returned < call.called))
            {
                continue;
            }
            done[at] = true;
            let explained = match &call.operation {
                Operation::Load { window, seen } => {
                    store.seen(*window) == *seen && self.explains(store, used, may_change, done)
                }
                Operation::Commit { expected, outcome: Outcome::Conflict, .. } => {
                    *expected != store.version && self.explains(store, used, may_change, done)
                }
                Operation::Commit { expected, .. } if *expected != store.version => false,
                Operation::Commit { holder, change, outcome: Outcome::Done(version), .. } => {
                    let mut next = store.clone();
                    next.commit(*version, *holder, change);
                    let used_now = [used, &[*version]].concat();
                    !used.contains(version) && self.explains(&next, &used_now, change.len() > self.large, done)
                }
                Operation::Commit { holder, change, outcome: Outcome::Lost, .. } => {
                    let mut next = store.clone();
                    next.commit(store.version, *holder, change);
                    self.makes(&next, used, |next, used| self.explains(next, used, false, done))
                }
            };
            done[at] = false;
            if explained {
                return true;
            }
        }
        false
    }

    /// Whether `explains` for one of the versions that `store` may have from now on.
    fn makes(&self, store: &Store, used: &[Number], mut explains: impl FnMut(&Store, &[Number]) -> bool) -> bool {
        let unseen = *self.free.last().unwrap_or(&u64::MAX);
        let free = self.free.iter().filter(|&&version| version == unseen || !used.contains(&version));
        free.into_iter().any(|&version| {
            let next = Store { version, ..store.clone() };
            explains(&next, &[used, &[version]].concat())
        })
    }
}
