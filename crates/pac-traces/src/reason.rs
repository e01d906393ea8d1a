//! Why nobody of a repository is admitted just now, in a word.

use std::collections::VecDeque;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Limit, RepositoryKey};
use pac_state::health::{Health, Part};
use pac_state::index::Index;
use tokio::time::Instant;

/// So many changes of the reason are kept of a repository.
const CHANGES: usize = 64;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A slot of its Repository.
    Slot,
    /// The end of a pause, of its Repository or of everything.
    Paused,
    /// The limit of its Repository, which is missing or can't be read.
    LimitUnknown,
    /// The gate that keeps out Pipelines-as-Code's own queue.
    Gate,
    /// Runs that Pipelines-as-Code's own queue still has to start.
    PacsQueue,
    /// The store of slots and queues.
    Store,
    /// The API server, or one of the watches.
    ApiServer,
    /// The API server, or a webhook that it asks, to let it be started.
    Refused,
    /// The answer to a start.
    Unanswered,
}

/// The reasons of one repository, each with the time from which on it held; the latest last.
#[derive(Debug, Default)]
pub(crate) struct Reasons(VecDeque<(Timestamp, Reason)>);

// === impl Reason ===

impl Reason {
    /// Its name in spans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::Paused => "paused",
            Self::LimitUnknown => "limit-unknown",
            Self::Gate => "gate",
            Self::PacsQueue => "pacs-queue",
            Self::Store => "store",
            Self::ApiServer => "api-server",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }

    /// What those of `repository` wait for that are in its queue. The first that holds is told, as to people who ask.
    pub(crate) fn of(repository: &RepositoryKey, index: &Index, health: &Health) -> Self {
        let is_pacs = || index.with(repository, |state| !state.open_to_pacs_queue(Instant::now()).is_empty());
        let deaf = [Part::ApiServer, Part::RunWatch, Part::RepositoryWatch];
        match index.limit(repository) {
            Limit::Unknown => Self::LimitUnknown,
            _ if index.awaits_gate(repository) => Self::Gate,
            _ if is_pacs() => Self::PacsQueue,
            _ if index.is_paused() || index.pause_now(repository).is_some() => Self::Paused,
            _ if health.is_troubled(Part::Store) => Self::Store,
            _ if deaf.into_iter().any(|part| health.is_troubled(part)) => Self::ApiServer,
            _ => Self::Slot,
        }
    }
}

// === impl Reasons ===

impl Reasons {
    /// Notes that `reason` holds at `now`, and since it last was another.
    pub(crate) fn note(&mut self, reason: Reason, now: Timestamp) {
        if self.0.back().is_some_and(|(_, last)| *last == reason) {
            return;
        }
        if self.0.len() == CHANGES {
            self.0.pop_front();
        }
        self.0.push_back((now, reason));
    }

    /// Those that held between two times, each once, in the order in which they did.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Reason> {
        let mut held = Vec::new();
        for (number, (since, reason)) in self.0.iter().enumerate() {
            let is_over = self.0.get(number + 1).is_some_and(|(next, _)| *next <= from);
            if !is_over && *since <= to && !held.contains(reason) {
                held.push(*reason);
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_held_during_a_wait_is_told_once_and_in_order() {
        let mut reasons = Reasons::default();
        for (second, reason) in [(1, Reason::Gate), (2, Reason::Slot), (3, Reason::Slot), (5, Reason::Paused)] {
            reasons.note(reason, at(second));
        }
        reasons.note(Reason::Slot, at(8));
        assert_eq!(reasons.between(at(2), at(4)), [Reason::Slot]);
        assert_eq!(reasons.between(at(4), at(9)), [Reason::Slot, Reason::Paused]);
        assert_eq!(reasons.between(at(0), at(9)), [Reason::Gate, Reason::Slot, Reason::Paused]);
        assert_eq!(reasons.between(at(0), at(0)), []);
        (0..1000).for_each(|second| {
            reasons.note(if second % 2 == 0 { Reason::Store } else { Reason::Slot }, at(10 + second));
        });
        assert_eq!(reasons.0.len(), CHANGES);
    }
}
