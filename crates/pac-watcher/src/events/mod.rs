//! Kubernetes Events: what happens in the queues, told on the PipelineRun and on its Repository, where `kubectl describe`
//! shows it.
//!
//! They are for people. What makes them puts a record into a queue of bounded length and goes on; where the API server is
//! slow they are dropped, and counted. On a Repository the same news about many runs is one Event with a count, as
//! Kubernetes calls it a series.

mod publish;
mod series;

use pac_concurrency::RepositoryKey;
use pac_metrics::catalogue;
use tokio::sync::mpsc;

use crate::queue::history::{Happened, Record};

pub use publish::Publisher;

/// So many are kept while the API server is slow.
const KEPT: usize = 1000;

/// Where news are put. Never waits.
#[derive(Debug, Clone)]
pub struct News(mpsc::Sender<(RepositoryKey, Record)>);

/// An Event to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// In a word, for machines.
    reason: &'static str,
    /// What was done, in a word.
    action: &'static str,
    /// Whether somebody should have a look.
    warns: bool,
    /// For people.
    note: String,
}

/// Where news are put, and where they come out.
pub fn channel() -> (News, mpsc::Receiver<(RepositoryKey, Record)>) {
    let (sender, receiver) = mpsc::channel(KEPT);
    (News(sender), receiver)
}

// === impl News ===

impl News {
    /// Has `record` of `repository` told, if there is room.
    pub fn tell(&self, repository: &RepositoryKey, record: &Record) {
        if of_run(record).is_none() && of_repository(record).is_none() {
            return;
        }
        if self.0.try_send((repository.clone(), record.clone())).is_err() {
            catalogue::EVENTS.count(&["dropped"], 1);
        }
    }
}

/// What is told on the run it happened to.
fn of_run(record: &Record) -> Option<Told> {
    record.run.as_ref()?;
    let normal = |reason, action, note: String| Some(Told { reason, action, warns: false, note });
    let warning = |reason, action, note: String| Some(Told { reason, action, warns: true, note });
    match &record.what {
        Happened::Queued { position } => {
            normal("Waiting", "Queue", format!("waits for a slot of its Repository, at place {position}"))
        }
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

/// What is told on the Repository. What is about a run doesn't name it, so that many such are one Event.
fn of_repository(record: &Record) -> Option<Told> {
    let told = |reason, action, note: String| Some(Told { reason, action, warns: false, note });
    match &record.what {
        Happened::LimitChanged { .. } => told("LimitChanged", "Limit", record.what.to_string()),
        Happened::Paused { .. } => told("Paused", "Pause", record.what.to_string()),
        Happened::Resumed { .. } => told("Resumed", "Resume", record.what.to_string()),
        Happened::Queued { .. } => told("Waiting", "Queue", "a PipelineRun waits for a slot".to_owned()),
        _ => of_run(record).map(|told| Told { note: format!("a PipelineRun {}", told.note), ..told }),
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

    #[test]
    fn where_the_api_server_is_slow_news_are_dropped_and_nobody_waits() {
        let (news, mut receiver) = channel();
        let repository = RepositoryKey::new("ns", "repo").unwrap();
        for _ in 0..KEPT + 10 {
            news.tell(&repository, &record(Some("ns/a"), Happened::Started));
        }
        let kept = std::iter::from_fn(|| receiver.try_recv().ok()).count();
        assert_eq!(kept, KEPT);
    }
}
