//! What is wrong at the moment, in one place: `/ready` answers from it, and the log tells each problem when it comes, when
//! it changes, and when it is over. Not once per failed call.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::gauge;
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
    /// The first full lists, and the first pass after them.
    Start,
}

/// The problems there are; see the [module](self).
#[derive(Debug, Default)]
pub struct Health {
    problems: Mutex<BTreeMap<Part, String>>,
}

// === impl Part ===

impl Part {
    /// Its name, for people and metrics.
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
        let mut problems = self.problems();
        if problems.get(&part) != Some(&why) {
            warn!(part = part.name(), "{}: {why}", part.name());
            gauge!("pac_concurrency_trouble", "part" => part.name()).set(1.0);
            problems.insert(part, why);
        }
    }

    /// Notes that `part` works.
    pub fn fine(&self, part: Part) {
        if self.problems().remove(&part).is_some() {
            gauge!("pac_concurrency_trouble", "part" => part.name()).set(0.0);
            info!(part = part.name(), "{}: fine again", part.name());
        }
    }

    /// Whether `part` is in trouble.
    pub fn is_troubled(&self, part: Part) -> bool {
        self.problems().contains_key(&part)
    }

    /// Every problem there is, a line each; none when all is well.
    pub fn problems_text(&self) -> Vec<String> {
        self.problems().iter().map(|(part, why)| format!("{}: {why}", part.name())).collect()
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<Part, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
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
}
