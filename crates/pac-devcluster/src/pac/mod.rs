//! Plays Pipelines-as-Code, after its public source and recordings of its requests: its controller, which makes the runs of
//! a webhook event, and its watcher, which makes their Secrets, reports them and has a queue in memory.
//!
//! Of an event the `controller` creates all runs at once, with the labels and annotations that PAC writes at creation
//! (`event`): pending, but said to be started, and their Secret still to be made. Once the Git provider has answered it
//! says of each that it is queued; when it has for all, it gives each its execution-order, sorted by name. All of its requests
//! share 50 a second, so that the order comes late in a burst. The `watcher` has two workers and another 50 a second. It
//! sets its finalizer, makes the Secret and says so, reports a run that runs, starts runs from its `queue` as far as they have
//! the annotation execution-order, and in the end, when the Git provider has answered, writes the final state.
//!
//! What it writes passes the admission policies that are stored here, as everybody's does. Its watcher may be a Deployment with pods
//! (`deployment`), which others scale, restart and keep.

mod client;
mod controller;
mod deployment;
mod event;
mod queue;
mod watcher;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, JoinSet},
};

pub use self::event::{PacEvent, PacRun};
use self::{
    client::Client,
    deployment::{Deployed, operate},
    watcher::Watcher,
};
use crate::{store::Store, writer::Writer};

pub(crate) const STATE: &str = "pipelinesascode.tekton.dev/state";
pub(crate) const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
pub(crate) const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
pub(crate) const SECRET_CREATED: &str = "pipelinesascode.tekton.dev/secret-created";
pub(crate) const GIT_AUTH_SECRET: &str = "pipelinesascode.tekton.dev/git-auth-secret";
const START_REPORTED: &str = "pipelinesascode.tekton.dev/scm-reporting-plr-started";
const FINALIZER: &str = "pipelinesascode.tekton.dev/finalizer";

/// What PAC is like.
#[derive(Clone, Debug)]
pub struct PacPlayer {
    /// How many requests a second its controller makes, and its watcher as well; at least one.
    pub requests_per_second: u32,
    /// How many of them may be made at once after a rest; at least one.
    pub burst: u32,
    /// How long the Git provider takes to answer.
    pub provider_latency: Duration,
    /// Who makes the Secret with which a run clones its Git repository.
    pub secrets: Secrets,
    /// Whether its watcher is there from the start.
    pub watcher: bool,
    /// Whether its watcher is a Deployment, `pipelines-as-code-watcher` in PAC's namespace, and as it is scaled, restarted and
    /// kept by others; then `watcher` says nothing.
    pub deployed: bool,
    /// Whether an operator owns that Deployment, and writes back what others write into its spec.
    pub operator: bool,
    /// Whether its watcher's queue starts runs. Where an admission policy keeps the runs' order from it, it finds none to start.
    pub queue: bool,
    /// Namespace and name of the global Repository, whose limit others inherit.
    pub global_repository: (String, String),
}

/// Who makes the Secrets of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// PAC's watcher, after the run, as of late.
    #[default]
    ByWatcher,
    /// PAC's controller, before the run, as formerly.
    ByController,
    /// Nobody: PAC's setting `secret-auto-create` is false.
    Off,
}

/// What `POST /_dev/pac` takes: `{"push": {…}}`, `"watcher_starts"`, `"watcher_stops"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacCommand {
    /// [`Pac::push`]
    Push(PacEvent),
    /// [`Pac::start_watcher`]
    WatcherStarts,
    /// [`Pac::stop_watcher`]
    WatcherStops,
}

/// PAC at work; clones share it.
#[derive(Clone, Debug)]
pub struct Pac {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: PacPlayer,
    store: Store,
    writer: Writer,
    runtime: Handle,
    controller: Client,
    provider: Provider,
    watcher: Mutex<Option<Watcher>>,
    /// Who keeps the watcher's Deployment and its pods.
    kept: Mutex<JoinSet<()>>,
}

