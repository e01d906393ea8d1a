//! Follows the log of PipelineRuns and writes what Tekton would.
//!
//! A step that is due later waits in a heap of timers; whether it's still right is decided when it's made, under the
//! store's lock.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::{
    TektonPlayer,
    step::{Course, Step},
};
use crate::{
    admission::{Operation, Request},
    faults::Control,
    object,
    resource::{self, ResourceType},
    store::{Key, Part, Store},
    writer::Writer,
};

const BATCH: usize = 1024;
const PIPELINE_LABEL: &str = "tekton.dev/pipeline";

/// A step and the moment it's due, soonest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    due: Instant,
    step: Step,
    uid: String,
    namespace: String,
    name: String,
}

pub(crate) struct Player {
    settings: TektonPlayer,
    store: Store,
    writer: Writer,
    runs: &'static ResourceType,
    cursor: u64,
    timers: BinaryHeap<Reverse<Timer>>,
    /// Steps in the heap, by uid, so that each is planned once.
    planned: BTreeSet<(String, Step)>,
}

// === impl Player ===

impl Player {
    pub(crate) fn new(settings: TektonPlayer, store: Store, writer: Writer, runs: &'static ResourceType) -> Self {
        Self { settings, store, writer, runs, cursor: 0, timers: BinaryHeap::new(), planned: BTreeSet::new() }
    }

    /// Plays until the server stops.
    pub(crate) async fn play(mut self, mut control: watch::Receiver<Control>) {
        let mut news = self.store.subscribe(self.runs);
        self.look_at_all();
        loop {
            // What happens while Tekton is away, it finds when it is back.
            if control.wait_for(|control| control.stopped || !control.tekton_away).await.is_err() {
                return;
            }
            news.borrow_and_update();
            self.look_at_changes();
            let due = self.timers.peek().map(|Reverse(timer)| timer.due);
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let is_due = tokio::select! {
                stopped = control.wait_for(|control| control.stopped || control.tekton_away) => {
                    if stopped.is_ok_and(|control| !control.stopped) { continue } else { return }
                }
                changed = news.changed() => if changed.is_err() { return } else { false },
                () = timer => true,
            };
            if is_due {
                self.take_due_steps().await;
            }
        }
    }

    fn look_at_changes(&mut self) {
        loop {
            match self.store.changes_after(self.runs, self.cursor, BATCH) {
                Ok((entries, read)) => {
                    self.cursor = read;
                    for entry in &entries {
                        self.look_at(&entry.now.object);
                    }
                    if entries.len() < BATCH {
                        return;
                    }
                }
                // Too far behind for the log: what counts is how the runs are now.
                Err(_) => self.look_at_all(),
            }
        }
    }

    fn look_at_all(&mut self) {
        let (revision, runs) = self.store.list_stored(self.runs, None);
        self.cursor = revision;
        for stored in runs {
            self.look_at(&stored.object);
        }
    }

    fn look_at(&mut self, run: &Value) {
        let Some((step, after)) = Course::new(run, &self.settings).next() else { return };
        let uid = object::meta_text(run, "uid").to_owned();
        if self.planned.insert((uid.clone(), step)) {
            let (namespace, name) = (object::namespace(run).to_owned(), object::name(run).to_owned());
            self.timers.push(Reverse(Timer { due: Instant::now() + after, step, uid, namespace, name }));
        }
    }

    async fn take_due_steps(&mut self) {
        let now = Instant::now();
        while let Some(Reverse(timer)) = self.timers.pop() {
            if timer.due > now {
                self.timers.push(Reverse(timer));
                return;
            }
            self.planned.remove(&(timer.uid.clone(), timer.step));
            self.take(&timer).await;
        }
    }

    /// Takes the step if the run still is the same and still is to take it; another wish is seen in the log again.
    async fn take(&self, timer: &Timer) {
        let key = Key::new(&timer.namespace, &timer.name);
        let Some(stored) = self.store.get_stored(self.runs, &timer.namespace, &timer.name) else { return };
        let secrets_are_there = self.has_secrets(&stored.object);
        let is_due = |current: &Value| {
            let next = Course::new(current, &self.settings).next();
            object::meta_text(current, "uid") == timer.uid && next.is_some_and(|(step, _)| step == timer.step)
        };
        let request = Request::new(&self.store, self.runs, Operation::Update, &timer.namespace);
        let label = |current: &Value| {
            let mut desired = current.clone();
            if !is_due(current) || object::label(current, PIPELINE_LABEL).is_some() {
                return Ok(desired);
            }
            let labels = object::meta_mut(&mut desired).entry("labels").or_insert_with(|| json!({}));
            labels[PIPELINE_LABEL] = json!(pipeline_of(current));
            Ok(desired)
        };
        // Tekton writes labels and status one after the other. A run that is gone needs neither.
        let request = Request { name: timer.name.clone(), ..request };
        let _ = self.writer.update(&request, &label).await;
        let mut change = |current: &Value| {
            let mut desired = current.clone();
            if is_due(current) {
                let course = Course::new(current, &self.settings);
                desired["status"] = timer.step.status(current, &course, secrets_are_there);
            }
            Ok(desired)
        };
        let _ = self.store.update_object(self.runs, &key, Part::Status, false, &mut change);
    }

    fn has_secrets(&self, run: &Value) -> bool {
        let Some(secrets) = resource::by_plural("secrets") else { return true };
        let has = |secret: &&str| self.store.get_stored(secrets, object::namespace(run), secret).is_some();
        Course::new(run, &self.settings).secrets().iter().all(has)
    }
}

/// What Tekton calls the pipeline of a run.
fn pipeline_of(run: &Value) -> String {
    let referred = object::text_at(run, "/spec/pipelineRef/name");
    let generated = object::meta_text(run, "generateName").trim_end_matches(|letter: char| !letter.is_alphanumeric());
    let own = if generated.is_empty() { object::name(run) } else { generated };
    referred.unwrap_or(own).chars().take(63).collect()
}
