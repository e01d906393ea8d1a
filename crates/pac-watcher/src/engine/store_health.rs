//! How the store is, told apart from how it is about one repository.
//!
//! A call that fails for one repository says nothing about the others: its rows may be locked, or spoiled, or too many. So
//! such a failure is no trouble of the store's. It has the store asked at once, by calls that concern no repository, one that
//! reads and one that writes; what they come to is how the store is. If it is well, the repository is named, once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use pac_concurrency::RepositoryKey;
use pac_kube::backoff;
use tokio::time::Instant;

/// First wait before a repository that failed is looked at again; doubles with each further failure in a row.
const FAILED_WAIT: Duration = Duration::from_millis(100);
const FAILED_WAIT_MOST: Duration = Duration::from_secs(60);

/// A call that concerns no repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StoreCall {
    /// Whether the store is fit for use: it reads.
    Check,
    /// Beginning the term, or renewing its lease: it writes.
    Term,
    /// Which repositories there are.
    List,
    /// What an earlier implementation left.
    Legacy,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct StoreHealth {
    /// What each call last failed with, as long as it fails, and the one that is told.
    calls: BTreeMap<StoreCall, String>,
    told: Option<StoreCall>,
    repositories: HashMap<RepositoryKey, Failing>,
}

#[derive(Debug)]
struct Failing {
    times: u32,
    last: Instant,
    why: String,
    is_told: bool,
    /// Whether the store was away since: that explains it.
    is_explained: bool,
}

/// A repository to be told of: with why, and whether it fails or is fine again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) repository: RepositoryKey,
    pub(super) why: String,
}

// === impl StoreHealth ===

impl StoreHealth {
    /// Takes in what a call came to; says what is wrong with the store, if anything is. While the call that was told of
    /// fails, it is that: the same outage looks different to each.
    pub(super) fn note_call(&mut self, call: StoreCall, outcome: Result<(), String>) -> Option<&str> {
        match outcome {
            Ok(()) => {
                if self.calls.remove(&call).is_some() && self.calls.is_empty() {
                    self.repositories.values_mut().for_each(|failing| failing.is_explained = true);
                }
            }
            Err(why) => drop(self.calls.insert(call, why)),
        }
        self.told = self.told.filter(|told| self.calls.contains_key(told)).or(self.calls.keys().next().copied());
        self.told.and_then(|told| self.calls.get(&told)).map(String::as_str)
    }

    /// Whether the list of repositories is yet to be had.
    pub(super) fn is_list_missing(&self) -> bool {
        self.calls.contains_key(&StoreCall::List)
    }

    /// Takes in that a call about `repository` failed at `now`; says when to look at it again.
    pub(super) fn note_failure(&mut self, repository: &RepositoryKey, why: String, now: Instant) -> Instant {
        let failing = self.repositories.entry(repository.clone()).or_insert_with(|| Failing {
            times: 0,
            last: now,
            why: String::new(),
            is_told: false,
            is_explained: false,
        });
        failing.is_told &= failing.why == why;
        failing.times += 1;
        (failing.last, failing.why, failing.is_explained) = (now, why, false);
        now + backoff::wait(FAILED_WAIT, FAILED_WAIT_MOST, failing.times - 1)
    }

    /// Takes in that a pass over `repository` came to its end; says whether its failure was told of.
    pub(super) fn note_success(&mut self, repository: &RepositoryKey) -> bool {
        self.repositories.remove(repository).is_some_and(|failing| failing.is_told)
    }

    /// The repositories to tell of, now that the store was found to be well by a call that began at `began`: each once, with why.
    pub(super) fn take_untold(&mut self, began: Instant) -> Vec<Failure> {
        if !self.calls.is_empty() {
            return Vec::new();
        }
        let is_untold = |failing: &Failing| !failing.is_told && !failing.is_explained && failing.last <= began;
        let untold = self.repositories.iter_mut().filter(|(_, failing)| is_untold(failing));
        let told = untold.map(|(repository, failing)| {
            failing.is_told = true;
            Failure { repository: repository.clone(), why: failing.why.clone() }
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> RepositoryKey {
        RepositoryKey::new("ns", name).unwrap()
    }

    fn failed(why: &str) -> Result<(), String> {
        Err(why.to_owned())
    }

    #[test]
    fn an_outage_is_told_in_the_words_of_one_call() {
        let mut health = StoreHealth::default();
        assert_eq!(health.note_call(StoreCall::Term, failed("refused")), Some("refused"));
        assert_eq!(health.note_call(StoreCall::Check, failed("no answer")), Some("refused"));
        assert_eq!(health.note_call(StoreCall::Term, Ok(())), Some("no answer"), "it goes on");
        assert_eq!(health.note_call(StoreCall::Check, Ok(())), None);
    }

    #[test]
    fn a_store_that_takes_no_writes_is_not_well_because_it_answers() {
        let mut health = StoreHealth::default();
        health.note_call(StoreCall::Term, failed("permission denied"));
        assert_eq!(health.note_call(StoreCall::Check, Ok(())), Some("permission denied"));
    }

    #[test]
    fn a_repository_is_told_of_once_and_not_while_the_store_is_away() {
        let (mut health, now) = (StoreHealth::default(), Instant::now());
        health.note_failure(&key("a"), "locked".to_owned(), now);
        health.note_call(StoreCall::Check, failed("refused"));
        assert_eq!(health.take_untold(now), []);
        health.note_call(StoreCall::Check, Ok(()));
        assert_eq!(health.take_untold(now), [], "the outage explains it");
        health.note_failure(&key("a"), "locked".to_owned(), now);
        assert_eq!(health.take_untold(now - Duration::from_secs(1)), [], "asked before it failed");
        let told = || Failure { repository: key("a"), why: "locked".to_owned() };
        assert_eq!(health.take_untold(now), [told()]);
        health.note_failure(&key("a"), "locked".to_owned(), now);
        assert_eq!(health.take_untold(now), []);
        assert!(health.note_success(&key("a")), "that it is over is told, too");
        assert!(!health.note_success(&key("a")));
    }

    #[test]
    fn a_repository_that_fails_is_looked_at_less_and_less_often() {
        let (mut health, now) = (StoreHealth::default(), Instant::now());
        let waits: Vec<_> = (0..12).map(|_| health.note_failure(&key("a"), "locked".to_owned(), now) - now).collect();
        assert!(waits[0] <= FAILED_WAIT * 2 && waits[11] > FAILED_WAIT_MOST / 3, "{waits:?}");
    }
}
