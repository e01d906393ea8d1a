//! What users and operators do: push, cancel, delete, make again, change limits, pause.

use std::time::Duration;

use anyhow::Result;
use pac_devcluster::{PacEvent, PacRun};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Undo, World};
use crate::schedule::Action;

/// Runs of one Repository that are not done, beyond which nobody pushes; and where it is crowded.
const BACKLOG: usize = 20;
const CROWDED_BACKLOG: usize = 120;
/// How many of a Repository's runs that are not done are at their start, or near it.
const FIRST: usize = 4;
const PAUSED: &str = "concurrency.pipelinesascode.tekton.dev/paused";

/// Who has pushed what.
pub(crate) struct Users(Vec<Pushes>);

#[derive(Default)]
struct Pushes {
    runs: usize,
    pull_requests: u64,
    last: Option<Instant>,
    /// What PAC's controller is still at work on.
    at_work: Vec<JoinHandle<Vec<String>>>,
}

// === impl Users ===

impl Users {
    pub(super) fn new(repositories: usize) -> Self {
        Self((0..repositories).map(|_| Pushes::default()).collect())
    }

    /// Whether PAC's controller has made all that was pushed.
    pub(crate) fn are_served(&mut self) -> bool {
        self.0.iter_mut().for_each(|pushes| pushes.at_work.retain(|push| !push.is_finished()));
        self.0.iter().all(|pushes| pushes.at_work.is_empty())
    }

    /// Whether nothing was pushed within this second and the one before, so that whoever comes now is later by the order, too.
    fn are_calm(&self, number: usize) -> bool {
        self.0[number].last.is_none_or(|last| last.elapsed() > Duration::from_millis(2_100))
    }
}

// === impl World ===

impl World {
    pub(super) fn user_acts(&mut self, action: &Action) {
        match *action {
            Action::Push { repository, runs, is_pull_request }
                if self.users.are_calm(repository) && self.unfinished_of(repository).len() <= self.backlog() =>
            {
                self.push(repository, runs, is_pull_request);
                self.did("pushes");
            }
            Action::Cancel { repository, pick, wish } => {
                let wish = json!({"spec": {"status": wish}});
                self.of_run(repository, pick, "runs cancelled or stopped", |world, name| {
                    // It may just have ended or gone.
                    world.outside.cluster.store().patch("pipelineruns", &namespace(repository), name, &wish).is_ok()
                });
            }
            Action::CancelPullRequest { repository } => {
                let number = self.users.0[repository].pull_requests;
                if let (Some(pac), true) = (self.outside.cluster.pac(), number > 0) {
                    drop(pac.cancel(&namespace(repository), &name_of(repository), number));
                    self.did("pull requests cancelled");
                }
            }
            Action::DeleteRun { repository, pick } => {
                self.of_run(repository, pick, "runs deleted", |world, name| world.delete_run(repository, name));
            }
            Action::RecreateRun { repository, pick } if self.users.are_calm(repository) => {
                self.of_run(repository, pick, "runs made again", |world, name| {
                    let number = name.strip_prefix("run-").and_then(|number| number.parse().ok());
                    let Some(number) = number.filter(|_| world.delete_run(repository, name)) else { return false };
                    world.undo_after(Undo::Run(repository, number), Duration::from_millis(500));
                    true
                });
            }
            Action::Limit { repository, limit } => {
                let spec = json!({"spec": {"concurrency_limit": limit}});
                self.change_repository(repository, "limits changed", &spec);
            }
            Action::Pause { repository, lasts } if !self.is_to_be_undone(Undo::Pause(repository)) => {
                let paused = json!({"metadata": {"annotations": {PAUSED: "by the simulation"}}});
                if self.change_repository(repository, "pauses", &paused) {
                    self.undo_after(Undo::Pause(repository), lasts);
                }
            }
            Action::DeleteRepository { repository, again_after } => {
                let store = self.outside.cluster.store();
                if store.delete("repositories", &namespace(repository), &name_of(repository)).is_ok() {
                    self.did("Repositories deleted");
                    self.undo_after(Undo::Repository(repository), again_after);
                }
            }
            // The rest makes no sense just now.
            _ => {}
        }
    }

    pub(super) fn user_undoes(&mut self, undo: Undo) {
        match undo {
            Undo::Repository(number) => {
                // Nobody else makes it.
                let _ = self.create_repository(number, Some(2));
            }
            Undo::Pause(number) => {
                let resumed = json!({"metadata": {"annotations": {PAUSED: null}}});
                // One that was deleted meanwhile is paused no more, either.
                self.change_repository(number, "resumptions", &resumed);
            }
            Undo::Run(number, run) => {
                let name = format!("run-{run}");
                let store = self.outside.cluster.store();
                match store.get("pipelineruns", &namespace(number), &name) {
                    Some(run) if run.pointer("/metadata/deletionTimestamp").is_some() => {
                        self.undo_after(undo, Duration::from_millis(500));
                    }
                    // Deleted twice, it was made again already.
                    Some(_) => {}
                    None => self.serve(number, event(number, &[name])),
                }
            }
            _ => {}
        }
    }

