//! Kubernetes Events: what happens in the queues, published on the PipelineRun and on its Repository, where `kubectl describe` shows
//! it.
//!
//! Events are for people. Whoever has one to publish puts a record where the publisher finds it and goes on. Where the API server is
//! slow or away Events wait, and of much that happened to a run the newest is published. The place of a run that waits is published
//! anew as the queue moves. Equal Events of many runs on their Repository are one with a count, which Kubernetes calls a series.

mod mailbox;
mod places;
mod publish;
mod series;

use std::sync::Arc;

use pac_concurrency::RepositoryKey;
use pac_queue::history::{Happened, Record};

use self::mailbox::{Draft, Mailbox, Subject};

pub use places::Places;
pub use publish::Publisher;

/// Takes what is to be published. Never waits. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct News(Arc<Mailbox>);

/// What an Event says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EventText {
    /// The reason in a word, for machines.
    reason: &'static str,
    /// The action in a word.
    action: &'static str,
    /// Whether somebody should have a look.
    warns: bool,
    /// The sentence for people.
    note: String,
}

// === impl News ===

impl News {
    /// Takes `record` of `repository` to be published.
    pub fn tell(&self, repository: &RepositoryKey, record: &Record) {
        let draft = |subject, text| Draft {
            subject,
            repository: repository.clone(),
            text,
            at: record.at,
            count: 1,
            name: None,
        };
        if let (Some(path), Some(uid)) = (&record.run, &record.uid) {
            match &record.what {
                Happened::Queued { position } => self.0.note_place(uid, *position),
                _ => self.0.forget_place(uid),
            }
            self.0.note_moved(repository);
            if let Some(text) = of_run(record) {
                self.0.put(draft(Subject::Run { path: path.clone(), uid: uid.clone() }, text));
            }
        }
        if let Some(text) = of_repository(record) {
            self.0.put(draft(Subject::Repository(repository.clone()), text));
        }
    }

    /// Forgets which places were published. To be called when this watcher begins to lead: the one before it may have published others.
    pub fn begin(&self) {
        self.0.begin_places();
    }
}

// === impl EventText ===

impl EventText {
    /// Whether it says at which place a run waits.
    fn is_place(&self) -> bool {
        self.reason == WAITING
    }
}

/// The reason of an Event that says where a run waits.
const WAITING: &str = "Waiting";

/// The text on a run that waits at this place, from 1 on.
fn waiting(place: usize) -> EventText {
    let note = format!("waits for a slot of its Repository, at place {place}");
    EventText { reason: WAITING, action: "Queue", warns: false, note }
}

/// The text on the run that `record` is about.
fn of_run(record: &Record) -> Option<EventText> {
    record.run.as_ref()?;
    let normal = |reason, action, note: String| Some(EventText { reason, action, warns: false, note });
    let warning = |reason, action, note: String| Some(EventText { reason, action, warns: true, note });
    match &record.what {
        Happened::Queued { position } => Some(waiting(*position)),
        Happened::Admitted { .. } => normal("Admitted", "Admit", "was given a slot of its Repository".to_owned()),
        Happened::Adopted { .. } => {
            normal("Counted", "Count", "runs without having been given a slot, and is counted from now on".to_owned())
        }
        Happened::Started => normal("Started", "Start", "was started".to_owned()),
        Happened::Refused { why } => {
            warning("StartRefused", "Start", format!("could not be started and is tried again later: {why}"))
        }
        Happened::Released { why, .. } if record.what.is_an_operators() => {
            warning("ReleasedByOperator", "Release", format!("counts no more: {why}"))
        }
        Happened::Released { why, .. } => normal("Released", "Release", format!("counts no more: {why}")),
        Happened::PassedOver { .. }
        | Happened::TakenOver { .. }
        | Happened::GivenBack
        | Happened::LimitChanged { .. }
        | Happened::Paused { .. }
        | Happened::Resumed { .. } => None,
    }
}

/// The text on the Repository. It names no run, so that many such are one Event.
fn of_repository(record: &Record) -> Option<EventText> {
    let told = |reason, action, note: String| Some(EventText { reason, action, warns: false, note });
    match &record.what {
        Happened::LimitChanged { .. } => told("LimitChanged", "Limit", record.what.to_string()),
        Happened::Paused { .. } => told("Paused", "Pause", record.what.to_string()),
        Happened::Resumed { .. } => told("Resumed", "Resume", record.what.to_string()),
        Happened::Queued { .. } => told(WAITING, "Queue", "a PipelineRun waits for a slot".to_owned()),
        _ => of_run(record).map(|told| EventText { note: format!("a PipelineRun {}", told.note), ..told }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn record(run: Option<&str>, what: Happened) -> Record {
        Record { at: Timestamp::UNIX_EPOCH, run: run.map(str::to_owned), uid: run.map(|_| "uid".to_owned()), what }
    }

    #[test]
    fn what_many_runs_have_in_common_is_told_alike_on_their_repository() {
        let note = |name: &str, position| of_repository(&record(Some(name), Happened::Queued { position })).unwrap();
        assert_eq!(note("ns/a", 1), note("ns/b", 2));
        let at_place = of_run(&record(Some("ns/a"), Happened::Queued { position: 3 })).unwrap();
        assert!(at_place.note.ends_with("at place 3"), "{at_place:?}");
        let started = of_repository(&record(Some("ns/a"), Happened::Started)).unwrap();
        assert_eq!((started.reason, started.note.as_str()), ("Started", "a PipelineRun was started"));
    }

    #[test]
    fn a_change_of_the_limit_is_the_repositorys_alone() {
        let changed = record(None, Happened::LimitChanged { from: "2".to_owned(), to: "3".to_owned() });
        assert_eq!(of_run(&changed), None);
        assert_eq!(of_repository(&changed).unwrap().note, "limit changed from 2 to 3");
    }
}
