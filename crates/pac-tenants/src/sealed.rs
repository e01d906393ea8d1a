//! What somebody sees: answers that only a [`Visible`] makes, of which nothing is left that isn't theirs.
//!
//! Each view is taken apart field by field, without `..`: one that is added doesn't compile here until it is decided what becomes of it.

use pac_concurrency::{RepositoryKey, RunKey};
use pac_queue::history::{Happened, Record};
use pac_queue::view::{
    Answer, Explanation, LimitView, NOT_QUEUED, NOT_SHOWN, Overview, PLACE_TO_COME, PauseView, Queues, RepositoryQueue,
    SlotView, Summary, WaitingView, WatcherView,
};
use pac_state::health::{Health, Part};
use pac_view::queue::{PlotView, QueueQuery};
use serde::Serialize;

use crate::access::Visible;
use crate::because::{because, trouble};
use crate::refusal::Refusal;

/// Stands for every watcher: pods have names that may tell where they are.
const WATCHER: &str = "watcher";
/// Stands for what the API server, a webhook or a store said: it may name hosts and namespaces.
const WITHHELD: &str = "the watcher's operators can see why";
const REFUSED: &str = "its start was refused, and is tried again";
const NO_STORE: &str = "the store could not be asked";

/// An answer that may be sent.
#[derive(Debug)]
pub(crate) struct Sealed<T>(T);

// === impl Sealed ===

impl<T: Serialize> Sealed<T> {
    /// As it is sent.
    pub(crate) fn json(&self) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(&self.0).map_err(|_| Refusal::NoAnswer)
    }
}

// === impl Visible ===

impl Visible {
    /// What may be seen, in numbers.
    pub(crate) fn overview(&self, query: &QueueQuery) -> Sealed<Overview> {
        let Overview { watcher, repositories } = query.overview(|key| self.covers(key.namespace()));
        let repositories = repositories.into_iter().filter_map(|one| self.summary(one)).collect();
        Sealed(Overview { watcher: self.watcher(watcher, &query.health), repositories })
    }

    /// What may be seen, in full.
    pub(crate) async fn queues(&self, query: &QueueQuery) -> Sealed<Queues> {
        let Queues { watcher, repositories } = query.queues(|key| self.covers(key.namespace())).await;
        let repositories = repositories.into_iter().filter_map(|one| self.repository(one)).collect();
        Sealed(Queues { watcher: self.watcher(watcher, &query.health), repositories })
    }

    /// One Repository in full.
    pub(crate) async fn queue(&self, query: &QueueQuery, key: &RepositoryKey) -> Result<Sealed<Queues>, Refusal> {
        if !self.covers(key.namespace()) {
            return Err(Refusal::Forbidden);
        }
        let queue = query.queue(key).await.and_then(|queue| self.repository(queue));
        let repositories = vec![queue.ok_or(Refusal::UnknownRepository)?];
        Ok(Sealed(Queues { watcher: self.watcher(query.watcher(), &query.health), repositories }))
    }

    /// Why a run is where it is.
    pub(crate) async fn explain(&self, query: &QueueQuery, run: &RunKey) -> Result<Sealed<Explanation>, Refusal> {
        if !self.covers(run.namespace()) {
            return Err(Refusal::Forbidden);
        }
        let explained = query.explain(run.namespace(), run.name()).await;
        let key = explained.repository.as_deref().and_then(|repository| repository.parse().ok());
        // Its reason and its end are in words of the namespace's own.
        let paused = match (explained.answer, key) {
            (Answer::Paused, Some(key)) => query.queue(&key).await.and_then(|queue| queue.paused),
            _ => None,
        };
        Ok(Sealed(self.explanation(explained, paused, &query.health)))
    }

    /// How many ran and waited.
    pub(crate) fn plot(&self, query: &QueueQuery, only: Option<&RepositoryKey>) -> Sealed<PlotView> {
        let is_asked = |key: &RepositoryKey| only.is_none_or(|only| only == key) && self.covers(key.namespace());
        Sealed(query.plot.sum(is_asked))
    }

    fn watcher(&self, watcher: WatcherView, health: &Health) -> WatcherView {
        let WatcherView {
            at,
            identity: _,
            leading,
            system,
            paused,
            draining,
            // Of all namespaces together.
            waiting_while_off: _,
            driver: _,
            trouble: _,
        } = watcher;
        let trouble =
            Part::ALL.into_iter().filter(|part| health.is_troubled(*part)).map(|part| trouble(part).to_owned());
        WatcherView {
            at,
            identity: WATCHER.to_owned(),
            leading,
            system,
            paused,
            draining,
            waiting_while_off: None,
            driver: None,
            trouble: trouble.collect(),
        }
    }