    pub(super) fn create_repository(&self, number: usize, limit: Option<u64>) -> Result<()> {
        let (namespace, name) = (namespace(number), name_of(number));
        let store = self.outside.cluster.store();
        store.ensure_namespace(&namespace);
        let spec = json!({"url": format!("https://git.example.com/{name}"), "concurrency_limit": limit});
        store.create("repositories", &namespace, json!({"metadata": {"name": name}, "spec": spec}))?;
        self.note_limits();
        Ok(())
    }

    /// A push, or one to a pull request, whose runs have a task that is run whatever becomes of the others.
    pub(super) fn push(&mut self, number: usize, runs: usize, is_pull_request: bool) {
        let pushes = &mut self.users.0[number];
        let names: Vec<String> = (pushes.runs..pushes.runs + runs).map(|run| format!("run-{run}")).collect();
        pushes.runs += runs;
        let mut event = event(number, &names);
        if is_pull_request {
            pushes.pull_requests += 1;
            event = event.of_pull_request(pushes.pull_requests);
            let spec = json!({"tasks": [{"name": "build"}], "finally": [{"name": "report"}]});
            event.runs.iter_mut().for_each(|run| _ = run.spec.insert("pipelineSpec".to_owned(), spec.clone()));
        }
        self.serve(number, event);
    }

    fn backlog(&self) -> usize {
        if self.scenario.is_crowded { CROWDED_BACKLOG } else { BACKLOG }
    }

    fn serve(&mut self, number: usize, event: PacEvent) {
        let Some(pac) = self.outside.cluster.pac() else { return };
        let pushes = &mut self.users.0[number];
        pushes.at_work.push(pac.push(event));
        pushes.last = Some(Instant::now());
    }

    fn change_repository(&mut self, number: usize, what: &'static str, patch: &Value) -> bool {
        let store = self.outside.cluster.store();
        let is_there = store.patch("repositories", &namespace(number), &name_of(number), patch).is_ok();
        if is_there {
            self.did(what);
        }
        is_there
    }

    fn delete_run(&self, number: usize, name: &str) -> bool {
        self.outside.cluster.store().delete("pipelineruns", &namespace(number), name).is_ok()
    }

    pub(super) fn of_run(
        &mut self,
        number: usize,
        pick: usize,
        what: &'static str,
        does: impl FnOnce(&mut Self, &str) -> bool,
    ) {
        let mut names = self.unfinished_of(number);
        // Every other time one of the first: their turn comes while that happens to them.
        if pick.is_multiple_of(2) {
            names.sort_by_key(|name| name.strip_prefix("run-").and_then(|number| number.parse::<usize>().ok()));
            names.truncate(FIRST);
        }
        if !names.is_empty() && does(self, &names[(pick / 2) % names.len()]) {
            self.did(what);
        }
    }

    /// The names of a Repository's runs that are not done.
    fn unfinished_of(&self, number: usize) -> Vec<String> {
        unfinished(&self.outside.cluster.store().list("pipelineruns", Some(&namespace(number)), "").unwrap_or_default())
    }

    /// The runs that are not done, and how many are that nobody has reported yet: PAC does that one after the other, as it lets deleted ones go.
    pub(crate) fn left_to_do(&self) -> (Vec<String>, usize) {
        let runs = self.outside.cluster.store().list("pipelineruns", None, "").unwrap_or_default();
        (unfinished(&runs), runs.iter().filter(|run| !is_unfinished(run) && !is_reported(run)).count())
    }
}

fn unfinished(runs: &[std::sync::Arc<Value>]) -> Vec<String> {
    let name = |run: &Value| run.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    runs.iter().filter(|run| is_unfinished(run)).map(|run| name(run)).collect()
}

/// Whether there is work left of it. Of a run whose first status the Git provider refused PAC never says that it is queued, and nobody starts it.
fn is_unfinished(run: &Value) -> bool {
    let text = |path: &str| run.pointer(path).and_then(Value::as_str);
    let is_never_queued = text("/spec/status") == Some("PipelineRunPending")
        && text("/metadata/annotations/pipelinesascode.tekton.dev~1state") != Some("queued");
    !is_never_queued && !matches!(text("/status/conditions/0/status"), Some("True" | "False"))
}

fn is_reported(run: &Value) -> bool {
    let state = run.pointer("/metadata/annotations/pipelinesascode.tekton.dev~1state").and_then(Value::as_str);
    matches!(state, Some("completed" | "failed"))
}

pub(super) fn namespace(number: usize) -> String {
    format!("team-{number}")
}

fn name_of(number: usize) -> String {
    format!("repo-{number}")
}

/// A webhook event with these runs.
fn event(repository: usize, names: &[String]) -> PacEvent {
    let runs = names.iter().map(|name| PacRun::exactly(name));
    PacEvent::new(&namespace(repository), &name_of(repository), runs)
}
