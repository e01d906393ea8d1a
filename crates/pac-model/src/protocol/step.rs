//! One step of the system.

use crate::cluster::{Event, Life, Name};
use crate::protocol::{Action, Protocol};
use crate::scenario::Slow;
use crate::system::{Answer, Read, Start, StartAnswer, System};
use crate::watcher::{Input, Outcome};

// === impl Protocol ===

impl Protocol {
    /// What comes of `action`; none if nothing does.
    pub(crate) fn after(&self, system: &System, action: Action) -> Option<System> {
        let mut next = system.clone();
        match action {
            Action::Create(name) => create(&mut next, name),
            Action::Cancel(name) => {
                next.budget.cancelled -= 1;
                next.cluster.set(name, Life::Cancelled);
            }
            Action::Delete(name) => delete(&mut next, name),
            Action::Finish(name) => next.cluster.set(name, Life::Done),
            Action::SetLimit(limit) => {
                next.budget.limits -= 1;
                next.cluster.limit = limit;
            }
            Action::See(number) => {
                let watching = &mut next.watchers[usize::from(number)];
                let event: Event = next.cluster.history[watching.seen];
                watching.seen += 1;
                self.tell(&mut next, number, Input::See(event));
            }
            Action::SeeLimit(number) => {
                let limit = next.cluster.limit;
                self.tell(&mut next, number, Input::SeeLimit(limit));
            }
            Action::Hear(number) => {
                next.watching_mut(number).has_news = false;
                self.tell(&mut next, number, Input::News);
            }
            Action::Look(number) => self.tell(&mut next, number, Input::Look),
            Action::Resync(number) => {
                next.budget.resyncs -= 1;
                self.tell(&mut next, number, Input::Resync);
            }
            Action::Lead(number) => {
                next.budget.elections -= 1;
                self.tell(&mut next, number, Input::Lead);
            }
            Action::Answer(number) => {
                let input = next.answered(number)?;
                self.tell(&mut next, number, input);
            }
            Action::LoseBefore(number) => self.lose_commit(&mut next, number, false)?,
            Action::LoseAfter(number) => self.lose_commit(&mut next, number, true)?,
            Action::Send(number) => self.tell(&mut next, number, Input::Send),
            Action::Arrive(at) => next.arrive(usize::from(at)),
            Action::Refuse(at) => {
                next.budget.refusals -= 1;
                next.budget.refused |= 1 << next.starts[usize::from(at)].id.name;
                next.starts[usize::from(at)].answer = Some(StartAnswer::Refused);
            }
            Action::LoseStart(at) => {
                next.budget.lost_starts -= 1;
                let start = next.starts.remove(usize::from(at));
                self.unanswered(&mut next, &start);
            }
            Action::BreakStart(at) => {
                next.budget.broken_starts -= 1;
                let start = next.starts[usize::from(at)].clone();
                next.starts[usize::from(at)].go_astray();
                self.unanswered(&mut next, &start);
            }
            Action::AnswerStart(at) | Action::LoseAnswer(at) => {
                if next.starts[usize::from(at)].answer.is_none() {
                    next.arrive(usize::from(at));
                }
                let start = next.starts.remove(usize::from(at));
                let is_lost = matches!(action, Action::LoseAnswer(_));
                next.budget.lost_starts -= u8::from(is_lost);
                self.answer_start(&mut next, &start, is_lost)?;
            }
            Action::Tell(at) => {
                let Read { by, purpose, id, found } = next.reads.remove(usize::from(at));
                self.tell(&mut next, by, Input::Read(purpose, id, Some(found)));
            }
            Action::LoseRead(at) => {
                next.budget.lost_reads -= 1;
                let Read { by, purpose, id, .. } = next.reads.remove(usize::from(at));
                self.tell(&mut next, by, Input::Read(purpose, id, None));
            }
            Action::Tick => self.tick(&mut next),
            Action::Renew(number) => self.renew(&mut next, number)?,
            Action::Crash(number) => {
                next.budget.crashes -= 1;
                next.starts.iter_mut().filter(|start| start.by == Some(number)).for_each(|start| start.by = None);
                next.reads.retain(|read| read.by != number);
                let new = self.begin(&mut next);
                *next.watching_mut(number) = new;
            }
            Action::Lapse(number) => next.leases[usize::from(number)] = 0,
        }
        if self.scenario.slow != Slow::Everybody {
            self.settle(&mut next);
        }
        next.tidy();
        Some(next)
    }

