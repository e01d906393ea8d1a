//! One pass, step by step: what it asks of the store, and what it makes of the answers. It does no I/O and has no clock.
//!
//! [`Manager::reconcile`](super::Manager::reconcile) carries the steps out. A test can carry out the same steps in any order
//! that stores, networks and other watchers can bring about.

use std::sync::Arc;

use tokio::time::Instant;

use super::snapshot_cache::{CachedRepository, Viewpoint};
use super::{Decide, ReconcileOutcome, Scope};
use crate::delta::Delta;
use crate::error::DriverError;
use crate::lease::Holder;
use crate::plan::Plan;
use crate::snapshot::{Snapshot, Version, Window};

/// A pass under way: it says what it wants of the store next, and takes in the answers.
#[derive(Debug, Clone)]
pub struct Pass {
    scope: Scope,
    window: Window,
    head: usize,
    attempts: u32,
    /// Whether the snapshot at hand was loaded by this pass.
    fresh: bool,
    /// Whether the store was asked at all.
    asked: bool,
    /// When the latest request was sent: what its answer says held then or later.
    asked_at: Instant,
    planned: Option<Arc<Planned>>,
}

/// What was decided, and on what.
#[derive(Debug)]
struct Planned {
    snapshot: Snapshot,
    plan: Plan,
    delta: Delta,
}

/// What a pass wants next.
#[derive(Debug)]
pub enum Step {
    /// That much is loaded: [`Pass::loaded`] takes the answer.
    Load(Window),
    /// The change is committed against this version: [`Pass::committed`] takes the answer.
    Commit(Version, Arc<Delta>),
    /// Nothing: there is nothing to commit.
    Done(Box<ReconcileOutcome>),
}

// === impl Pass ===

impl Pass {
    /// A pass that begins at `now` with what is remembered, and loads the first `head` of those waiting if it needs no more.
    pub fn new(scope: Scope, head: usize, known: &mut CachedRepository, now: Instant) -> Self {
        if scope == Scope::Whole {
            known.snapshot = None;
        }
        let window = if scope == Scope::Whole { Window::Whole } else { Window::First(head) };
        Self { scope, window, head, attempts: 0, fresh: false, asked: false, asked_at: now, planned: None }
    }

    /// Goes on to where the store is to be asked, or to the end.
    pub fn next(&mut self, known: &mut CachedRepository, view: Viewpoint<'_>, decide: Decide<'_>) -> Step {
        loop {
            let Some(snapshot) = known.snapshot.take() else {
                (self.fresh, self.asked, self.asked_at) = (true, true, view.now);
                return Step::Load(self.window);
            };
            let plan = decide(&snapshot, self.scope, &known.ownership(&snapshot, view));
            if plan.window_too_small && !snapshot.whole {
                self.window = Window::First(snapshot.waiting.len().max(self.head).saturating_mul(8));
                continue;
            }
            if !self.fresh && !plan.resume.is_empty() {
                continue;
            }
            if plan.commits_nothing() {
                let asked = self.asked;
                return Step::Done(Box::new(ReconcileOutcome {
                    store_answered: asked,
                    ..self.outcome(plan, snapshot, known)
                }));
            }
            let (expected, delta) = (snapshot.version, plan.delta());
            self.attempts += 1;
            self.asked_at = view.now;
            self.planned = Some(Arc::new(Planned { snapshot, plan, delta: delta.clone() }));
            return Step::Commit(expected, Arc::new(delta));
        }
    }

    /// Takes in what was loaded.
    pub fn loaded(&mut self, known: &mut CachedRepository, loaded: Snapshot) {
        // Others were here, or the store lost its last commits, as after a fail-over: then what was committed may have to be
        // once more.
        let is_other = known.version.replace(loaded.version).is_some_and(|before| before != loaded.version);
        if is_other && self.scope == Scope::Head {
            self.scope = Scope::Whole;
            if !loaded.whole {
                self.window = Window::Whole;
                return;
            }
        }
        known.snapshot = Some(loaded);
    }

    /// Takes in what became of the commit; says what the pass came to, or nothing if it is to be planned again.
    ///
    /// # Errors
    ///
    /// What became of it, if loading doesn't settle that, or was tried `attempts` times.
    pub fn committed(
        &mut self,
        known: &mut CachedRepository,
        holder: &Holder,
        committed: Result<Version, DriverError>,
        attempts: u32,
    ) -> Result<Option<Box<ReconcileOutcome>>, DriverError> {
        let Some(planned) = self.planned.take() else { return Ok(None) };
        match committed {
            Ok(version) => {
                let Planned { mut snapshot, plan, delta } =
                    Arc::try_unwrap(planned).unwrap_or_else(|shared| shared.copied());
                known.version = Some(version);
                snapshot.advance(version, holder, &delta);
                Ok(Some(Box::new(self.outcome(plan, snapshot, known))))
            }
            Err(error) if error.is_settled_by_loading() && self.attempts < attempts => {
                self.fresh = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The snapshot on which the commit under way was planned.
    #[cfg(feature = "model")]
    pub fn planned_on(&self) -> Option<&Snapshot> {
        self.planned.as_ref().map(|planned| &planned.snapshot)
    }

    /// When the latest request was sent.
    #[cfg(feature = "model")]
    pub fn asked_at(&self) -> Instant {
        self.asked_at
    }

    /// Feeds `digest` with it, but for times and the snapshot it was planned on.
    #[cfg(feature = "model")]
    pub fn digest(&self, digest: &mut impl std::hash::Hasher) {
        use std::hash::Hash;

        let plan = self.planned.as_ref().map(|planned| &planned.plan);
        format!("{:?}{:?}{plan:?}", self.scope, self.window).hash(digest);
        (self.attempts, self.fresh, self.asked).hash(digest);
    }

    fn outcome(&self, plan: Plan, mut snapshot: Snapshot, known: &mut CachedRepository) -> ReconcileOutcome {
        let start = plan.resume.iter().chain(plan.granted.iter().map(|entry| &entry.run)).cloned().collect();
        let waiting_count = snapshot.waiting_count;
        let joined = plan.joined(&snapshot);
        let is_unknown = snapshot.version == Version::NONE;
        let is_blank = !is_unknown && snapshot.slots.is_empty() && waiting_count == 0;
        snapshot.shrink(self.head);
        known.snapshot = Some(snapshot);
        let proven = self.asked_at;
        ReconcileOutcome { plan, start, proven, waiting_count, joined, is_blank, is_unknown, store_answered: true }
    }
}

// === impl Planned ===

impl Planned {
    fn copied(&self) -> Self {
        Self { snapshot: self.snapshot.clone(), plan: self.plan.clone(), delta: self.delta.clone() }
    }
}
