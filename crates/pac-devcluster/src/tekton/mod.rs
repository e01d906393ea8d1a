//! Plays Tekton: a run that may run gets a status, and ends after a while.
//!
//! It follows the log of PipelineRuns as a watch does and writes through the store, so that its versions are in the
//! history like anybody's. A step that is due later waits in a heap of timers; whether it's still right is decided
//! when it's made, under the store's lock.

mod status;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    fmt,
    sync::Arc,
    time::Duration,
};

use rand::Rng;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use crate::{
    faults::Control,
    object,
    resource::ResourceType,
    store::{Key, Part, Store},
};

const BATCH: usize = 1024;
const DURATION: &str = "devcluster/duration";
const OUTCOME: &str = "devcluster/outcome";

/// How runs go, unless a run's own annotations say otherwise: `devcluster/duration: 250ms`, `devcluster/outcome: fail`.
#[derive(Clone, Debug)]
pub struct TektonPlayer {
    /// From the moment a run may run to its status Running.
    pub start_delay: Duration,
    /// From Running to the end.
    pub duration: RunDuration,
    /// How runs end.
    pub outcome: Outcome,
}

/// How long runs take.
#[derive(Clone)]
pub enum RunDuration {
    /// All the same.
    Fixed(Duration),
    /// At random between two.
    Between(Duration, Duration),
    /// As a function of the run says.
    By(Arc<dyn Fn(&Value) -> Duration + Send + Sync>),
}

/// How runs end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// With the condition Succeeded True.
    #[default]
    Succeed,
    /// With the condition Succeeded False.
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Start,
    Finish,
}

/// What a run needs next.
enum Need {
    Nothing,
    Cancel,
    Step(Step, Duration),
}

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
    runs: &'static ResourceType,
    cursor: u64,
    timers: BinaryHeap<Reverse<Timer>>,
    /// Steps in the heap, by uid, so that each is planned once.
    planned: BTreeSet<(String, Step)>,
}

// === impl TektonPlayer ===

impl Default for TektonPlayer {
    fn default() -> Self {
        Self {
            start_delay: Duration::from_millis(5),
            duration: Duration::from_millis(200).into(),
            outcome: Outcome::Succeed,
        }
    }
}

// === impl RunDuration ===

impl RunDuration {
    fn of(&self, run: &Value) -> Duration {
        match self {
            Self::Fixed(duration) => *duration,
            Self::Between(least, most) if least < most => rand::rng().random_range(*least..=*most),
            Self::Between(least, _) => *least,
            Self::By(function) => function(run),
        }
    }
}

impl From<Duration> for RunDuration {
    fn from(duration: Duration) -> Self {
        Self::Fixed(duration)
    }
}

impl fmt::Debug for RunDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(duration) => duration.fmt(formatter),
            Self::Between(least, most) => write!(formatter, "{least:?}..={most:?}"),
            Self::By(_) => formatter.write_str("by run"),
        }
    }
}

// === impl Player ===

impl Player {
    pub(crate) fn new(settings: TektonPlayer, store: Store, runs: &'static ResourceType) -> Self {
        Self { settings, store, runs, cursor: 0, timers: BinaryHeap::new(), planned: BTreeSet::new() }
    }

    /// Plays until the server stops.
    pub(crate) async fn play(mut self, mut control: watch::Receiver<Control>) {
        let mut news = self.store.subscribe(self.runs);
        self.look_at_all();
        loop {
            news.borrow_and_update();
            self.look_at_changes();
            let due = self.timers.peek().map(|Reverse(timer)| timer.due);
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = control.wait_for(|control| control.stopped) => return,
                changed = news.changed() => if changed.is_err() { return },
                () = timer => self.take_due_steps(),
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
        match self.need(run) {
            Need::Nothing => {}
            Need::Cancel => self.write(run, &status::cancelled),
            Need::Step(step, delay) => {
                let uid = object::meta_text(run, "uid").to_owned();
                if self.planned.insert((uid.clone(), step)) {
                    let (namespace, name) = (object::namespace(run).to_owned(), object::name(run).to_owned());
                    let due = Instant::now() + delay;
                    self.timers.push(Reverse(Timer { due, step, uid, namespace, name }));
                }
            }
        }
    }

    fn need(&self, run: &Value) -> Need {
        if status::is_over(run) {
            return Need::Nothing;
        }
        match object::text_at(run, "/spec/status") {
            Some("PipelineRunPending") => Need::Nothing,
            Some("Cancelled" | "CancelledRunFinally" | "StoppedRunFinally") => Need::Cancel,
            _ if run.pointer("/status/startTime").is_some() => Need::Step(Step::Finish, self.duration_of(run)),
            _ => Need::Step(Step::Start, self.settings.start_delay),
        }
    }

    fn duration_of(&self, run: &Value) -> Duration {
        let own = object::annotation(run, DURATION).and_then(parse_duration);
        own.unwrap_or_else(|| self.settings.duration.of(run))
    }

    fn take_due_steps(&mut self) {
        let now = Instant::now();
        while let Some(Reverse(timer)) = self.timers.pop() {
            if timer.due > now {
                self.timers.push(Reverse(timer));
                return;
            }
            let Timer { step, uid, namespace, name, .. } = timer;
            self.planned.remove(&(uid.clone(), step));
            let Some(stored) = self.store.get_stored(self.runs, &namespace, &name) else { continue };
            if object::meta_text(&stored.object, "uid") != uid {
                continue;
            }
            match step {
                Step::Start => self.write(&stored.object, &status::started),
                Step::Finish => {
                    let fails = match object::annotation(&stored.object, OUTCOME) {
                        Some(outcome) => outcome == "fail",
                        None => self.settings.outcome == Outcome::Fail,
                    };
                    self.write(&stored.object, &|run| status::finished(run, fails));
                }
            }
        }
    }

    /// Changes the status if the run still is the same and still wants it; another wish is seen in the log again.
    fn write(&self, run: &Value, wanted: &dyn Fn(&Value) -> Option<Value>) {
        let key = Key::new(object::namespace(run), object::name(run));
        let uid = object::meta_text(run, "uid");
        let mut change = |current: &Value| {
            let mut desired = current.clone();
            if object::meta_text(current, "uid") == uid
                && let Some(status) = wanted(current)
            {
                desired["status"] = status;
            }
            Ok(desired)
        };
        // A run that is gone needs no status.
        let _ = self.store.update_object(self.runs, &key, Part::Status, false, &mut change);
    }
}

/// Reads a duration as the command line and the annotations write it: `250ms`, `2s`, `1m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}
