//! PAC's queue in memory, which knows only what it was told since it began.
//!
//! In what matters here: what it finds at its start, that a queued run comes into it by the annotation execution-order
//! alone, that it looks at nothing but its own memory when a run may start, and that a run that ends makes room for the next.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{EXECUTION_ORDER, REPOSITORY, STATE};
use crate::{object, store::Store};

/// Namespace and name.
type RepositoryKey = (String, String);

#[derive(Debug, Default)]
pub(super) struct Queue {
    repositories: BTreeMap<RepositoryKey, Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    running: Vec<String>,
    pending: Vec<String>,
}

// === impl Queue ===

impl Queue {
    /// What it finds at its start: runs that were started count, runs that are queued wait, if they have their order.
    pub(super) fn remember(store: &Store) -> Self {
        let mut queue = Self::default();
        for repository in store.list("repositories", None, "").unwrap_or_default() {
            let limit = repository.pointer("/spec/concurrency_limit").and_then(Value::as_u64);
            if limit.is_none_or(|limit| limit == 0) {
                continue;
            }
            let namespace = object::namespace(&repository);
            let memory =
                queue.repositories.entry((namespace.to_owned(), object::name(&repository).to_owned())).or_default();
            let started = |names: Vec<String>| memory.start(names);
            // It gives up at the first run without an order, here and for all Repositories to come.
            if in_state(store, namespace, "started").map(|runs| runs.into_iter().for_each(started)).is_none() {
                return queue;
            }
            let queued = |names: Vec<String>| memory.enqueue(names);
            if in_state(store, namespace, "queued").map(|runs| runs.into_iter().for_each(queued)).is_none() {
                return queue;
            }
        }
        queue
    }

    /// A queued run with its order was seen: it and the others of its event wait. Says whom to start.
    pub(super) fn hear_of(&mut self, store: &Store, run: &Value, limit: Option<u64>) -> Vec<String> {
        let Some(order) = object::annotation(run, EXECUTION_ORDER) else { return Vec::new() };
        let memory = self.memory_of(run);
        memory.enqueue(listed(store, order, "queued"));
        memory.take(limit)
    }

    /// A run has ended or is gone. Says whom to start.
    pub(super) fn forget(&mut self, run: &Value, limit: Option<u64>) -> Vec<String> {
        let key = format!("{}/{}", object::namespace(run), object::name(run));
        let memory = self.memory_of(run);
        memory.running.retain(|running| *running != key);
        memory.pending.retain(|pending| *pending != key);
        memory.take(limit)
    }

    fn memory_of(&mut self, run: &Value) -> &mut Memory {
        let repository = object::annotation(run, REPOSITORY).unwrap_or_default();
        self.repositories.entry((object::namespace(run).to_owned(), repository.to_owned())).or_default()
    }
}

// === impl Memory ===

impl Memory {
    fn start(&mut self, names: Vec<String>) {
        let new = names.into_iter().filter(|name| !self.running.contains(name));
        let new: Vec<String> = new.collect();
        self.running.extend(new);
    }

    fn enqueue(&mut self, names: Vec<String>) {
        for name in names {
            if !self.running.contains(&name) && !self.pending.contains(&name) {
                self.pending.push(name);
            }
        }
    }

    /// Whom there is room for; without a limit everybody.
    fn take(&mut self, limit: Option<u64>) -> Vec<String> {
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let room = limit.saturating_sub(self.running.len()).min(self.pending.len());
        let taken: Vec<String> = self.pending.drain(..room).collect();
        self.running.extend(taken.iter().cloned());
        taken
    }
}

/// The orders of all runs of a namespace whose label says so, oldest first, each as the runs of it in this state; `None` if
/// one has no order.
fn in_state(store: &Store, namespace: &str, state: &str) -> Option<Vec<Vec<String>>> {
    let mut runs = store.list("pipelineruns", Some(namespace), &format!("{STATE}={state}")).ok()?;
    runs.sort_by_key(|run: &Arc<Value>| object::meta_text(run, "creationTimestamp").to_owned());
    runs.iter().map(|run| Some(listed(store, object::annotation(run, EXECUTION_ORDER)?, state))).collect()
}

/// The names in an order whose runs are in this state.
fn listed(store: &Store, order: &str, state: &str) -> Vec<String> {
    let is_such = |key: &&str| {
        let run = key.split_once('/').and_then(|(namespace, name)| store.get("pipelineruns", namespace, name));
        run.is_some_and(|run| {
            let pending = object::text_at(&run, "/spec/status") == Some("PipelineRunPending");
            object::annotation(&run, STATE) == Some(state) && (pending || state == "started")
        })
    };
    order.split(',').filter(is_such).map(str::to_owned).collect()
}
