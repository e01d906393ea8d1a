//! What users do: push, cancel, delete, change limits.

use std::time::{Duration, Instant};

use pac_devcluster::PacEvent;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Storm, Undo};
use crate::support::{World, event};

/// Runs of one Repository that are not done, beyond which nobody pushes.
const BACKLOG: usize = 30;
/// What may be wished of a run, in its `spec.status`.
const WISHES: [&str; 3] = ["Cancelled", "CancelledRunFinally", "StoppedRunFinally"];

/// Who has pushed what.
pub(super) struct Users {
    repositories: Vec<Pushes>,
}

struct Pushes {
    runs: usize,
    pull_requests: u64,
    last: Instant,
    /// What PAC's controller is still at work on.
    at_work: Vec<JoinHandle<Vec<String>>>,
}

// === impl Users ===

impl Users {
    pub(super) fn new(repositories: usize) -> Self {
        let pushes = || Pushes { runs: 0, pull_requests: 0, last: Instant::now(), at_work: Vec::new() };
        Self { repositories: (0..repositories).map(|_| pushes()).collect() }
    }

    /// The Repository is made, and its first push.
    pub(super) fn arrive(&mut self, world: &World, number: usize) {
        world.repository(number, 2);
        self.push(world, number, 3 + number % 2);
    }

    pub(super) fn create_repository(&mut self, world: &World, number: usize, random: &mut StdRng) {
        world.repository(number, random.random_range(1..4));
    }

    /// Whether PAC's controller has made all that was pushed.
    pub(super) fn are_served(&mut self) -> bool {
        self.repositories.iter_mut().for_each(|pushes| pushes.at_work.retain(|push| !push.is_finished()));
        self.repositories.iter().all(|pushes| pushes.at_work.is_empty())
    }

    /// Every other push is one to a pull request, whose runs have a task that is run whatever becomes of the others.
    fn push(&mut self, world: &World, number: usize, runs: usize) {
        let pushes = &mut self.repositories[number];
        let names: Vec<String> = (pushes.runs..pushes.runs + runs).map(|run| format!("run-{run}")).collect();
        let mut event = event(number, &names);
        if pushes.runs % 2 == 1 {
            pushes.pull_requests += 1;
            event = event.of_pull_request(pushes.pull_requests);
            let spec = json!({"tasks": [{"name": "build"}], "finally": [{"name": "report"}]});
            event.runs.iter_mut().for_each(|run| _ = run.spec.insert("pipelineSpec".to_owned(), spec.clone()));
        }
        self.serve(world, number, event);
        self.repositories[number].runs += runs;
    }

    /// A run that was deleted is made again under its name, as an event of its own; not while it is still there.
    pub(super) fn make_again(&mut self, world: &World, number: usize, run: usize) -> bool {
        let name = format!("run-{run}");
        let is_gone = world.cluster.store().get("pipelineruns", &format!("team-{number}"), &name).is_none();
        if is_gone {
            self.serve(world, number, event(number, &[name]));
        }
        is_gone
    }

    fn serve(&mut self, world: &World, number: usize, event: PacEvent) {
        let pushes = &mut self.repositories[number];
        pushes.at_work.push(world.cluster.pac().unwrap().push(event));
        pushes.last = Instant::now();
    }

    /// Whether nothing was pushed within this second and the one before, so that whoever comes now is later by the order, too.
    fn are_calm(&self, number: usize) -> bool {
        self.repositories[number].last.elapsed() > Duration::from_millis(2_100)
    }
}

// === impl Storm ===

impl Storm {
    /// Does something and says what; nothing if it makes no sense just now.
    pub(super) fn users_do_something(&mut self) -> Option<&'static str> {
        let number = self.random.random_range(0..self.users.repositories.len());
        match self.random.random_range(0..12) {
            0..=4 => self.push(number),
            5 => self.change_limit(number),
            6 => self.delete_repository(number),
            7..=8 => self.cancel_run(number),
            9 => self.cancel_pull_request(number),
            10 => self.delete_run(number, false),
            _ => self.delete_run(number, true),
        }
    }

    fn push(&mut self, number: usize) -> Option<&'static str> {
        if !self.users.are_calm(number) || self.world.unfinished_of(number) > BACKLOG {
            return None;
        }
        let runs = self.random.random_range(1..9);
        self.users.push(&self.world, number, runs);
        Some("pushes")
    }

    fn change_limit(&mut self, number: usize) -> Option<&'static str> {
        if self.is_to_be_undone(Undo::Repository(number)) {
            return None;
        }
        let limit = match self.random.random_range(0..5) {
            0 => Value::Null,
            limit => json!(limit),
        };
        let spec = json!({"spec": {"concurrency_limit": limit}});
        let (namespace, name) = (format!("team-{number}"), format!("repo-{number}"));
        self.world.cluster.store().patch("repositories", &namespace, &name, &spec).unwrap();
        Some("limits changed")
    }

    fn delete_repository(&mut self, number: usize) -> Option<&'static str> {
        if self.is_to_be_undone(Undo::Repository(number)) {
            return None;
        }
        let (namespace, name) = (format!("team-{number}"), format!("repo-{number}"));
        self.world.cluster.store().delete("repositories", &namespace, &name).unwrap();
        self.undo_after(Undo::Repository(number), 100, 6_000);
        Some("Repositories deleted")
    }

    fn cancel_run(&mut self, number: usize) -> Option<&'static str> {
        let name = self.some_run(number)?;
        let wish = WISHES[self.random.random_range(0..WISHES.len())];
        let wish = json!({"spec": {"status": wish}});
        // It may just have ended or gone.
        let cancelled = self.world.cluster.store().patch("pipelineruns", &format!("team-{number}"), &name, &wish);
        cancelled.is_ok().then_some("runs cancelled or stopped")
    }

    fn cancel_pull_request(&mut self, number: usize) -> Option<&'static str> {
        let pull_request = self.users.repositories[number].pull_requests;
        let pac = self.world.cluster.pac()?;
        pac.cancel(&format!("team-{number}"), &format!("repo-{number}"), pull_request);
        (pull_request > 0).then_some("pull requests cancelled")
    }

    /// Runs that wait are made again under their name, if asked, once they are gone.
    fn delete_run(&mut self, number: usize, and_again: bool) -> Option<&'static str> {
        let name = self.some_run(number).filter(|_| self.users.are_calm(number) || !and_again)?;
        self.world.cluster.store().delete("pipelineruns", &format!("team-{number}"), &name).ok()?;
        if !and_again {
            return Some("runs deleted");
        }
        let run = name.strip_prefix("run-")?.parse().ok()?;
        self.undo_after(Undo::Run(number, run), 100, 3_000);
        Some("runs recreated")
    }

    fn some_run(&mut self, number: usize) -> Option<String> {
        let names = self.world.unfinished_names(number);
        (!names.is_empty()).then(|| names[self.random.random_range(0..names.len())].clone())
    }
}
