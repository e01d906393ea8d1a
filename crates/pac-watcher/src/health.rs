//! What is wrong at the moment, in one place: `/ready` answers from it, and the log tells each problem when it comes, when
//! it changes, and when it is over. Not once per failed call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

/// What can be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The settings as last read.
    Settings,
    /// The store of slots and queues.
    Store,
    /// The API server.
    ApiServer,
    /// The watch of PipelineRuns.
    RunWatch,
    /// The watch of Repositories.
    RepositoryWatch,
    /// What comes before this watcher could admit: the first full lists, a lease in the store, what an earlier version left.
    Start,
}

/// The problems there are; see the [module](self).
#[derive(Debug, Default)]
pub struct Health {
    parts: Mutex<Parts>,
    news: watch::Sender<()>,
    /// Whether the settings there are now can't be used, and so former ones stay in force.
    settings_unusable: AtomicBool,
    /// Whether the store that the settings ask for can't be reached, and so the former one stays in use.
    new_store_unreachable: AtomicBool,
}

#[derive(Debug, Default)]
struct Parts {
    problems: BTreeMap<Part, String>,
    /// When each was last seen to work.
    worked: BTreeMap<Part, Instant>,
}

// === impl Part ===

impl Part {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Settings, Self::Store, Self::ApiServer, Self::RunWatch, Self::RepositoryWatch, Self::Start];

    /// Its name as the value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Store => "store",
            Self::ApiServer => "api_server",
            Self::RunWatch => "run_watch",
            Self::RepositoryWatch => "repository_watch",
            Self::Start => "start",
        }
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Store => "store",
            Self::ApiServer => "API server",
            Self::RunWatch => "watch of PipelineRuns",
            Self::RepositoryWatch => "watch of Repositories",
            Self::Start => "start",
        }
    }
}

// === impl Health ===

impl Health {
    /// Notes that `part` is in trouble, and why.
    pub fn trouble(&self, part: Part, why: impl Into<String>) {
        let why = why.into();
        let mut parts = self.parts();
        if parts.problems.get(&part) != Some(&why) {
            match part {
                // To have a beginning is no trouble.
                Part::Start => info!(part = part.name(), "{}: {why}", part.name()),
                _ => warn!(part = part.name(), "{}: {why}", part.name()),
            }
            parts.problems.insert(part, why);
            self.news.send_replace(());
        }
    }

    /// Notes that a call to `part` failed that began at `began`. If `part` was seen to work since, the failure is of the
    /// past: the last calls of an outage fail when it is over.
    pub fn trouble_of_call(&self, part: Part, began: Instant, why: impl Into<String>) {
        if self.parts().worked.get(&part).is_none_or(|worked| *worked < began) {
            self.trouble(part, why);
        }
    }

    /// Notes that `part` works; whether it didn't before.
    pub fn fine(&self, part: Part) -> bool {
        let mut parts = self.parts();
        parts.worked.insert(part, Instant::now());
        let was_troubled = parts.problems.remove(&part).is_some();
        if was_troubled {
            let how = if part == Part::Start { "done" } else { "fine again" };
            info!(part = part.name(), "{}: {how}", part.name());
            self.news.send_replace(());
        }
        was_troubled
    }

    /// Changes whenever the problems do.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Notes whether the settings there are now can be used; if not, former ones stay in force.
    pub fn note_settings_unusable(&self, unusable: bool) {
        self.settings_unusable.store(unusable, Ordering::Relaxed);
    }

    /// Notes whether the store that new settings ask for can be reached; if not, the former one stays in use.
    pub fn note_new_store_unreachable(&self, unreachable: bool) {
        self.new_store_unreachable.store(unreachable, Ordering::Relaxed);
    }

    /// The reasons for which settings may not be in force, and whether they are.
    pub fn settings_not_in_force(&self) -> [(&'static str, bool); 2] {
        let unreachable = self.new_store_unreachable.load(Ordering::Relaxed);
        [("unusable", self.settings_unusable.load(Ordering::Relaxed)), ("unreachable", unreachable)]
    }

    /// Whether `part` is in trouble.
    pub fn is_troubled(&self, part: Part) -> bool {
        self.parts().problems.contains_key(&part)
    }

    /// What is wrong with `part`, if anything is.
    pub fn trouble_of(&self, part: Part) -> Option<String> {
        self.parts().problems.get(&part).cloned()
    }

    /// Every problem there is, a line each; none when all is well.
    pub fn problems_text(&self) -> Vec<String> {
        self.parts().problems.iter().map(|(part, why)| format!("{}: {why}", part.name())).collect()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_stays_until_it_is_over() {
        let health = Health::default();
        health.trouble(Part::Store, "connection refused");
        health.trouble(Part::Store, "connection refused");
        assert_eq!(health.problems_text(), ["store: connection refused"]);
        health.fine(Part::Store);
        assert!(health.problems_text().is_empty());
    }

    #[test]
    fn a_failure_from_before_the_last_success_is_of_the_past() {
        let health = Health::default();
        let before = Instant::now();
        health.fine(Part::Store);
        health.trouble_of_call(Part::Store, before, "timed out");
        assert!(!health.is_troubled(Part::Store));
        health.trouble_of_call(Part::Store, Instant::now(), "connection refused");
        assert!(health.is_troubled(Part::Store));
    }
}
