//! Figures of a repository, for metrics. No decision depends on them.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Limit, Plan, RunKey};
use tokio::time::Instant;

use super::super::run::Run;
use super::{RepositoryState, StartState};

/// A repository in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that are running.
    pub running: usize,
    /// The running runs that ran already when the limit was last changed, or when this watcher began.
    pub grandfathered: usize,
    /// Runs that are pending.
    pub waiting: usize,
    /// The longest wait of a pending run.
    pub longest_wait: Duration,
    /// Whether an operator has paused the repository.
    pub paused: bool,
    /// Whether the pause lasts until somebody ends it.
    pub paused_without_end: bool,
    /// Waiting runs that PAC's own queue, where it is at work, may start.
    pub open_to_pacs_queue: usize,
}

/// What came before a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// How long the run waited.
    pub waited: Duration,
    /// How long the run's slot was idle, if another run had it before.
    pub idle: Option<Duration>,
}

// === impl Tally ===

impl Tally {
    /// The number of runs over the limit that may be: they ran when it was set, and drain.
    pub fn draining(&self, limit: Limit) -> usize {
        over(self.running, limit) - self.excess(limit)
    }

    /// The number of runs over the limit that began after it was set. It is 0 unless others start runs, too.
    pub fn excess(&self, limit: Limit) -> usize {
        let newcomers = self.running - self.grandfathered;
        // Where the grandfathered runs fill the limit, no newcomer fits.
        let room = limit.free(self.grandfathered);
        if limit == Limit::Unknown { 0 } else { newcomers.saturating_sub(room) }
    }

    /// The number of waiting runs that could run now without exceeding the limit.
    pub fn startable(&self, limit: Limit) -> usize {
        if self.paused { 0 } else { self.waiting.min(limit.free(self.running)) }
    }
}

/// How many of `running` are over `limit`: none where the limit is no number.
fn over(running: usize, limit: Limit) -> usize {
    match limit {
        Limit::AtMost(most) => running.saturating_sub(most.get() as usize),
        Limit::Unknown | Limit::Unlimited => 0,
    }
}

// === impl RepositoryState ===

impl RepositoryState {
    /// The repository in numbers.
    pub fn tally(&self, now: Instant) -> Tally {
        let ours = self.runs.iter().filter(|run| run.is_pending() && self.is_ours(run));
        let waits = ours.map(|run| run.waited(now));
        let (waiting, longest_wait) =
            waits.fold((0, Duration::ZERO), |(count, most), wait| (count + 1, most.max(wait)));
        let grandfathered = self.grandfathered.iter().filter(|name| self.running.contains(*name)).count();
        let pause = self.metadata.pause.as_ref().filter(|pause| pause.lasts_at(Timestamp::now()));
        Tally {
            running: self.running.len(),
            grandfathered,
            waiting,
            longest_wait,
            paused: pause.is_some(),
            paused_without_end: pause.is_some_and(|pause| pause.until().is_none()),
            open_to_pacs_queue: self.open_to_pacs_queue(now).len(),
        }
    }

    /// Notes that the limit is `limit` now; returns how many more runs are over it than were over the former limit.
    pub fn set_limit(&mut self, limit: Limit) -> usize {
        let before = std::mem::replace(&mut self.limit, limit);
        if before == limit {
            return 0;
        }
        self.grandfather();
        over(self.running.len(), limit).saturating_sub(over(self.running.len(), before))
    }

    /// Notes that the runs which run now, or are about to, may run whatever the limit says.
    pub(crate) fn grandfather(&mut self) {
        let starting = self.attempted.iter().filter(|name| self.runs.named(name).is_some_and(Run::is_starting));
        self.grandfathered = self.running.iter().chain(starting).map(Arc::clone).collect();
    }

    /// Whether `run`, as far as is known, may need a slot, because it waits or runs.
    pub fn is_alive(&self, run: &RunKey) -> bool {
        !self.over.contains_key(run) && self.run(run).is_some_and(|known| known.is_pending() || known.is_running())
    }

    /// Notes for each granted run since when its slot had been idle, so that its start can tell how long.
    pub(super) fn note_hand_offs(&mut self, plan: &Plan) {
        let mut idle_since: Vec<Instant> = plan.released.iter().filter_map(|run| self.over_since(run)).collect();
        idle_since.sort_unstable();
        for (entry, since) in plan.granted.iter().zip(idle_since) {
            self.on_run(&entry.run, |run| run.slot_idle_since = Some(since));
        }
    }

    fn over_since(&self, run: &RunKey) -> Option<Instant> {
        let shown = self.runs.get(run).and_then(|known| known.over_since);
        shown.or_else(|| self.over.get(run).map(|over| over.since))
    }

