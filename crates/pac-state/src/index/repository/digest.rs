//! A repository's state as a model checker is to tell states apart: what a decision can depend on, and times as they lie from now.
//!
//! What is measured alone is left out, and so is what the model doesn't make use of: order of webhook events, Secrets, PAC's own queue, runs that
//! nobody can make sense of.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::time::Duration;

use pac_concurrency::{RunKey, RunState};
use tokio::time::Instant;

use super::RepositoryState;
use crate::index::run::{Run, StartState};

// === impl RepositoryState ===

impl RepositoryState {
    /// Feeds `digest` with it, as it is at `now`. Times are told apart by `grain`; those that are past are all alike.
    pub fn digest(&self, now: Instant, grain: Duration, digest: &mut impl Hasher) {
        let ahead = |at: Instant| at.saturating_duration_since(now).as_nanos().div_ceil(grain.as_nanos());
        let feed = |run: &Run, digest: &mut dyn Hasher| {
            let mut digest = digest;
            run.view.key.uid().hash(&mut digest);
            format!("{:?}", run.view.phase).hash(&mut digest);
            run.stored.hash(&mut digest);
            discriminant(&run.start).hash(&mut digest);
            if let StartState::Unknown(until) | StartState::Unstarted(until) | StartState::Refused(until) = run.start {
                ahead(until).hash(&mut digest);
            }
            run.failures().hash(&mut digest);
        };
        let runs: BTreeMap<_, _> = self.runs.iter().map(|run| (run.view.key.uid(), run)).collect();
        for run in runs.into_values() {
            feed(run, digest);
        }
        for set in [&self.running, &self.fresh, &self.attempted, &self.misplaced] {
            set.len().hash(digest);
            set.iter().for_each(|name| name.hash(digest));
        }
        let mut departed: Vec<&RunKey> = self.departed.iter().collect();
        departed.sort();
        departed.hash(digest);
        let over: BTreeMap<_, _> = self.over.iter().map(|(run, over)| (run, format!("{:?}", over.by))).collect();
        over.hash(digest);
        let outsiders: BTreeMap<_, _> = self.outsiders.iter().filter(|(_, (_, until))| *until > now).collect();
        for (run, until) in outsiders.into_values() {
            feed(run, digest);
            ahead(*until).hash(digest);
        }
        let (strays, decided) = self.strays.all();
        let strays = strays.into_iter().map(|(run, until)| (run, ahead(until)));
        strays.filter(|(_, until)| *until > 0).for_each(|stray| stray.hash(digest));
        decided.hash(digest);
    }

    /// Whether `run` was started by somebody, or may be being started by this watcher, as far as it knows.
    pub fn may_be_started(&self, run: &RunKey, now: Instant) -> bool {
        matches!(self.state_of(run, now), RunState::Starting | RunState::Running)
    }

    /// Why a read of `run` that was asked for then may be older than a start of it: one that ended since, or one of which nobody will tell.
    /// The second is forgotten where the store has no slot of the run.
    pub fn may_be_started_since(&self, run: &RunKey, asked: Instant) -> [bool; 2] {
        let ended_at = self.run(run).and_then(|run| run.start_ended_at);
        [ended_at.is_some_and(|ended_at| ended_at > asked), self.may_yet_be_started(run, asked)]
    }
}
