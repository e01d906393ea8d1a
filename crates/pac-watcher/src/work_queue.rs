//! Which repositories to look at, and when.
//!
//! A repository is handed to one worker at a time. What is added while a worker has it is handed out once more when the
//! worker is done, however often it was added. Looking later is the same with a time: the earliest one asked for counts.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pac_concurrency::{RepositoryKey, Scope};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The queue of work; see the [module](self).
#[derive(Debug, Default)]
pub struct WorkQueue {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<RepositoryKey>,
    // What is wanted of those in `ready`, and of those under way that are to be looked at again.
    wanted: HashMap<RepositoryKey, Scope>,
    under_way: HashSet<RepositoryKey>,
    later: BTreeSet<(Instant, RepositoryKey)>,
    later_by_key: HashMap<RepositoryKey, (Instant, Scope)>,
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

    /// The next repository to look at, as soon as there is one. To be followed by [`WorkQueue::done`].
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
                    () = tokio::time::sleep_until(when) => {}
                },
                None => self.added.notified().await,
            }
        }
    }

    /// Says that the worker is done with `repository`.
    pub fn done(&self, repository: &RepositoryKey) {
        let mut state = self.state();
        state.under_way.remove(repository);
        if state.wanted.contains_key(repository) {
            state.ready.push_back(repository.clone());
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
        let wanted_before = self.wanted.get(&repository).copied();
        if wanted_before != Some(Scope::Whole) {
            self.wanted.insert(repository.clone(), scope);
        }
        if wanted_before.is_some() || self.under_way.contains(&repository) {
            return false;
        }
        self.ready.push_back(repository);
        true
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
        let repository = self.ready.pop_front()?;
        let scope = self.wanted.remove(&repository).unwrap_or(Scope::Head);
        self.under_way.insert(repository.clone());
        Some((repository, scope))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn key(name: &str) -> RepositoryKey {
        RepositoryKey::new("ns", name).unwrap()
    }

    #[tokio::test]
    async fn many_events_are_one_look() {
        let queue = WorkQueue::default();
        queue.add(key("a"), Scope::Head);
        queue.add(key("a"), Scope::Whole);
        queue.add(key("a"), Scope::Head);
        assert_eq!(queue.next().await, (key("a"), Scope::Whole));
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn events_during_a_look_are_one_further_look() {
        let queue = WorkQueue::default();
        queue.add(key("a"), Scope::Head);
        queue.next().await;
        queue.add(key("a"), Scope::Head);
        queue.add(key("a"), Scope::Head);
        assert!(queue.next().now_or_never().is_none(), "two looks at once");
        queue.done(&key("a"));
        assert_eq!(queue.next().await.0, key("a"));
        queue.done(&key("a"));
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn one_slow_repository_holds_up_no_other() {
        let queue = WorkQueue::default();
        queue.add(key("slow"), Scope::Head);
        queue.next().await;
        queue.add(key("slow"), Scope::Head);
        queue.add(key("other"), Scope::Head);
        assert_eq!(queue.next().await.0, key("other"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_counts() {
        let queue = WorkQueue::default();
        let start = Instant::now();
        queue.add_later(key("a"), Scope::Whole, start + Duration::from_secs(9));
        queue.add_later(key("a"), Scope::Head, start + Duration::from_secs(2));
        queue.add_later(key("a"), Scope::Head, start + Duration::from_secs(5));
        assert_eq!(queue.next().await, (key("a"), Scope::Whole));
        assert_eq!(start.elapsed().as_secs(), 2);
        queue.done(&key("a"));
        assert!(queue.next().now_or_never().is_none());
    }
}
