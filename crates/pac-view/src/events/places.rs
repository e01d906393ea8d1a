//! The places of runs that wait, published anew as their queue moves: `kubectl describe` shows where a run is, not where it was when
//! it joined the queue.
//!
//! Every start moves all runs behind it, too many to publish at once. Each round publishes a bounded number, those first whose place
//! was published longest ago.

use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{Manager, RepositoryKey, RunKey};
use pac_kube::error::with_causes;
use pac_queue::history::now;
use pac_state::active_store::ActiveStore;
use pac_state::index::Index;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::debug;

use super::News;
use super::mailbox::DuePlace;

/// How many places a round publishes at most: five a second.
const IN_A_ROUND: usize = 150;
/// Every so many rounds all queues are looked at, moved or not: the API server drops Events that are an hour old.
const FULL_ROUND: usize = 40;

/// Publishes where in their queue runs wait, anew as it moves.
pub struct Places {
    /// The time from one round to the next, and about the least between two Events on the place of one run.
    pub every: Duration,
    /// Takes the Events.
    pub news: News,
    /// Has the store's manager.
    pub active_store: Arc<ActiveStore>,
    /// Knows which repositories have runs that wait.
    pub index: Arc<Index>,
    /// Whether this watcher leads: no other publishes places.
    pub leading: watch::Receiver<bool>,
}

// === impl Places ===

impl Places {
    /// The time between rounds that is short enough for people.
    pub const EVERY: Duration = Duration::from_secs(30);

    /// Publishes, for ever.
    pub async fn run(self) {
        let mut rounds = interval(self.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 1.. {
            rounds.tick().await;
            if round % FULL_ROUND == 0 {
                self.news.0.note_all_moved();
            }
            let leads = *self.leading.borrow();
            if let Some(manager) = self.active_store.manager().filter(|_| leads) {
                self.tell(&manager).await;
            }
        }
    }

    async fn tell(&self, manager: &Manager) {
        let mut due = Vec::new();
        for repository in self.moved() {
            match self.due(manager, &repository).await {
                Ok(of_it) => due.extend(of_it.into_iter().map(|due| (repository.clone(), due))),
                Err(why) => {
                    debug!(%repository, why, "the places of runs that wait could not be read");
                    self.news.0.note_moved(&repository);
                }
            }
        }
        // None, a place that was never published, comes before every time.
        due.sort_by_key(|(_, (told, _, _))| *told);
        for (number, (repository, (_, run, place))) in due.into_iter().enumerate() {
            if number < IN_A_ROUND {
                self.news.0.tell_place(&repository, &run, place, now());
            } else {
                self.news.0.note_moved(&repository);
            }
        }
    }

    /// The repositories with somebody waiting whose queue moved.
    fn moved(&self) -> Vec<RepositoryKey> {
        let moved = self.news.0.take_moved();
        let tallies = self.index.tallies().into_iter();
        let waits = tallies.filter(|(_, (_, tally))| tally.waiting > 0).map(|(repository, _)| repository);
        waits.filter(|repository| moved.as_ref().is_none_or(|moved| moved.contains(repository))).collect()
    }

    async fn due(&self, manager: &Manager, repository: &RepositoryKey) -> Result<Vec<DuePlace>, String> {
        let snapshot = manager.look(repository).await.map_err(|error| with_causes(&error))?;
        let places: Vec<(RunKey, usize)> = snapshot.waiting.iter().map(|entry| entry.run.clone()).zip(1..).collect();
        let (due, too_soon) = self.news.0.due(places, self.every * 3 / 4, Instant::now());
        if too_soon {
            self.news.0.note_moved(repository);
        }
        Ok(due)
    }
}
