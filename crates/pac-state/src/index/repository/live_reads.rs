//! What live reads say of a repository's runs.

use std::time::Duration;

use pac_concurrency::RunKey;
use pac_concurrency::protocol::{LIVE_READ_STANDS, STOPPING_LASTS};
use pac_kube::live_read::Confirmed;
use tokio::time::Instant;

use super::shown::OverBy;
use super::{Phase, RepositoryState, StartState};
use crate::index::run::Run;

// === impl RepositoryState ===

impl RepositoryState {
    /// Takes in what a live read found.
    pub fn confirm(&mut self, confirmed: Confirmed, now: Instant) {
        let run = confirmed.run().clone();
        self.unreadable.remove(&run);
        match self.is_over(&confirmed, now) {
            Some(by) => {
                self.outsiders.remove(&run);
                self.note_over(run.clone(), now, by);
            }
            None => {
                let Confirmed::Is(view) = confirmed else { return };
                // Of a run that the watch doesn't show nobody else tells.
                let stops_or_begins = |known: &Run| {
                    let was = known.view.phase;
                    was != view.phase && (was == Phase::Stopping || view.phase == Phase::Stopping)
                };
                if self.outsiders.get(&run).is_some_and(|(known, _)| stops_or_begins(known)) {
                    self.outsiders.remove(&run);
                }
                match self.run_mut(&run) {
                    // Somebody started the run, and the watch is behind.
                    Some(known) if view.phase == Phase::Running => known.acknowledge(now),
                    Some(known) if view.phase == Phase::Stopping => {
                        known.stopping_since.get_or_insert(now);
                        known.start = StartState::Idle;
                    }
                    Some(_) => {}
                    None => {
                        // Forgotten before its last tasks may have begun, it would be found stopping for the first time again and again (P4).
                        let stops_for = if view.phase == Phase::Stopping { STOPPING_LASTS } else { Duration::ZERO };
                        let until = now + stops_for + LIVE_READ_STANDS;
                        self.outsiders.insert(run.clone(), (Run::new(view, now, Duration::ZERO), until));
                    }
                }
            }
        }
        self.sort_in(&run.name().into());
    }

    /// Takes in that a live read found `run`, and that nobody can make sense of it.
    pub fn note_unreadable(&mut self, run: &RunKey) {
        self.unreadable.insert(run.clone());
    }

    /// Whether a live read says that a run never needs a slot (again), and why.
    fn is_over(&self, confirmed: &Confirmed, now: Instant) -> Option<OverBy> {
        let shown = self.runs.get(confirmed.run());
        match confirmed {
            Confirmed::Gone(_) => Some(OverBy::Gone),
            // While the watch shows the run here, either it has moved back meanwhile or the watch will show that it moved.
            Confirmed::Elsewhere(_) => shown.is_none().then_some(OverBy::Elsewhere),
            Confirmed::Is(view) => match view.phase {
                Phase::Done(_) | Phase::Withdrawn | Phase::Held | Phase::ForceReleased => {
                    Some(OverBy::Phase(view.phase))
                }
                // Its last tasks may begin for a while from when it was first found so, whether or not the watch shows it.
                Phase::Stopping => {
                    let until = self.run(confirmed.run()).and_then(Run::stopping_until);
                    until.is_some_and(|until| until <= now).then_some(OverBy::Phase(view.phase))
                }
                Phase::Arriving | Phase::Waiting | Phase::Running => None,
            },
        }
    }
}
