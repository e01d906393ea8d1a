//! What can happen next.

use crate::cluster::{Id, Life, Name};
use crate::protocol::Protocol;
use crate::scenario::Slow;
use crate::system::{System, Watching};

/// One thing that happens. Watchers, starts and reads are named by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A run is created.
    Create(Name),
    /// A run that waits is cancelled.
    Cancel(Name),
    /// A run is deleted; one that waits is kept a while by a finalizer.
    Delete(Name),
    /// A run ends.
    Finish(Name),
    /// The limit is changed.
    SetLimit(u8),
    /// The watcher's watch tells of the next change.
    See(u8),
    /// Its watch of Repositories does.
    SeeLimit(u8),
    /// It hears that others changed the store.
    Hear(u8),
    /// A worker of it takes the repository up.
    Look(u8),
    /// It is time for it to look at everything.
    Resync(u8),
    /// It leads from now on; who led before may not know it yet.
    Lead(u8),
    /// The store's answer reaches it.
    Answer(u8),
    /// The store doesn't do what it asked, and it isn't told.
    LoseBefore(u8),
    /// The store does, and it isn't told.
    LoseAfter(u8),
    /// It sends its next start.
    Send(u8),
    /// A start reaches the API server.
    Arrive(u8),
    /// A start is refused there.
    Refuse(u8),
    /// A start is lost on its way.
    LoseStart(u8),
    /// The connection breaks on which a start is on its way, which may arrive all the same.
    BreakStart(u8),
    /// The answer to a start reaches who sent it.
    AnswerStart(u8),
    /// It doesn't.
    LoseAnswer(u8),
    /// What a read found reaches who asked.
    Tell(u8),
    /// It doesn't.
    LoseRead(u8),
    /// Time passes.
    Tick,
    /// The watcher renews its lease.
    Renew(u8),
    /// The watcher is killed, and another takes its place.
    Crash(u8),
    /// The lease of a holder that is dead runs out.
    Lapse(u8),
}

// === impl Action ===

impl Action {
    /// In which order things happen when nothing goes wrong, the lowest first; none if they needn't happen.
    pub(crate) fn haste(self) -> Option<u8> {
        Some(match self {
            Self::Answer(_) => 0,
            Self::AnswerStart(_) | Self::Tell(_) => 1,
            Self::Arrive(_) => 2,
            Self::SeeLimit(_) | Self::See(_) | Self::Hear(_) => 3,
            Self::Send(_) => 4,
            Self::Renew(_) => 5,
            Self::Look(_) => 6,
            Self::Finish(_) => 7,
            Self::Lapse(_) => 8,
            _ => return None,
        })
    }
}

// === impl Protocol ===

impl Protocol {
    /// What can happen in `system`.
    pub(crate) fn actions_of(&self, system: &System) -> Vec<Action> {
        let mut actions = Vec::new();
        if system.breach.is_some() {
            return actions;
        }
        // Names are used in order.
        let next_name = system.cluster.runs().find(|(_, life)| *life == Life::Unborn).map(|(id, _)| id.name);
        for (id, life) in system.cluster.runs() {
            of_run(system, id, life, next_name, &mut actions);
        }
        if system.budget.limits > 0 {
            let others = self.scenario.limits.iter().filter(|limit| **limit != system.cluster.limit);
            actions.extend(others.map(|limit| Action::SetLimit(*limit)));
        }
        for (number, watching) in (0..).zip(&system.watchers) {
            self.of_watcher(system, number, watching, &mut actions);
        }
        self.of_requests(system, &mut actions);
        if (self.scenario.ticks || system.budget.ticks > 0) && system.may_tick() {
            actions.push(Action::Tick);
        }
        for (number, left) in (0..).zip(&system.leases) {
            let lives = system.watchers.iter().any(|watching| watching.watcher.holder == number);
            if self.scenario.lease.is_none() && *left > 0 && !lives {
                actions.push(Action::Lapse(number));
            }
        }
        actions
    }

    fn of_watcher(&self, system: &System, number: u8, watching: &Watching, actions: &mut Vec<Action>) {
        let (watcher, left) = (&watching.watcher, system.budget);
        if watching.seen < system.cluster.history.len() {
            actions.push(Action::See(number));
        }
        if watcher.limit != system.cluster.limit {
            actions.push(Action::SeeLimit(number));
        }
        if watching.has_news {
            actions.push(Action::Hear(number));
        }
        let goes_on = match watching.answer {
            Some(_) => Some(Action::Answer(number)),
            None => watcher.wants_a_look().then_some(Action::Look(number)),
        };
        actions.extend(goes_on);
        if goes_on.is_some() && left.lost_commits > 0 {
            actions.extend([Action::LoseBefore(number), Action::LoseAfter(number)]);
        }
        if watcher.may_send() {
            actions.push(Action::Send(number));
        }
        if left.resyncs > 0 && !watcher.wants_everything() {
            actions.push(Action::Resync(number));
        }
        if left.elections > 0 && !watcher.takes_over() {
            actions.push(Action::Lead(number));
        }
        if self.scenario.lease.is_some_and(|full| system.lease_of(number) < full) {
            actions.push(Action::Renew(number));
        }
        if left.crashes > 0 {
            actions.push(Action::Crash(number));
        }
    }

    fn of_requests(&self, system: &System, actions: &mut Vec<Action>) {
        let left = system.budget;
        for (number, start) in (0..).zip(&system.starts) {
            match (start.answer, start.by) {
                (None, by) => {
                    actions.push(Action::Arrive(number));
                    let may_lose = left.lost_starts > 0 && self.scenario.slow != Slow::Everybody && by.is_some();
                    actions.extend(may_lose.then_some(Action::LoseAnswer(number)));
                    actions.extend((left.refusals > 0).then_some(Action::Refuse(number)));
                    actions.extend((left.lost_starts > 0).then_some(Action::LoseStart(number)));
                    let may_break = left.broken_starts > 0 && by.is_some() && start.may_go_astray();
                    actions.extend(may_break.then_some(Action::BreakStart(number)));
                }
                (Some(_), Some(_)) => {
                    actions.push(Action::AnswerStart(number));
                    actions.extend((left.lost_starts > 0).then_some(Action::LoseAnswer(number)));
                }
                (Some(_), None) => {}
            }
        }
        for (number, _) in (0..).zip(&system.reads) {
            actions.push(Action::Tell(number));
            actions.extend((left.lost_reads > 0).then_some(Action::LoseRead(number)));
        }
    }
}

fn of_run(system: &System, id: Id, life: Life, next_name: Option<Name>, actions: &mut Vec<Action>) {
    let left = system.budget;
    let may = match life {
        Life::Unborn => [(next_name == Some(id.name)).then_some(Action::Create(id.name)), None],
        Life::Gone => [(left.recreated > 0).then_some(Action::Create(id.name)), None],
        Life::Pending => [
            (left.cancelled > 0).then_some(Action::Cancel(id.name)),
            (left.deleted > 0).then_some(Action::Delete(id.name)),
        ],
        Life::Running => [Some(Action::Finish(id.name)), (left.deleted > 0).then_some(Action::Delete(id.name))],
        Life::Cancelled | Life::Deleting => [Some(Action::Delete(id.name)), None],
        Life::Done => [(left.recreated > 0).then_some(Action::Delete(id.name)), None],
    };
    actions.extend(may.into_iter().flatten());
}
