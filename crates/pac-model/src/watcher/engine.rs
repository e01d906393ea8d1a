//! What the model has in the place of the product's engine: the order in which it does things with what the product's own parts
//! say. Nothing is decided here.

use pac_concurrency::manager::{CachedRepository, Pass, Step, Viewpoint};
use pac_concurrency::protocol::is_proven;
use pac_concurrency::{DriverError, Fault, OwnershipView, ReconcileOutcome, Scope, Snapshot, Version};
use pac_kube::live_read::Confirmed;
use pac_state::index::StartEnd;

use super::{Ask, Outcome, Output, Purpose, TICK, Watcher, holder};
use crate::cluster::{Id, Life, limit};

/// How often a pass plans anew.
const ATTEMPTS: u32 = 3;

// === impl Watcher ===

impl Watcher {
    /// As `Manager::reconcile` begins.
    pub(super) fn look(&mut self, output: &mut Output) {
        if let Some((_, scope)) = self.later.take_if(|(when, _)| *when <= self.now) {
            self.want(scope);
        }
        let Some(scope) = self.wanted.take() else { return };
        if !self.trust.lasts_at(self.now) {
            return self.want_later(scope, self.now + TICK);
        }
        let mut known = self.remembered.take();
        let pass = Pass::new(scope, self.window, &mut known, self.now);
        self.go_on(pass, known, output);
    }

    pub(super) fn loaded(&mut self, snapshot: Snapshot, output: &mut Output) {
        if let Some((mut pass, mut known, _)) = self.pass.take() {
            pass.loaded(&mut known, snapshot);
            self.go_on(pass, known, output);
        }
    }

    /// As `Manager::attempt`, and `Engine::reconcile` where it fails.
    pub(super) fn committed(&mut self, outcome: Outcome, output: &mut Output) {
        let Some((mut pass, mut known, by)) = self.pass.take() else { return };
        let committed = match outcome {
            Outcome::Done(version) => Ok(Version::new(version)),
            Outcome::Conflict => Err(DriverError::Conflict),
            Outcome::Indeterminate => Err(DriverError::Indeterminate(Fault::new("the answer was lost"))),
        };
        match pass.committed(&mut known, &holder(self.holder), committed, ATTEMPTS) {
            Ok(Some(outcome)) => {
                self.remembered.put_back(known);
                self.apply(*outcome, by, output);
            }
            Ok(None) => self.go_on(pass, known, output),
            Err(_) => {
                known.snapshot = None;
                self.remembered.put_back(known);
                self.want_later(Scope::Head, self.now + TICK);
            }
        }
    }

    fn go_on(&mut self, mut pass: Pass, mut known: CachedRepository, output: &mut Output) {
        let holder = holder(self.holder);
        let view = Viewpoint { holder: &holder, now: self.now, takes_over: self.takes_over() };
        let by = self.limit;
        // The product decides behind a lock as well.
        let state = std::sync::Mutex::new(&mut self.state);
        let decide = |snapshot: &Snapshot, scope: Scope, ownership: &OwnershipView<'_>| {
            let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            state.decide(limit(by), scope, snapshot, &|slot| ownership.of(slot), view.now)
        };
        match pass.next(&mut known, view, &decide) {
            Step::Load(window) => {
                output.ask = Some(Ask::Load(window));
                self.pass = Some((pass, known, by));
            }
            Step::Commit(expected, delta) => {
                output.ask = Some(Ask::Commit(expected, delta));
                self.pass = Some((pass, known, by));
            }
            Step::Done(outcome) => {
                self.remembered.put_back(known);
                self.apply(*outcome, by, output);
            }
        }
    }

    /// As `Engine::apply_outcome`.
    fn apply(&mut self, passed: ReconcileOutcome, by: u8, output: &mut Output) {
        self.state.apply(&passed.plan, self.now);
        for run in passed.start {
            if self.state.begin_start(&run, self.now) {
                self.lane.push((Id::of(&run), passed.proven, by));
            }
        }
        let confirm = passed.plan.confirm.iter().map(|run| (Purpose::Confirm, run));
        let over = passed.plan.over_limit_unconfirmed.iter().map(|run| (Purpose::OverLimit, run));
        for (purpose, run) in confirm.chain(over) {
            let id = Id::of(run);
            if !self.reading.iter().any(|(reads, other, _)| (*reads, *other) == (purpose, id)) {
                self.ask(purpose, id, output);
            }
        }
        let follow_up = self.state.follow_up(&passed.plan, self.now);
        if let Some(when) = follow_up.at {
            self.want_later(Scope::Head, when);
        }
        if follow_up.at_once {
            self.want(Scope::Head);
        }
    }

    /// As `Engine::send_starts`.
    pub(super) fn send(&mut self, output: &mut Output) {
        let (id, proven, by) = self.lane.remove(0);
        if is_proven(proven, self.now) {
            self.sending = self.waits_for_answers;
            output.start = Some((id, by));
        } else {
            self.state.abandon_start(&id.key(), self.now);
            self.want(Scope::Head);
        }
    }

    /// As `Engine::started`.
    pub(super) fn acknowledged(&mut self, id: Id) {
        self.sending = false;
        self.state.acknowledge_start(&id.key(), self.now);
        self.want(Scope::Head);
    }

    /// As the end of `Engine::try_start`, where the start was not acknowledged.
    pub(super) fn look_again(&mut self, id: Id, refused: bool, unanswered_for: Option<u8>, output: &mut Output) {
        if let Some(ticks) = unanswered_for {
            self.state.note_unanswered(&id.key(), self.now - TICK * ticks.into());
        }
        self.ask(Purpose::Start { refused }, id, output);
    }

    fn ask(&mut self, purpose: Purpose, id: Id, output: &mut Output) {
        self.reading.push((purpose, id, self.now));
        self.reading.sort_unstable();
        output.reads.push((purpose, id));
    }

    /// As `Engine::look_again`, `find_over_limit` and `confirm`.
    pub(super) fn read(&mut self, purpose: Purpose, id: Id, life: Option<Life>) {
        let run = id.key();
        let found = life.map(|life| id.view(life).map_or_else(|| Confirmed::Gone(run.clone()), Confirmed::Is));
        let at = self.reading.iter().position(|(reads, other, _)| (*reads, *other) == (purpose, id));
        let asked = at.map_or(self.now, |at| self.reading.remove(at).2);
        if let Purpose::Start { refused } = purpose {
            self.sending = false;
            let refused = refused.then_some("refused");
            if let StartEnd::InDoubt(Some(when)) = self.state.end_start(&run, found, refused, asked, self.now) {
                self.want_later(Scope::Head, when);
            }
            return self.want(Scope::Head);
        }
        let again = match (purpose, found) {
            (_, None) => Some(self.now + TICK),
            (Purpose::OverLimit, Some(found)) => self.state.take_in_over_limit(found, asked, self.now),
            (_, Some(found)) => {
                self.state.confirm(found, self.now);
                None
            }
        };
        match again {
            Some(when) => self.want_later(Scope::Head, when),
            None => self.want(Scope::Head),
        }
    }
}
