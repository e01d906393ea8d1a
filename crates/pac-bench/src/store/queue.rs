//! One repository under load: tasks say that they wait or are done, and one task of its own has the manager pass over it
//! for as long as there is something new. What comes during a pass is taken by the next, all at once, as in the watcher.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use pac_concurrency::{
    Entry, Limit, Manager, Observation, OrderKey, OwnershipView, RepositoryKey, RunKey, RunState, Scope, Snapshot, plan,
};
use tokio::sync::{mpsc, oneshot};

/// What a task wants, and whom to tell when it is so.
pub(super) enum Wish {
    /// To have a slot for this run.
    Acquire(RunKey, oneshot::Sender<()>),
    /// To have it no longer.
    Release(RunKey, oneshot::Sender<()>),
}

/// A repository, with all that the cluster would show of it.
pub(super) struct Queue {
    key: RepositoryKey,
    limit: Limit,
    manager: Arc<Manager>,
    wishes: mpsc::UnboundedReceiver<Wish>,
    /// Commits made, over all repositories.
    commits: Arc<AtomicU64>,
    /// Runs of which the store knows nothing yet.
    fresh: Vec<Entry>,
    runs: HashMap<RunKey, Run>,
    /// The place of the next that comes, and of the last that was admitted.
    next: i64,
    admitted: i64,
}

struct Run {
    place: i64,
    seen: RunState,
    waits: Option<oneshot::Sender<()>>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(
        key: RepositoryKey,
        limit: Limit,
        manager: Arc<Manager>,
        wishes: mpsc::UnboundedReceiver<Wish>,
        commits: Arc<AtomicU64>,
    ) -> Self {
        Self { key, limit, manager, wishes, commits, fresh: Vec::new(), runs: HashMap::new(), next: 0, admitted: -1 }
    }

    /// Serves until nobody can wish any more.
    pub(super) async fn serve(mut self) -> Result<()> {
        while let Some(wish) = self.wishes.recv().await {
            self.take_in(wish);
            // As in the watcher, where a repository is queued for a worker: who is about to speak, does.
            tokio::task::yield_now().await;
            while let Ok(wish) = self.wishes.try_recv() {
                self.take_in(wish);
            }
            self.pass().await?;
        }
        if !self.runs.is_empty() {
            bail!("{} runs of {} were left over", self.runs.len(), self.key);
        }
        Ok(())
    }

    fn take_in(&mut self, wish: Wish) {
        match wish {
            Wish::Acquire(run, tell) => {
                self.fresh.push(Entry::new(run.clone(), OrderKey::alone(self.next)));
                self.runs.insert(run, Run { place: self.next, seen: RunState::Pending, waits: Some(tell) });
                self.next += 1;
            }
            Wish::Release(run, tell) => {
                if let Some(run) = self.runs.get_mut(&run) {
                    run.seen = RunState::Finished;
                    run.waits = Some(tell);
                }
            }
        }
    }

    async fn pass(&mut self) -> Result<()> {
        let (fresh, runs, limit) = (std::mem::take(&mut self.fresh), &self.runs, self.limit);
        let decide = |snapshot: &Snapshot, _: Scope, ownership: &OwnershipView<'_>| {
            let running = runs.iter().filter(|(_, run)| run.seen == RunState::Running);
            plan(
                snapshot,
                &Observation {
                    limit,
                    running: running.map(|(key, run)| Entry::new(key.clone(), OrderKey::alone(run.place))).collect(),
                    waiting: fresh.clone(),
                    moved: Vec::new(),
                    departed: Vec::new(),
                    settled: &|_| true,
                    state: &|run| runs.get(run).map_or(RunState::Finished, |run| run.seen),
                    ownership: &|slot| ownership.of(slot),
                },
            )
        };
        let passed = self.manager.reconcile(&self.key, Scope::Head, &decide).await?;
        if !passed.plan.commits_nothing() {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        for run in &passed.start {
            self.start(run)?;
        }
        for run in passed.plan.removed() {
            if let Some(tell) = self.runs.remove(run).and_then(|run| run.waits) {
                // Nobody waiting any more is no error.
                let _ = tell.send(());
            }
        }
        Ok(())
    }

    fn start(&mut self, run: &RunKey) -> Result<()> {
        let Some(known) = self.runs.get_mut(run) else { bail!("{run} was admitted and nobody asked for it") };
        if known.place <= self.admitted {
            bail!("P3: {run} was admitted at place {} after place {}", known.place, self.admitted);
        }
        self.admitted = known.place;
        known.seen = RunState::Running;
        if let Some(tell) = known.waits.take() {
            let _ = tell.send(());
        }
        Ok(())
    }
}