    /// Notes that `run` was started; returns what came before, the first time it is noted.
    pub fn acknowledge_start(&mut self, run: &RunKey, now: Instant) -> Option<Started> {
        self.on_run(run, |run| {
            let is_news = run.start != StartState::Acknowledged;
            run.acknowledge(now);
            let idle = run.slot_idle_since.take().map(|since| now.saturating_duration_since(since));
            is_news.then(|| Started { waited: run.waited(now), idle })
        })
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use pac_concurrency::RepositoryKey;
    use pac_kube::convert::{Phase, RunView};
    use pac_kube::hold::Hold;

    use pac_kube::gate::GateKind;

    use super::super::super::{Index, OwnLimit};
    use super::*;
    use crate::gate::Gate;

    fn view(repository: &RepositoryKey, name: &str) -> RunView {
        RunView {
            key: RunKey::new("ns", name, name).unwrap(),
            repository: repository.clone(),
            created: 0,
            phase: Phase::Running,
            begun: None,
            release_reason: None,
            event: None,
            place: None,
            awaits_secret: false,
            has_pacs_order: false,
            hold: Hold::None,
            notice: None,
            complaint: None,
        }
    }

    fn tally(running: usize, grandfathered: usize) -> Tally {
        Tally { running, grandfathered, ..Tally::default() }
    }

    #[test]
    fn those_who_ran_before_drain_and_newcomers_are_too_many() {
        let two = Limit::AtMost(NonZeroU32::new(2).unwrap());
        let judged = |running, grandfathered| {
            let tally = tally(running, grandfathered);
            (tally.draining(two), tally.excess(two))
        };
        assert_eq!(judged(2, 0), (0, 0));
        assert_eq!(judged(3, 3), (1, 0), "lowered while three ran");
        assert_eq!(judged(4, 3), (1, 1), "and one was started on top");
        assert_eq!(judged(2, 1), (0, 0), "two have ended, and one was started");
        assert_eq!(judged(3, 1), (0, 1));
        assert_eq!(judged(3, 0), (0, 1));
    }

    #[test]
    fn who_ran_when_the_limit_was_set_is_grandfathered_and_who_comes_later_is_not() {
        let (key, global) = (RepositoryKey::new("ns", "repo").unwrap(), RepositoryKey::new("ns", "global").unwrap());
        let index = Index::new(global);
        let runs = |name: &str| index.apply_run(view(&key, name));
        let told = || {
            let (limit, tally) = index.tallies()[&key];
            (tally.draining(limit), tally.excess(limit))
        };
        index.apply_repository(&key, OwnLimit::Says(Some(1)));
        runs("a");
        runs("b");
        // As a watcher finds them at its start, in whatever order the lists come.
        index.note_complete();
        assert_eq!(told(), (1, 0));
        runs("c");
        assert_eq!(told(), (1, 1), "somebody else started it");
        index.remove_run("ns/a");
        index.remove_run("ns/b");
        assert_eq!(told(), (0, 0), "there is room for it now");
        runs("d");
        assert_eq!(told(), (0, 1));
        index.apply_repository(&key, OwnLimit::Says(Some(5)));
        index.apply_repository(&key, OwnLimit::Says(Some(1)));
        assert_eq!(told(), (1, 0), "lowered while both ran");
    }

    #[test]
    fn what_pacs_queue_starts_beside_ours_counts_by_the_limit_that_is_written() {
        let (key, global) = (RepositoryKey::new("ns", "repo").unwrap(), RepositoryKey::new("ns", "global").unwrap());
        let index = Index::beside_pac(global, Arc::new(Gate::new(GateKind::Policy)));
        index.apply_repository(&key, OwnLimit::Says(Some(2)));
        index.note_complete();
        for name in ["ours-1", "ours-2", "pacs-1", "pacs-2"] {
            index.apply_run(RunView { has_pacs_order: name.starts_with("pacs"), ..view(&key, name) });
        }
        index.apply_run(RunView { phase: Phase::Waiting, has_pacs_order: true, ..view(&key, "pacs-3") });
        let admits_by = index.decide(&key, |limit, _| limit);
        assert_eq!(admits_by, Limit::Unknown, "nobody of ours is admitted beside PAC's queue");
        let (limit, tally) = index.tallies()[&key];
        assert_eq!((tally.excess(limit), tally.draining(limit)), (2, 0));
    }

    #[test]
    fn without_a_number_nobody_is_over_it() {
        for limit in [Limit::Unknown, Limit::Unlimited] {
            assert_eq!((tally(9, 0).draining(limit), tally(9, 0).excess(limit)), (0, 0));
        }
    }

    #[test]
    fn only_those_who_wait_are_startable() {
        let two = Limit::AtMost(NonZeroU32::new(2).unwrap());
        let startable = |running, waiting, limit| Tally { waiting, ..tally(running, 0) }.startable(limit);
        assert_eq!(startable(1, 5, two), 1);
        assert_eq!(startable(0, 1, two), 1);
        assert_eq!(startable(3, 5, two), 0);
        assert_eq!(startable(0, 5, Limit::Unknown), 0);
        assert_eq!(startable(9, 5, Limit::Unlimited), 5);
        assert_eq!(Tally { waiting: 1, paused: true, ..tally(0, 0) }.startable(two), 0);
    }
}
