//! The rules by which the system goes on.

mod action;
mod step;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, Object};
use crate::known::Known;
use crate::scenario::{Scenario, Slow};
use crate::system::{Answer, System, Watching};
use crate::watcher::{Ask, Input, Output, TICK, Watcher};

pub(crate) use self::action::Action;

/// What watchers, by their digest, made of what reached them.
type Taken = HashMap<(u64, Input), (Known<Watcher>, Arc<Output>)>;

/// One watcher stands for all that are taken to be alike; another of them is asked, too, whether it goes on alike.
struct Alike {
    first: Known<Watcher>,
    latest: Known<Watcher>,
}

/// See the [module](self).
pub(crate) struct Protocol {
    scenario: Scenario,
    began: Instant,
    taken: Mutex<Taken>,
    known: Mutex<HashMap<u64, Alike>>,
}

// === impl Protocol ===

impl Protocol {
    /// The rules of `scenario`.
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self { scenario, began: Instant::now(), taken: Mutex::default(), known: Mutex::default() }
    }

    /// How many states of one watcher there were, and how many inputs they were given.
    pub(crate) fn of_a_watcher(&self) -> (usize, usize) {
        (locked(&self.known).len(), locked(&self.taken).len())
    }

    /// Whether time passes as often as it likes.
    pub(crate) fn has_ticks(&self) -> bool {
        self.scenario.ticks
    }

    /// Where it begins.
    pub(crate) fn first(&self) -> System {
        let objects = self.scenario.runs.iter().map(|life| Object { generation: 0, life: *life }).collect();
        let cluster = Cluster { objects, limit: self.scenario.limit, history: Vec::new() };
        let mut first = System::new(cluster, self.scenario.budget);
        for _ in 0..self.scenario.watchers {
            let new = self.begin(&mut first);
            first.watchers.push(new);
        }
        first
    }

    fn begin(&self, system: &mut System) -> Watching {
        let number = u8::try_from(system.leases.len()).unwrap_or(u8::MAX);
        system.leases.push(self.lease());
        let (limit, window) = (system.cluster.limit, self.scenario.window);
        let waits = self.scenario.slow != Slow::Everybody;
        let watcher = Watcher::begin(self.began, system.cluster.runs(), limit, number, self.ttl(), window, waits);
        let seen = system.cluster.history.len();
        Watching { watcher: self.intern(watcher), seen, has_news: false, answer: None }
    }

    fn ttl(&self) -> Duration {
        self.scenario.lease.map_or(TICK * 1_000_000, |ticks| TICK * u32::from(ticks))
    }

    fn lease(&self) -> u8 {
        self.scenario.lease.unwrap_or(u8::MAX)
    }

    fn intern(&self, watcher: Watcher) -> Known<Watcher> {
        let latest = Known::new(watcher, Watcher::feed);
        let mut known = locked(&self.known);
        let alike =
            known.entry(latest.digest()).or_insert_with(|| Alike { first: latest.clone(), latest: latest.clone() });
        alike.latest = latest;
        alike.first.clone()
    }

    /// # Panics
    ///
    /// If another watcher that is taken to be alike makes something else of it: then the digest leaves out what matters.
    fn take(&self, watcher: &Known<Watcher>, input: Input) -> (Known<Watcher>, Arc<Output>) {
        let key = (watcher.digest(), input);
        if let Some(taken) = locked(&self.taken).get(&key) {
            return taken.clone();
        }
        let (next, output) = watcher.take(&key.1, self.ttl());
        let taken = (self.intern(next), Arc::new(output));
        let other = locked(&self.known).get(&key.0).map(|alike| alike.latest.clone());
        if let Some(other) = other {
            let (next, output) = other.take(&key.1, self.ttl());
            let is_alike = Known::new(next, Watcher::feed) == taken.0 && output == *taken.1;
            assert!(is_alike, "not alike after {:?}:\n{:?}\n{:?}", key.1, **watcher, *other);
        }
        locked(&self.taken).insert(key, taken.clone());
        taken
    }

    /// Has the watcher take `input`, and carries out what it asks for.
    fn tell(&self, system: &mut System, number: u8, input: Input) {
        let is_look = input == Input::Look;
        let (watcher, output) = self.take(&system.watching(number).watcher, input);
        system.watching_mut(number).watcher = watcher;
        if let Some(ask) = &output.ask {
            if is_look {
                system.judge_pass(number);
            }
            // What it asks for is done at once; the answer may be late.
            let answer = match ask {
                Ask::Load(window) => Answer::Loaded(Known::snapshot(system.load(*window))),
                Ask::Commit(expected, delta) => Answer::Committed(system.commit(number, *expected, delta)),
            };
            system.watching_mut(number).answer = Some(answer);
        }
        if let Some((id, limit)) = output.start {
            system.send(number, id, limit);
        }
        for (purpose, id) in &output.reads {
            system.read(number, *purpose, *id);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