    /// Has everybody be answered at once whose answers don't take their time.
    fn settle(&self, next: &mut System) {
        loop {
            let is_answered =
                |number: &u8| next.watching(*number).answer.as_ref().is_some_and(|answer| !self.is_late(answer));
            let answered = (0..self.scenario.watchers).find(is_answered);
            let sends = (0..self.scenario.watchers).find(|number| next.watching(*number).watcher.may_send());
            let started = next.starts.iter().position(|start| start.answer.is_some() && start.by.is_some());
            if let Some(number) = answered
                && let Some(input) = next.answered(number)
            {
                self.tell(next, number, input);
            } else if let Some(Read { by, purpose, id, found }) = next.reads.pop() {
                self.tell(next, by, Input::Read(purpose, id, Some(found)));
            } else if let Some(at) = started {
                let start = next.starts.remove(at);
                self.answer_start(next, &start, false);
            } else if let Some(number) = sends {
                self.tell(next, number, Input::Send);
            } else {
                break;
            }
        }
    }

    /// Whether this answer of the store takes its time.
    fn is_late(&self, answer: &Answer) -> bool {
        match self.scenario.slow {
            Slow::Nobody => false,
            Slow::Commits => matches!(answer, Answer::Committed(_)),
            Slow::Everybody => true,
        }
    }

    /// The next commit of that watcher is carried out, or not, and its answer lost; none if it doesn't come to a commit.
    fn lose_commit(&self, next: &mut System, number: u8, is_done: bool) -> Option<()> {
        next.budget.lost_commits -= 1;
        let mut input = next.answered(number).unwrap_or(Input::Look);
        let before = loop {
            let before = next.clone();
            self.tell(next, number, input);
            match &next.watching(number).answer {
                Some(Answer::Committed(Outcome::Done(_))) => break before,
                Some(answer) if !self.is_late(answer) => input = next.answered(number)?,
                _ => return None,
            }
        };
        if !is_done {
            next.store = before.store;
            for (watching, before) in next.watchers.iter_mut().zip(before.watchers) {
                watching.has_news = before.has_news;
            }
            next.breach = None;
        }
        next.watching_mut(number).answer = Some(Answer::Committed(Outcome::Indeterminate));
        Some(())
    }

    fn answer_start(&self, next: &mut System, start: &Start, is_lost: bool) -> Option<()> {
        let (by, id) = (start.by?, start.id);
        match start.answer? {
            _ if is_lost => self.unanswered(next, start),
            StartAnswer::Started => self.tell(next, by, Input::Acknowledged(id)),
            StartAnswer::LookAgain | StartAnswer::Refused => {
                self.tell(next, by, Input::LookAgain { id, refused: true, unanswered_for: None });
            }
        }
        Some(())
    }

    /// Who sent `start` is told that there is no answer to wait for.
    fn unanswered(&self, next: &mut System, start: &Start) {
        if let Some(by) = start.by {
            let unanswered_for = Some(start.age());
            self.tell(next, by, Input::LookAgain { id: start.id, refused: false, unanswered_for });
        }
    }

    fn tick(&self, next: &mut System) {
        next.budget.ticks = next.budget.ticks.saturating_sub(1);
        for number in 0..self.scenario.watchers {
            self.tell(next, number, Input::Tick);
        }
        next.tick();
        if self.scenario.lease.is_some() {
            next.leases.iter_mut().for_each(|left| *left = left.saturating_sub(1));
        }
    }

    fn renew(&self, next: &mut System, number: u8) -> Option<()> {
        if next.lease_of(number) > 0 {
            let holder = usize::from(next.watching(number).watcher.holder);
            next.leases[holder] = self.lease();
            self.tell(next, number, Input::Renewed);
        } else {
            let term = u8::try_from(next.leases.len()).ok()?;
            if term >= self.scenario.terms {
                return None;
            }
            next.leases.push(self.lease());
            self.tell(next, number, Input::NewTerm(term));
        }
        Some(())
    }
}

fn create(next: &mut System, name: Name) {
    if next.cluster.life(next.cluster.id(name)) == Life::Gone {
        next.budget.recreated -= 1;
    }
    next.cluster.create(name);
}

fn delete(next: &mut System, name: Name) {
    let life = next.cluster.life(next.cluster.id(name));
    next.budget.deleted -= u8::from(matches!(life, Life::Pending | Life::Running));
    next.cluster.set(name, if life == Life::Pending { Life::Deleting } else { Life::Gone });
}
