//! PAC's watcher: makes Secrets, reports runs, and starts them from its own queue.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};

use super::{
    FINALIZER, GIT_AUTH_SECRET, Inner, REPOSITORY, SECRET_CREATED, START_REPORTED, STATE,
    client::Client,
    controller::{is_done, secret_of},
    queue::Queue,
};
use crate::{
    condition::condition,
    error::ApiError,
    object,
    resource::{self, ResourceType},
    store::Key,
};

const WORKERS: usize = 2;
const BATCH: usize = 1024;
/// How long it waits before it looks again at a run that it couldn't write.
const AGAIN: Duration = Duration::from_millis(100);

/// It stops when dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    _tasks: JoinSet<()>,
}

/// What it is at work with.
struct Work {
    pac: Arc<Inner>,
    client: Client,
    queue: Option<Mutex<Queue>>,
    todo: Mutex<Todo>,
    news: Notify,
}

/// Runs to look at; none twice, and none by two workers at once.
#[derive(Default)]
struct Todo {
    waiting: VecDeque<Key>,
    at_work: BTreeSet<Key>,
    /// Seen to change while a worker looked at them.
    again: BTreeSet<Key>,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn start(pac: &Arc<Inner>) -> Self {
        let client = Client::new(&pac.settings, pac.store.clone(), pac.writer.clone());
        let queue = pac.settings.queue.then(|| Mutex::new(Queue::remember(&pac.store)));
        let pac = Arc::clone(pac);
        let runtime = pac.runtime.clone();
        let work = Arc::new(Work { pac, client, queue, todo: Mutex::default(), news: Notify::new() });
        let mut tasks = JoinSet::new();
        tasks.spawn_on(Arc::clone(&work).follow(), &runtime);
        for _ in 0..WORKERS {
            tasks.spawn_on(Arc::clone(&work).look(), &runtime);
        }
        Self { _tasks: tasks }
    }
}

// === impl Work ===

