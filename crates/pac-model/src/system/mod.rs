//! All of it at one instant.

mod judge;
mod likeness;
mod store;

use pac_concurrency::Snapshot;

use crate::cluster::{Cluster, Id, Life, Started};
use crate::known::Known;
use crate::scenario::Budget;
use crate::watcher::{Input, Outcome, Purpose, Watcher};

pub(crate) use self::judge::{Breach, PROMISES};

/// How long a start is on its way at the most, in ticks: it takes effect within, or never.
const DEADLINE: u8 = 2;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    /// What the API server has.
    pub(crate) cluster: Cluster,
    pub(crate) watchers: Vec<Watching>,
    pub(crate) store: Known<Snapshot>,
    /// How long each holder's lease lasts, in ticks.
    pub(crate) leases: Vec<u8>,
    pub(crate) starts: Vec<Start>,
    pub(crate) reads: Vec<Read>,
    pub(crate) budget: Budget,
    /// Runs that had a slot when another was started by a limit of which its watcher didn't know yet that it was lowered. One bit for
    /// each name.
    excused: u8,
    pub(crate) breach: Option<Breach>,
}

/// One watcher, and what it is yet to be told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Watching {
    pub(crate) watcher: Known<Watcher>,
    /// How much of the cluster's history it has seen.
    pub(crate) seen: usize,
    /// Whether others changed the store since it was last told.
    pub(crate) has_news: bool,
    /// The store's, on its way to it.
    pub(crate) answer: Option<Answer>,
}

/// An answer of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Loaded(Known<Snapshot>),
    Committed(Outcome),
}

/// A start on its way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Start {
    /// Which watcher waits for the answer; none if it died.
    pub(crate) by: Option<u8>,
    pub(crate) id: Id,
    pub(crate) limit: u8,
    age: u8,
    pub(crate) answer: Option<StartAnswer>,
}

/// What the API server says to a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum StartAnswer {
    Started,
    LookAgain,
    Refused,
}

/// A read that was answered, and of which the answer is on its way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Read {
    pub(crate) by: u8,
    pub(crate) purpose: Purpose,
    pub(crate) id: Id,
    pub(crate) found: Life,
}

// === impl Start ===

impl Start {
    /// How many ticks ago it was sent.
    pub(crate) fn age(&self) -> u8 {
        self.age
    }

    /// Whether it can still arrive once its sender waits for it no more: who sent it, waits for two ticks.
    pub(crate) fn may_go_astray(&self) -> bool {
        self.age < DEADLINE
    }

    /// Its sender waits for it no more. It arrives within two ticks of when it was sent: those three that others have are counted from the
    /// proof of its slot, which is older.
    pub(crate) fn go_astray(&mut self) {
        self.by = None;
        self.age += 1;
    }

    /// All of it but whose it is.
    fn parts(&self) -> (Id, u8, u8, Option<StartAnswer>) {
        (self.id, self.limit, self.age, self.answer)
    }
}

// === impl System ===

impl System {
    /// A store of which nothing is known, and nobody at work.
    pub(crate) fn new(cluster: Cluster, budget: Budget) -> Self {
        Self {
            cluster,
            watchers: Vec::new(),
            store: Known::snapshot(Snapshot::empty()),
            leases: Vec::new(),
            starts: Vec::new(),
            reads: Vec::new(),
            budget,
            excused: 0,
            breach: None,
        }
    }

    pub(crate) fn watching(&self, number: u8) -> &Watching {
        &self.watchers[usize::from(number)]
    }

    pub(crate) fn watching_mut(&mut self, number: u8) -> &mut Watching {
        &mut self.watchers[usize::from(number)]
    }

    /// How many ticks the lease of that watcher lasts.
    pub(crate) fn lease_of(&self, number: u8) -> u8 {
        self.leases[usize::from(self.watching(number).watcher.holder)]
    }

    /// Whether nothing is under way that takes effect within its deadline or not at all.
    pub(crate) fn may_tick(&self) -> bool {
        self.starts.iter().all(|start| start.answer.is_some() || start.age < DEADLINE)
    }

    /// Has the starts that are on their way grow older.
    pub(crate) fn tick(&mut self) {
        self.starts.iter_mut().filter(|start| start.answer.is_none()).for_each(|start| start.age += 1);
    }

    /// Has a start be on its way.
    pub(crate) fn send(&mut self, by: u8, id: Id, limit: u8) {
        self.starts.push(Start { by: Some(by), id, limit, age: 0, answer: None });
        self.starts.sort_unstable();
    }

    /// A start reaches the API server.
    pub(crate) fn arrive(&mut self, at: usize) {
        let Start { id, limit, .. } = self.starts[at];
        let started = self.cluster.start(id);
        self.starts[at].answer = Some(match started {
            Started::Yes | Started::AgainstAWish => StartAnswer::Started,
            Started::No => StartAnswer::LookAgain,
        });
        self.judge_start(id, limit, started);
    }

    /// Reads a run: what is found is on its way to who asked.
    pub(crate) fn read(&mut self, by: u8, purpose: Purpose, id: Id) {
        let found = self.cluster.life(id);
        self.reads.push(Read { by, purpose, id, found });
        self.reads.sort_unstable();
    }

    /// The store's answer, as it reaches the watcher.
    pub(crate) fn answered(&mut self, number: u8) -> Option<Input> {
        Some(match self.watching_mut(number).answer.take()? {
            Answer::Loaded(snapshot) => Input::Loaded(snapshot),
            Answer::Committed(outcome) => Input::Committed(outcome),
        })
    }

    /// Whether nothing waits, runs, or is left in the store.
    pub(crate) fn is_settled(&self) -> bool {
        let is_over = |(_, life): (_, Life)| !matches!(life, Life::Pending | Life::Running);
        self.cluster.runs().all(is_over) && self.store.slots.is_empty() && self.store.waiting.is_empty()
    }

    /// Has equal states be equal: drops what matters to nobody any more.
    pub(crate) fn tidy(&mut self) {
        let is_pending = |name: u8| self.cluster.life(self.cluster.id(name)) == Life::Pending;
        self.excused = (0..8)
            .filter(|name| self.excused & (1 << name) != 0 && is_pending(*name))
            .fold(0, |names, name| names | 1 << name);
        self.starts.retain(|start| start.by.is_some() || start.answer.is_none());
        self.starts.sort_unstable();
        let seen_by_all = self.watchers.iter().map(|watching| watching.seen).min().unwrap_or_default();
        self.cluster.history.drain(..seen_by_all);
        self.watchers.iter_mut().for_each(|watching| watching.seen -= seen_by_all);
    }
}
