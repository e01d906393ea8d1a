//! What users do: push, cancel, delete, change limits.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Storm, Undo};
use crate::support::World;

/// Runs of one Repository that are not done, beyond which nobody pushes.
const BACKLOG: usize = 30;

/// Who has pushed what.
pub(super) struct Users {
    repositories: Vec<Pushes>,
}

struct Pushes {
    runs: usize,
    last: Instant,
}

// === impl Users ===

impl Users {
    pub(super) fn new(repositories: usize) -> Self {
        let pushes = || Pushes { runs: 0, last: Instant::now() };
        Self { repositories: (0..repositories).map(|_| pushes()).collect() }
    }

    /// The Repository is made, and its first push.
    pub(super) fn arrive(&mut self, world: &World, number: usize) {
        world.repository(number, 2);
        self.push(world, number, 4);
    }

    pub(super) fn create_repository(&mut self, world: &World, number: usize, random: &mut StdRng) {
        world.repository(number, random.random_range(1..4));
    }

    fn push(&mut self, world: &World, number: usize, runs: usize) {
        let pushes = &mut self.repositories[number];
        world.more_work(number, pushes.runs..pushes.runs + runs);
        pushes.runs += runs;
        pushes.last = Instant::now();
    }
}

// === impl Storm ===

impl Storm {
    /// Does something and says what; nothing if it makes no sense just now.
    pub(super) fn users_do_something(&mut self) -> Option<&'static str> {
        let number = self.random.random_range(0..self.users.repositories.len());
        match self.random.random_range(0..10) {
            0..=4 => self.push(number),
            5 => self.change_limit(number),
            6 => self.delete_repository(number),
            7 => self.cancel_run(number),
            8 => self.delete_run(number, false),
            _ => self.delete_run(number, true),
        }
    }

    /// A push, in another second than the last: so that whoever comes later is later by the order, too.
    fn push(&mut self, number: usize) -> Option<&'static str> {
        let calm = self.users.repositories[number].last.elapsed() > Duration::from_millis(2_100);
        if !calm || self.world.unfinished_of(number) > BACKLOG {
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
        let wish = json!({"spec": {"status": "Cancelled"}});
        // It may just have ended or gone.
        let cancelled = self.world.cluster.store().patch("pipelineruns", &format!("team-{number}"), &name, &wish);
        cancelled.is_ok().then_some("runs cancelled")
    }

    /// Runs that wait are made again under their name, if asked; as events of their own.
    fn delete_run(&mut self, number: usize, and_again: bool) -> Option<&'static str> {
        let calm = self.users.repositories[number].last.elapsed() > Duration::from_millis(2_100);
        let name = self.some_run(number).filter(|_| calm || !and_again)?;
        self.world.cluster.store().delete("pipelineruns", &format!("team-{number}"), &name).ok()?;
        if !and_again {
            return Some("runs deleted");
        }
        self.world.queue_run(number, &name);
        self.users.repositories[number].last = Instant::now();
        Some("runs recreated")
    }

    fn some_run(&mut self, number: usize) -> Option<String> {
        let names = self.world.unfinished_names(number);
        (!names.is_empty()).then(|| names[self.random.random_range(0..names.len())].clone())
    }
}
