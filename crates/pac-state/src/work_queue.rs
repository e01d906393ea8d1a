//! The queue of work: which repositories to look at, and when.
//!
//! A repository is handed to one worker at a time. A repository that is added while a worker has it is handed out once more when the
//! worker is done, however often it was added. One can be added for later, too: the earliest time asked for counts.
//!
//! Repositories where something happened come before those that are looked at whole as a matter of routine, so that no run waits for
//! its slot until a resync went through all repositories of a large cluster. Routine gets its turns all the same (P4).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pac_concurrency::{RepositoryKey, Scope};

use crate::sync::{Instant, Mutex, MutexGuard, Notify, PoisonError, sleep_until};

/// The queue of work; see the [module](self).
#[derive(Debug, Default)]
pub struct WorkQueue {
    state: Mutex<State>,
    added: Notify,
}

/// Of so many looks at least one is routine, as long as there is any to do.
pub const TURNS: u64 = 8;

#[derive(Debug, Default)]
struct State {
    // What a worker may take, in the order it was asked for.
    events: BTreeMap<u64, RepositoryKey>,
    routine: BTreeMap<u64, RepositoryKey>,
    // What is wanted of those, and of those under way that are to be looked at again.
    wanted: HashMap<RepositoryKey, Wish>,
    under_way: HashSet<RepositoryKey>,
    later: BTreeSet<(Instant, RepositoryKey)>,
    later_by_key: HashMap<RepositoryKey, (Instant, Scope)>,
    asked: u64,
    taken: u64,
}

/// What is wanted of one repository.
#[derive(Debug, Clone, Copy)]
struct Wish {
    scope: Scope,
    /// Whether nothing happened there, and it is looked at whole as everything is now and then.
    is_routine: bool,
    place: u64,
}

// === impl WorkQueue ===

impl WorkQueue {
    /// Asks for a look at `repository` now.
    pub fn add(&self, repository: RepositoryKey, scope: Scope) {
        if self.state().add(repository, scope) {
            self.added.notify_one();
        }
    }

    /// Asks for a look at `repository` at `when`, or earlier if one is asked for then.
    pub fn add_later(&self, repository: RepositoryKey, scope: Scope, when: Instant) {
        self.state().add_later(repository, scope, when);
        self.added.notify_one();
    }

    /// The next repository to look at, as soon as there is one. A worker that has looked calls [`WorkQueue::done`].
    pub async fn next(&self) -> (RepositoryKey, Scope) {
        loop {
            let (found, wake) = {
                let mut state = self.state();
                state.ripen(Instant::now());
                (state.take(), state.later.first().map(|(when, _)| *when))
            };
            if let Some(found) = found {
                // Another worker may be asleep with more to do.
                self.added.notify_one();
                return found;
            }
            match wake {
                Some(when) => tokio::select! {
                    () = self.added.notified() => {}
                    () = sleep_until(when) => {}
                },
                None => self.added.notified().await,
            }
        }
    }

    /// Says that the worker is done with `repository`.
    pub fn done(&self, repository: &RepositoryKey) {
        let mut state = self.state();
        state.under_way.remove(repository);
        if let Some(wish) = state.wanted.get(repository).copied() {
            state.queue(wish.is_routine).insert(wish.place, repository.clone());
            drop(state);
            self.added.notify_one();
        }
    }

    /// How many repositories are to be looked at now.
    pub fn depth(&self) -> usize {
        self.state().wanted.len()
    }

    /// Forgets all that is asked for.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Whether there is something for a worker to take now that wasn't there before.
    fn add(&mut self, repository: RepositoryKey, scope: Scope) -> bool {
        let (is_routine, is_under_way) = (scope == Scope::Whole, self.under_way.contains(&repository));
        self.asked += 1;
        let new = Wish { scope, is_routine, place: self.asked };
        let Some(before) = self.wanted.get(&repository).copied() else {
            self.wanted.insert(repository.clone(), new);
            if !is_under_way {
                self.queue(is_routine).insert(new.place, repository);
            }
            return !is_under_way;
        };
        let both = before.and(new);
        self.wanted.insert(repository.clone(), both);
        if before.is_routine && !both.is_routine && self.routine.remove(&before.place).is_some() {
            self.events.insert(both.place, repository);
        }
        false
    }

    fn queue(&mut self, is_routine: bool) -> &mut BTreeMap<u64, RepositoryKey> {
        if is_routine { &mut self.routine } else { &mut self.events }
    }

    fn add_later(&mut self, repository: RepositoryKey, scope: Scope, when: Instant) {
        let (mut when, mut scope) = (when, scope);
        if let Some((before, scope_before)) = self.later_by_key.remove(&repository) {
            self.later.remove(&(before, repository.clone()));
            when = when.min(before);
            scope = if scope_before == Scope::Whole { Scope::Whole } else { scope };
        }
        self.later.insert((when, repository.clone()));
        self.later_by_key.insert(repository, (when, scope));
    }

    fn ripen(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(when, _)| *when <= now) {
            let Some((_, repository)) = self.later.pop_first() else { return };
            let scope = self.later_by_key.remove(&repository).map_or(Scope::Head, |(_, scope)| scope);
            self.add(repository, scope);
        }
    }

    fn take(&mut self) -> Option<(RepositoryKey, Scope)> {
        self.taken += 1;
        let routine_first = self.taken.is_multiple_of(TURNS);
        let first = self.queue(routine_first).pop_first();
        let (_, repository) = first.or_else(|| self.queue(!routine_first).pop_first())?;
        let scope = self.wanted.remove(&repository).map_or(Scope::Head, |wish| wish.scope);
        self.under_way.insert(repository.clone());
        Some((repository, scope))
    }
}

// === impl Wish ===

impl Wish {
    /// All that is asked for by either, at the place of this one, which came first.
    fn and(self, other: Self) -> Self {
        let scope = if self.scope == Scope::Whole { Scope::Whole } else { other.scope };
        Self { scope, is_routine: self.is_routine && other.is_routine, place: self.place }
    }
}
