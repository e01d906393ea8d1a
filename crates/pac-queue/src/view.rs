//! The answers, as they are sent as JSON and read by `pac-watcher queue` and the page.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::history::Record;

/// Every repository, or one, in full: `/debug/queue`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Queues {
    /// Who says so.
    pub watcher: WatcherView,
    /// Sorted by name.
    pub repositories: Vec<RepositoryQueue>,
}

/// Every repository in numbers: `/debug/queue/summary`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Overview {
    /// Who says so.
    pub watcher: WatcherView,
    /// Sorted by name.
    pub repositories: Vec<Summary>,
}

/// The watcher that was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WatcherView {
    /// When it answered.
    pub at: Timestamp,
    /// Its identity: the pod's name.
    pub identity: String,
    /// Whether it is the one that admits.
    pub leading: bool,
    /// `on`, `off`, `starting`, or `shadow`: it only watches.
    pub system: String,
    /// Whether nobody is admitted anywhere for the time being, by the settings.
    #[serde(default)]
    pub paused: bool,
    /// Whether PAC's own queue starts whoever gets a slot, by the settings.
    #[serde(default)]
    pub draining: bool,
    /// How many runs wait although the system is off; none if it isn't, or this watcher isn't the one that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_while_off: Option<usize>,
    /// The name of the driver in use.
    pub driver: Option<String>,
    /// What is wrong now, a line each.
    pub trouble: Vec<String>,
}

/// A repository in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// `namespace/name`.
    pub repository: String,
    /// What its limit comes to.
    pub limit: LimitView,
    /// The pause it is in.
    pub paused: Option<PauseView>,
    /// Runs that run.
    pub running: usize,
    /// Runs that are pending.
    pub waiting: usize,
    /// How long the one that was created first of those that are pending has been there, in seconds.
    pub oldest_waiting_seconds: Option<i64>,
}

/// A repository's limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// A number, `unlimited`, or `held`: nobody is admitted, since it can't be told.
    pub text: String,
    /// Why it can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseView {
    /// In the operator's words.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<String>,
}

/// A repository in full.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RepositoryQueue {
    /// `namespace/name`.
    pub repository: String,
    /// What its limit comes to.
    pub limit: LimitView,
    /// The pause it is in.
    pub paused: Option<PauseView>,
    /// Why the store could not be asked; then slots, holders and places are what the cluster alone tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_trouble: Option<String>,
    /// Who has a slot or runs.
    pub running: Vec<SlotView>,
    /// Who waits, in order.
    pub waiting: Vec<WaitingView>,
    /// How many recent times the estimates go by.
    pub times_known: usize,
    /// What happened lately, the latest last.
    pub history: Vec<Record>,
}

/// A run that has a slot, or runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SlotView {
    /// `namespace/name`.
    pub run: String,
    /// Its uid.
    pub uid: String,
    /// `running`, `starting`, or `ending`: done or withdrawn, and about to be released.
    pub state: String,
    /// Since when it has had its slot, or has run.
    pub since: Option<Timestamp>,
    /// The watcher that holds the slot, with its term; none if it runs without one.
    pub holder: Option<String>,
    /// Whether that watcher's lease ran out. The slot counts all the same.
    pub lapsed: bool,
}

/// What a run may wait for besides a slot, by itself: without a name, and without a word of anybody else's.
pub const NOT_QUEUED: &str = "Pipelines-as-Code has not queued it yet";
/// Likewise.
pub const PLACE_TO_COME: &str = "its place among the runs of its event is still to come";
/// Likewise.
pub const NOT_SHOWN: &str = "the cluster doesn't show it; it is about to be looked for";

/// A run that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitingView {
    /// From 1 on.
    pub position: usize,
    /// `namespace/name`.
    pub run: String,
    /// Its uid.
    pub uid: String,
    /// When it was created.
    pub since: Option<Timestamp>,
    /// What it waits for, if not just for a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it will start.
    pub estimate: Option<EstimateView>,
}

/// When a run will start, in seconds from when the watcher answered: nine in ten do so within the two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EstimateView {
    /// Hardly earlier.
    pub earliest_seconds: f64,
    /// Hardly later.
    pub latest_seconds: f64,
}

/// Why a run is where it is: `/debug/queue/explain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// Who says so.
    pub watcher: WatcherView,
    /// `namespace/name`.
    pub run: String,
    /// Its repository, if it is known.
    pub repository: Option<String>,
    /// The answer in a word.
    pub answer: Answer,
    /// The answer in a sentence or two.
    pub because: String,
    /// Its place, if it waits.
    pub position: Option<usize>,
    /// Those before it.
    pub ahead: Vec<String>,
    /// Those that have a slot.
    pub holders: Vec<SlotView>,
    /// When it will start.
    pub estimate: Option<EstimateView>,
    /// How many recent times estimates go by in its repository.
    #[serde(default)]
    pub times_known: usize,
    /// What happened to it lately.
    pub history: Vec<Record>,
}

/// Every answer there is to why a run is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// There is no such run.
    Unknown,
    /// It is none of Pipelines-as-Code's.
    Foreign,
    /// It is done.
    Done,
    /// It runs.
    Running,
    /// It runs, and counts no more by an operator's word.
    Released,
    /// It has a slot and is being started.
    Starting,
    /// It was cancelled or is being deleted.
    Withdrawn,
    /// The system is switched off.
    SwitchedOff,
    /// The watcher is not at work yet.
    NotReady,
    /// There is no Repository of that name.
    RepositoryMissing,
    /// Its Repository's limit can't be read or makes no sense.
    LimitUnreadable,
    /// An operator paused its Repository.
    Paused,
    /// PAC's own queue isn't known to be kept out.
    Gate,
    /// PAC's own queue still has runs of its Repository to start.
    PacsQueue,
    /// The store can't be reached.
    StoreUnreachable,
    /// The API server can't be reached.
    ApiServerUnreachable,
    /// The API server, or a webhook of its, refused to start it.
    Refused,
    /// Pipelines-as-Code has not queued it yet.
    Arriving,
    /// Its place among the runs of its event is still to come.
    PlaceToCome,
    /// It is next, or will be, for a slot.
    Waiting,
}

// === impl Explanation ===

impl Explanation {
    /// Takes in what `queue` says of the run with this uid, and of those before it.
    pub fn fill_in(&mut self, queue: &RepositoryQueue, uid: &str) {
        self.holders = queue.running.clone();
        self.times_known = queue.times_known;
        self.history = queue.history.iter().filter(|record| record.uid.as_deref() == Some(uid)).cloned().collect();
        let Some(at) = queue.waiting.iter().position(|run| run.uid == uid) else { return };
        self.position = Some(at + 1);
        self.ahead = queue.waiting.iter().take(at).map(|run| run.run.clone()).collect();
        self.estimate = queue.waiting.get(at).and_then(|run| run.estimate);
    }
}