    fn summary(&self, summary: Summary) -> Option<Summary> {
        let Summary { repository, limit, paused, running, waiting, oldest_waiting_seconds } = summary;
        self.covers_path(&repository).then(|| Summary {
            repository,
            limit: own_limit(limit),
            paused: paused.map(own_pause),
            running,
            waiting,
            oldest_waiting_seconds,
        })
    }

    fn repository(&self, queue: RepositoryQueue) -> Option<RepositoryQueue> {
        let RepositoryQueue { repository, limit, paused, store_trouble, running, waiting, times_known, history } =
            queue;
        self.covers_path(&repository).then(|| RepositoryQueue {
            repository,
            limit: own_limit(limit),
            paused: paused.map(own_pause),
            store_trouble: store_trouble.map(|_| NO_STORE.to_owned()),
            running: running.into_iter().filter_map(|slot| self.slot(slot)).collect(),
            waiting: waiting.into_iter().filter_map(|run| self.waiting(run)).collect(),
            times_known,
            history: history.into_iter().filter_map(|record| self.record(record)).collect(),
        })
    }

    fn slot(&self, slot: SlotView) -> Option<SlotView> {
        let SlotView { run, uid, state, since, holder, lapsed } = slot;
        let holder = holder.map(|_| WATCHER.to_owned());
        self.covers_path(&run).then_some(SlotView { run, uid, state, since, holder, lapsed })
    }

    fn waiting(&self, waiting: WaitingView) -> Option<WaitingView> {
        let WaitingView { position, run, uid, since, note, estimate } = waiting;
        let is_own = |note: &str| [NOT_QUEUED, PLACE_TO_COME, NOT_SHOWN].contains(&note);
        let note = note.map(|note| if is_own(&note) { note } else { REFUSED.to_owned() });
        self.covers_path(&run).then_some(WaitingView { position, run, uid, since, note, estimate })
    }

    fn record(&self, record: Record) -> Option<Record> {
        let Record { at, run, uid, what } = record;
        let is_visible = run.as_ref().is_none_or(|run| self.covers_path(run));
        is_visible.then(|| self.happened(what)).flatten().map(|what| Record { at, run, uid, what })
    }

    fn happened(&self, what: Happened) -> Option<Happened> {
        let (holder, withheld) = (WATCHER.to_owned(), WITHHELD.to_owned());
        Some(match what {
            Happened::Queued { position } => Happened::Queued { position },
            Happened::PassedOver { by, why: _ } => {
                let by = self.covers_path(&by).then_some(by)?;
                Happened::PassedOver { by, why: withheld }
            }
            Happened::Admitted { holder: _ } => Happened::Admitted { holder },
            Happened::Adopted { holder: _ } => Happened::Adopted { holder },
            Happened::TakenOver { holder: _ } => Happened::TakenOver { holder },
            Happened::Started => Happened::Started,
            Happened::Refused { why: _ } => Happened::Refused { why: withheld },
            Happened::GivenBack => Happened::GivenBack,
            // Our own words, or an operator's on the run itself.
            Happened::Released { why, by_operator, held_for } => Happened::Released { why, by_operator, held_for },
            Happened::LimitChanged { from, to } => Happened::LimitChanged { from, to },
            // An operator's on the Repository itself.
            Happened::Paused { reason, until } => Happened::Paused { reason, until },
            Happened::Resumed { reason } => Happened::Resumed { reason },
        })
    }

    fn explanation(&self, explanation: Explanation, paused: Option<PauseView>, health: &Health) -> Explanation {
        let Explanation {
            watcher,
            run,
            repository,
            answer,
            because: _,
            position,
            ahead,
            holders,
            estimate,
            times_known,
            history,
        } = explanation;
        let repository = repository.filter(|repository| self.covers_path(repository));
        let ahead: Vec<String> = ahead.into_iter().filter(|path| self.covers_path(path)).collect();
        let holders: Vec<SlotView> = holders.into_iter().filter_map(|slot| self.slot(slot)).collect();
        Explanation {
            watcher: self.watcher(watcher, health),
            because: because(answer, &ahead, &holders, &run, paused.map(own_pause).as_ref()),
            run,
            repository,
            answer,
            position,
            ahead,
            holders,
            estimate,
            times_known,
            history: history.into_iter().filter_map(|record| self.record(record)).collect(),
        }
    }
}

/// Made of the Repository's own name and numbers.
fn own_limit(LimitView { text, why }: LimitView) -> LimitView {
    LimitView { text, why }
}

/// Written on the Repository itself.
fn own_pause(PauseView { reason, until, complaint }: PauseView) -> PauseView {
    PauseView { reason, until, complaint }
}

#[cfg(test)]
mod tests;
