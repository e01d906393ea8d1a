//! What runs that wait are to say of their wait: what `explain` answers of each, as far as whoever may read the run is to know it.

use std::collections::HashMap;

use pac_concurrency::{RepositoryKey, RunKey};
use pac_kube::notice::{Notice, NoticeMark};
use pac_queue::history::{now, shortened};
use pac_queue::view::{Answer, EstimateView, WaitingView};

use super::QueueQuery;
use super::explain::Line;

/// A run, and what it is to say.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The run.
    pub(crate) run: RunKey,
    /// What it is to say; none if nothing.
    pub(crate) notice: Option<Notice>,
    /// What it says, by the last word of the watch.
    pub(crate) shown: Option<NoticeMark>,
}

// === impl QueueQuery ===

impl QueueQuery {
    /// What each run of `repository` is to say that says something or should.
    pub(crate) async fn notices(&self, repository: &RepositoryKey) -> Vec<Wanted> {
        let queue = self.queue(repository).await;
        let Some(shown) = self.index.shown(repository) else { return Vec::new() };
        let in_line = queue.iter().flat_map(|queue| &queue.waiting);
        let places: HashMap<&str, &WaitingView> = in_line.map(|run| (run.uid.as_str(), run)).collect();
        let holders = queue.as_ref().map_or(&[][..], |queue| &queue.running);
        let now = now().as_second();
        let mut wanted = Vec::new();
        for run in &shown.runs {
            if run.notice.is_none() && run.held.is_none() && !run.state.is_waiting() {
                continue;
            }
            let place = places.get(run.entry.run.uid()).copied();
            let line = Line { holders, ahead: place.map_or(0, |place| place.position.saturating_sub(1)) };
            let verdict = self.judge(repository, &shown, run, line, queue.as_ref());
            // PAC's watcher looks at each run of an event whenever one that it has in its queue is written.
            let notice = verdict.notice.filter(|_| !run.is_pacs).map(|reason| Notice {
                place: place.and_then(|place| place.position.try_into().ok()),
                reason: shortened(&reason),
                expected_start: place
                    .and_then(|place| place.estimate)
                    .filter(|_| verdict.answer == Answer::Waiting)
                    .map(|estimate| now.saturating_add(middle(estimate))),
            });
            if notice.is_some() || run.notice.is_some() {
                wanted.push(Wanted { run: run.entry.run.clone(), notice, shown: run.notice });
            }
        }
        wanted
    }
}

/// As many starts of those likely come before as after, about, in seconds from now.
fn middle(estimate: EstimateView) -> i64 {
    ((estimate.earliest_seconds + estimate.latest_seconds) / 2.0).round() as i64
}