impl Work {
    /// Follows the log of PipelineRuns as a watch does.
    async fn follow(self: Arc<Self>) {
        let Some(runs) = resource::by_plural("pipelineruns") else { return };
        let mut news = self.pac.store.subscribe(runs);
        let mut cursor = self.note_all(runs);
        loop {
            news.borrow_and_update();
            loop {
                let Ok((entries, read)) = self.pac.store.changes_after(runs, cursor, BATCH) else {
                    // Too far behind for the log: what counts is how the runs are now.
                    cursor = self.note_all(runs);
                    continue;
                };
                cursor = read;
                entries.iter().for_each(|entry| self.note(&entry.now.key, &entry.now.object));
                if entries.len() < BATCH {
                    break;
                }
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    fn note_all(&self, runs: &ResourceType) -> u64 {
        let (revision, all) = self.pac.store.list_stored(runs, None);
        all.iter().for_each(|stored| self.note(&stored.key, &stored.object));
        revision
    }

    /// PAC's watcher looks at runs that have a state alone.
    fn note(&self, key: &Key, run: &Value) {
        if object::annotation(run, STATE).is_some() {
            self.todo.lock().add(key.clone());
            self.news.notify_one();
        }
    }

    async fn look(self: Arc<Self>) {
        loop {
            let next = self.todo.lock().take();
            let Some(key) = next else {
                self.news.notified().await;
                continue;
            };
            let reconciled = self.reconcile(&key).await;
            self.todo.lock().done(&key);
            if reconciled.is_err() {
                // It changed meanwhile, or is gone.
                self.pac.runtime.spawn(Arc::clone(&self).look_again(key));
            }
        }
    }

    async fn look_again(self: Arc<Self>, key: Key) {
        tokio::time::sleep(AGAIN).await;
        self.todo.lock().add(key);
        self.news.notify_one();
    }

    async fn reconcile(&self, key: &Key) -> Result<(), ApiError> {
        let Some(run) = self.client.get("pipelineruns", &key.namespace, &key.name).await else { return Ok(()) };
        let state = object::annotation(&run, STATE).unwrap_or_default();
        if object::meta(&run, "deletionTimestamp").is_some() {
            return self.let_go(key, &run, state).await;
        }
        if matches!(state, "completed" | "failed") {
            return Ok(());
        }
        if !object::has_finalizers(&run) {
            let version = object::meta_text(&run, "resourceVersion");
            let metadata = json!({ "finalizers": [FINALIZER], "resourceVersion": version });
            // The change is seen, and what is next is done then.
            return self.client.patch(&key.namespace, &key.name, &json!({ "metadata": metadata })).await.map(drop);
        }
        if object::annotation(&run, SECRET_CREATED) == Some("false") {
            self.make_secret(key, &run).await?;
        }
        let wish = object::text_at(&run, "/spec/status").unwrap_or_default();
        let reason = condition(&run).and_then(|condition| object::text_at(condition, "/reason"));
        if is_done(&run) || wish == "Cancelled" {
            return self.report_end(key, &run).await;
        }
        if reason == Some("Running") && object::annotation(&run, START_REPORTED) != Some("true") {
            return self.report_start(key, false).await;
        }
        if state == "queued"
            && wish == "PipelineRunPending"
            && let Some(queue) = &self.queue
        {
            let limit = self.limit_of(&run);
            let next = queue.lock().hear_of(&self.pac.store, &run, limit);
            self.start(next).await;
        }
        Ok(())
    }

    async fn make_secret(&self, key: &Key, run: &Value) -> Result<(), ApiError> {
        if object::annotation(run, GIT_AUTH_SECRET).is_some() {
            match self.client.create("secrets", &key.namespace, secret_of(run)).await {
                Err(error) if error.code != 409 => return Err(error),
                _ => {}
            }
        }
        let patch = json!({ "metadata": { "annotations": { SECRET_CREATED: "true" } } });
        self.client.patch(&key.namespace, &key.name, &patch).await.map(drop)
    }

    /// Of a run that somebody else started it only says that it did.
    async fn report_start(&self, key: &Key, and_start: bool) -> Result<(), ApiError> {
        let annotations = json!({ STATE: "started", START_REPORTED: "true" });
        let mut patch = json!({ "metadata": { "labels": { STATE: "started" }, "annotations": annotations } });
        if and_start {
            patch["spec"] = json!({ "status": "" });
        }
        self.client.patch(&key.namespace, &key.name, &patch).await?;
        self.pac.provider.tell().await;
        Ok(())
    }

    async fn report_end(&self, key: &Key, run: &Value) -> Result<(), ApiError> {
        let state = if self.pac.provider.tell().await { "completed" } else { "failed" };
        let patch = json!({ "metadata": { "labels": { STATE: state }, "annotations": { STATE: state } } });
        self.client.patch(&key.namespace, &key.name, &patch).await?;
        self.make_room(run).await;
        Ok(())
    }

    /// A run that is deleted is reported as cancelled; until then the finalizer keeps it.
    async fn let_go(&self, key: &Key, run: &Value, state: &str) -> Result<(), ApiError> {
        if matches!(state, "queued" | "started") {
            self.pac.provider.tell().await;
            self.make_room(run).await;
        }
        let finalizers = object::meta(run, "finalizers").and_then(Value::as_array).into_iter().flatten();
        let others: Vec<&Value> = finalizers.filter(|finalizer| *finalizer != FINALIZER).collect();
        let patch = json!({ "metadata": { "finalizers": others } });
        self.client.patch(&key.namespace, &key.name, &patch).await.map(drop)
    }

    async fn make_room(&self, run: &Value) {
        if let Some(queue) = &self.queue {
            let limit = self.limit_of(run);
            let next = queue.lock().forget(run, limit);
            self.start(next).await;
        }
    }

    /// It looks at nothing, and tests nothing.
    async fn start(&self, runs: Vec<String>) {
        for run in runs {
            if let Some((namespace, name)) = run.split_once('/') {
                // One that is gone keeps its place in the queue's memory until somebody takes it out.
                let _ = self.report_start(&Key::new(namespace, name), true).await;
            }
        }
    }

    fn limit_of(&self, run: &Value) -> Option<u64> {
        let repository = object::annotation(run, REPOSITORY)?;
        let repository = self.pac.store.get("repositories", object::namespace(run), repository)?;
        repository.pointer("/spec/concurrency_limit").and_then(Value::as_u64).filter(|limit| *limit > 0)
    }
}

// === impl Todo ===

impl Todo {
    fn add(&mut self, key: Key) {
        if self.at_work.contains(&key) {
            self.again.insert(key);
        } else if !self.waiting.contains(&key) {
            self.waiting.push_back(key);
        }
    }

    fn take(&mut self) -> Option<Key> {
        let key = self.waiting.pop_front()?;
        self.at_work.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &Key) {
        self.at_work.remove(key);
        if self.again.remove(key) {
            self.waiting.push_back(key.clone());
        }
    }
}