/// The Git provider.
#[derive(Debug)]
struct Provider {
    latency: Duration,
    refuses: AtomicBool,
}

// === impl PacPlayer ===

impl Default for PacPlayer {
    fn default() -> Self {
        Self {
            requests_per_second: 50,
            burst: 50,
            provider_latency: Duration::from_millis(30),
            secrets: Secrets::default(),
            watcher: true,
            deployed: false,
            operator: false,
            queue: false,
            global_repository: ("pipelines-as-code".to_owned(), "pipelines-as-code".to_owned()),
        }
    }
}

// === impl Pac ===

impl Pac {
    /// Must be called inside a Tokio runtime, on which everything is played.
    pub(crate) fn start(settings: PacPlayer, store: Store, writer: Writer) -> Self {
        let provider = Provider { latency: settings.provider_latency, refuses: AtomicBool::new(false) };
        let controller = Client::new(&settings, store.clone(), writer.clone());
        let (watcher, kept) = (Mutex::new(None), Mutex::default());
        let inner = Inner { settings, store, writer, runtime: Handle::current(), controller, provider, watcher, kept };
        let pac = Self { inner: Arc::new(inner) };
        let settings = &pac.inner.settings;
        if settings.deployed {
            let mut kept = pac.inner.kept.lock();
            kept.spawn(Deployed::new(&pac).play());
            if settings.operator {
                kept.spawn(operate(pac.clone()));
            }
        } else if settings.watcher {
            pac.start_watcher();
        }
        pac
    }

    /// A webhook event: the controller makes its runs. What is returned ends with their names, in order, when all is written
    /// that it writes of them; nobody need wait for it.
    pub fn push(&self, event: PacEvent) -> JoinHandle<Vec<String>> {
        let pac = Arc::clone(&self.inner);
        self.inner.runtime.spawn(async move { pac.make_runs(&event).await })
    }

    /// Somebody comments `/cancel` on a pull request: its runs that aren't done are cancelled, their `finally` tasks run.
    pub fn cancel(&self, namespace: &str, repository: &str, pull_request: u64) -> JoinHandle<()> {
        let (pac, namespace, repository) = (Arc::clone(&self.inner), namespace.to_owned(), repository.to_owned());
        self.inner.runtime.spawn(async move { pac.cancel_runs(&namespace, &repository, pull_request).await })
    }

    /// From now on the Git provider refuses, or no longer does. Runs whose first status it refuses are never queued.
    pub fn provider_refuses(&self, refuses: bool) {
        self.inner.provider.refuses.store(refuses, Ordering::Relaxed);
    }

    /// The watcher starts, with a queue that knows what it finds now and hears of from now on.
    pub fn start_watcher(&self) {
        let watcher = Watcher::start(&self.inner);
        *self.inner.watcher.lock() = Some(watcher);
    }

    /// The watcher stops where it stands, and its queue is forgotten.
    pub fn stop_watcher(&self) {
        drop(self.inner.watcher.lock().take());
    }

    /// Everything of it stops, for good.
    pub(crate) fn stop(&self) {
        self.inner.kept.lock().abort_all();
        self.stop_watcher();
    }

    /// Does what a command says, and ends when it is done, with the names of the runs that were made.
    pub async fn execute(&self, command: PacCommand) -> Vec<String> {
        match command {
            // It ends early only if its runtime does.
            PacCommand::Push(event) => return self.push(event).await.unwrap_or_default(),
            PacCommand::WatcherStarts => self.start_watcher(),
            PacCommand::WatcherStops => self.stop_watcher(),
        }
        Vec::new()
    }
}

// === impl Provider ===

impl Provider {
    /// Tells the Git provider something, and whether it took it.
    async fn tell(&self) -> bool {
        tokio::time::sleep(self.latency).await;
        !self.refuses.load(Ordering::Relaxed)
    }
}
