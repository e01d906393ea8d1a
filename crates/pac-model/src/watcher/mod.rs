//! One watcher: the product's own state of a repository, its own passes and its own trust in its lease. Only what carries requests to
//! and fro is the model's; that is in [`engine`].

mod digest;
mod engine;
mod message;

use std::time::Duration;

use pac_concurrency::manager::{CachedRepository, Pass, Remembered, Trust};
use pac_concurrency::protocol::{FOREIGN_LOOK, STALL_AFTER};
use pac_concurrency::{Holder, RunKey, Scope, Snapshot, Version};
use pac_state::index::RepositoryState;
use tokio::time::Instant;

use crate::cluster::{Event, Id, Life, limit};

pub(crate) use self::message::{Ask, Input, Outcome, Output, Purpose};

/// What one tick of the clock is: no time of the protocol lies within one without the model making the worst of it.
pub(crate) const TICK: Duration = FOREIGN_LOOK;

/// What time passes with every other step, so that what came later can be told.
const MOMENT: Duration = Duration::from_nanos(1);

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    pub(crate) limit: u8,
    pub(crate) holder: u8,
    now: Instant,
    state: RepositoryState,
    remembered: Remembered,
    trust: Trust,
    takes_over_until: Option<Instant>,
    window: usize,
    /// With the limit that it goes by.
    pass: Option<(Pass, CachedRepository, u8)>,
    /// Starts yet to be sent: the run, when its slot was proven, and by which limit.
    lane: Vec<(Id, Instant, u8)>,
    /// Whether a start waits for the answer to the one before: the product's does, for a while.
    waits_for_answers: bool,
    sending: bool,
    wanted: Option<Scope>,
    later: Option<(Instant, Scope)>,
    /// What it reads, and since when.
    reading: Vec<(Purpose, Id, Instant)>,
}

/// The name of a holder.
pub(crate) fn holder(number: u8) -> Holder {
    Holder::parse(&number.to_string()).unwrap_or_else(|_| unreachable!())
}

// === impl Watcher ===

impl Watcher {
    /// A process that begins with a full list, its `number`-th term, and a lease of that length.
    pub(crate) fn begin(
        now: Instant,
        runs: impl Iterator<Item = (Id, Life)>,
        seen_limit: u8,
        number: u8,
        lease_ttl: Duration,
        window: usize,
        waits_for_answers: bool,
    ) -> Self {
        let mut trust = Trust::default();
        trust.renew(now, lease_ttl);
        let mut new = Self {
            now,
            state: RepositoryState::new(true),
            limit: seen_limit,
            remembered: Remembered::default(),
            trust,
            takes_over_until: None,
            holder: number,
            window,
            pass: None,
            lane: Vec::new(),
            waits_for_answers,
            sending: false,
            wanted: Some(Scope::Whole),
            later: None,
            reading: Vec::new(),
        };
        new.state.set_limit(limit(seen_limit));
        for (id, life) in runs {
            if let Some(view) = id.view(life) {
                new.state.apply_run(view, now, Duration::ZERO);
            }
        }
        new
    }

    /// What it makes of `input`.
    pub(crate) fn take(&self, input: &Input, lease_ttl: Duration) -> (Self, Output) {
        let (mut next, mut output) = (self.clone(), Output::default());
        next.now += MOMENT;
        match input {
            Input::See(Event { id, life }) => {
                match id.view(*life) {
                    Some(view) => next.state.apply_run(view, next.now, Duration::ZERO),
                    None => _ = next.state.remove_run(id.key().path()),
                }
                next.want(Scope::Head);
            }
            Input::SeeLimit(number) => {
                next.limit = *number;
                next.state.set_limit(limit(*number));
                next.want(Scope::Head);
            }
            Input::News => {
                next.remembered.invalidate();
                next.want(Scope::Head);
            }
            Input::Resync => next.want(Scope::Whole),
            Input::Look => next.look(&mut output),
            Input::Loaded(snapshot) => next.loaded(Snapshot::clone(snapshot), &mut output),
            Input::Committed(outcome) => next.committed(*outcome, &mut output),
            Input::Send => next.send(&mut output),
            Input::Acknowledged(id) => next.acknowledged(*id),
            Input::LookAgain { id, refused, unanswered_for } => {
                next.look_again(*id, *refused, *unanswered_for, &mut output);
            }
            Input::Read(purpose, id, life) => next.read(*purpose, *id, *life),
            Input::Tick => next.now += TICK,
            Input::Renewed => next.trust.renew(next.now, lease_ttl),
            Input::NewTerm(number) => {
                next.holder = *number;
                next.trust.renew(next.now, lease_ttl);
                next.remembered.invalidate();
                next.want(Scope::Whole);
            }
            Input::Lead => {
                next.takes_over_until = Some(next.now + STALL_AFTER);
                next.want(Scope::Whole);
            }
        }
        (next, output)
    }

    /// Versions it still knows of.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> {
        let of = |known: &CachedRepository| [known.version, known.snapshot.as_ref().map(|snapshot| snapshot.version)];
        let planned_on = |pass: &Pass| pass.planned_on().map(|snapshot| snapshot.version);
        let passing = self.pass.as_ref().map(|(pass, known, _)| (of(known), planned_on(pass)));
        let (passing, expected) = passing.unzip();
        of(&self.remembered.known)
            .into_iter()
            .chain(passing.into_iter().flatten())
            .chain([expected.flatten()])
            .flatten()
    }

    /// The limits it goes by.
    pub(crate) fn limits(&self) -> impl Iterator<Item = u8> {
        let passing = self.pass.as_ref().map(|(_, _, limit)| *limit);
        [self.limit].into_iter().chain(passing).chain(self.lane.iter().map(|(_, _, limit)| *limit))
    }

    /// Whether a worker would take the repository up.
    pub(crate) fn wants_a_look(&self) -> bool {
        let is_due = self.later.is_some_and(|(when, _)| when <= self.now);
        self.pass.is_none() && (self.wanted.is_some() || is_due)
    }

    /// Whether the turn of a start has come.
    pub(crate) fn may_send(&self) -> bool {
        !self.sending && !self.lane.is_empty()
    }

    /// Whether everything is to be looked at.
    pub(crate) fn wants_everything(&self) -> bool {
        self.wanted == Some(Scope::Whole)
    }

    /// Whether it takes over what others have in hand.
    pub(crate) fn takes_over(&self) -> bool {
        self.takes_over_until.is_some_and(|until| self.now < until)
    }

    /// Whether a run was started, or may be being started by it, as far as it knows.
    pub(crate) fn may_be_started(&self, run: &RunKey) -> bool {
        self.state.may_be_started(run, self.now)
    }

    fn want(&mut self, scope: Scope) {
        let is_whole = scope == Scope::Whole || self.wanted == Some(Scope::Whole);
        self.wanted = Some(if is_whole { Scope::Whole } else { Scope::Head });
    }

    fn want_later(&mut self, scope: Scope, when: Instant) {
        let before = self.later.map_or((when, scope), |(before, scope)| (before.min(when), scope));
        let scope = if before.1 == Scope::Whole { Scope::Whole } else { scope };
        self.later = Some((before.0, scope));
    }
}
