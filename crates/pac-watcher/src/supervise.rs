//! From settings to an engine that runs, and from one store to the next.
//!
//! A store that can't be reached is tried for ever (P8). While the system is switched off nothing is watched and nothing
//! changed; [`backlog`] asks now and then who waits. When a change of settings needs another connection or another store, it is made ready first, while the old one
//! works on; then the old engine finishes what it has in hand, what the old store holds is copied if it is another store,
//! and only then does the new engine begin: in between nobody is admitted.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use pac_concurrency::{ConnectedStore, Manager, ManagerOptions, RelocateError, relocate};
use pac_config::{Settings, SettingsImpact};
use pac_kube::backoff;
use pac_kube::error::with_causes;
use pac_state::active_store::ActiveStore;
use pac_state::gate::Gate;
use pac_state::health::{Health, NotInForce, Part};
use pac_state::index::Index;
use pac_state::work_queue::WorkQueue;
use pac_traces::Traces;
use pac_view::queue::HistoryRecorder;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::abort_on_panic::abort_on_panic;
use crate::backlog;
use crate::connect::Connect;
use crate::engine::{Engine, EngineOptions};
use crate::former_store::FormerStore;
use crate::in_force::InForce;
use crate::watch::{BesidePac, START_LISTS, Sink, all_true, watch_repositories, watch_runs};

/// How long a watcher that is stopped has to finish what is in flight: less than the grace of 30 s that a pod has, and so
/// little that a rolling update doesn't wait for a store that is away.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// What a watcher that begins waits for then.
const START_STORE: &str = "waiting for the store: a connection, a lease, and what an earlier version left there";

/// See the [module](self).
pub(crate) struct Supervisor {
    /// How to reach the cluster.
    pub client: Client,
    /// How to reach a store.
    pub connect: Arc<dyn Connect>,
    /// What is known of the cluster, shared with the ports.
    pub index: Arc<Index>,
    /// What is at work, shared with the ports.
    pub active_store: Arc<ActiveStore>,
    /// What is wrong, shared with the ports.
    pub health: Arc<Health>,
    /// What happened, shared with the ports.
    pub history: Arc<HistoryRecorder>,
    /// Spans of runs' waits.
    pub traces: Traces,
    /// This watcher's identity.
    pub identity: String,
    /// How the engine is tuned.
    pub engine: EngineOptions,
    /// Whether this watcher leads.
    pub leading: watch::Receiver<bool>,
    /// The settings to work by.
    pub in_force: Arc<InForce>,
    /// The server of the other driver, if the settings name one: what is left there is taken over before anybody is admitted.
    pub former: FormerStore,
    /// What keeps PAC's own queue out; none where PAC's watcher must not run.
    pub gate: Option<Arc<Gate>>,
}

/// Why an engine was stopped.
enum Next {
    Stop,
    /// The same, with something under way of which a store that ends with the process knows alone.
    StopInHand,
    SwitchOff,
    /// With the store of these settings, already connected.
    Go(ConnectedStore, Arc<Settings>),
}

// === impl Supervisor ===

impl Supervisor {
    /// Works by the settings in force as they change, until `stop`. Whether whoever leads next finds all there is to know: not if
    /// something is still under way of which this process alone knows.
    pub(crate) async fn run(self, stop: CancellationToken) -> bool {
        let mut settings = self.in_force.follow();
        while !stop.is_cancelled() {
            let current = Arc::clone(&settings.borrow_and_update());
            if current.enabled {
                if !self.work(current, &mut settings, &stop).await {
                    return false;
                }
                continue;
            }
            info!(
                "the concurrency system is switched off (concurrency-enabled is false): nothing is watched or changed"
            );
            // Nobody asks any of these any more.
            for part in [Part::Start, Part::Store, Part::ApiServer, Part::RunWatch, Part::RepositoryWatch] {
                self.health.fine(part);
            }
            self.active_store.switched_off();
            tokio::select! {
                () = stop.cancelled() => {}
                changed = settings.changed() => if changed.is_err() { return true },
                () = backlog::follow(&self.client, self.engine.mode, self.leading.clone(), &self.active_store) => {}
            }
        }
        true
    }

    /// Works while the system is switched on. Whether nothing is under way in the end of which this process alone knows.
    async fn work(
        &self,
        current: Arc<Settings>,
        settings: &mut watch::Receiver<Arc<Settings>>,
        stop: &CancellationToken,
    ) -> bool {
        self.health.trouble(Part::Start, START_LISTS);
        let sink = Sink {
            index: Arc::clone(&self.index),
            queue: Arc::new(WorkQueue::default()),
            health: Arc::clone(&self.health),
            observer: None,
            traces: Some(self.traces.clone()),
            beside_pac: self.gate.clone().map(|gate| BesidePac { settings: settings.clone(), gate }),
        };
        self.active_store.begin(&sink.queue);
        let watches = TaskTracker::new();
        let watching = CancellationToken::new();
        let (runs_synced, runs) = watch::channel(false);
        let (repositories_synced, repositories) = watch::channel(false);
        let run_watch = watch_runs(self.client.clone(), sink.clone(), runs_synced);
        let repository_watch = watch_repositories(self.client.clone(), sink.clone(), repositories_synced);
        let run_watch = abort_on_panic("the watch of PipelineRuns", run_watch);
        let repository_watch = abort_on_panic("the watch of Repositories", repository_watch);
        watches.spawn(watching.clone().run_until_cancelled_owned(run_watch));
        watches.spawn(watching.clone().run_until_cancelled_owned(repository_watch));
        let (listed, complete) = watch::channel(false);
        let (index, health) = (Arc::clone(&self.index), Arc::clone(&self.health));
        watches.spawn(watching.clone().run_until_cancelled_owned(async move {
            all_true([runs, repositories]).await;
            index.note_complete();
            health.trouble(Part::Start, START_STORE);
            listed.send_replace(true);
            listed.closed().await;
        }));
        watches.close();

        let mut next = self.connect_until_changed(current, settings, stop).await;
        while let Next::Go(store, current) = next {
            next = self.work_on(store, current, settings, stop, &sink, complete.clone()).await;
        }
        watching.cancel();
        watches.wait().await;
        self.active_store.end();
        self.index.clear();
        self.traces.clear();
        !matches!(next, Next::StopInHand)
    }

    /// Works on one store, until something else is called for.
    async fn work_on(
        &self,
        store: ConnectedStore,
        current: Arc<Settings>,
        settings: &mut watch::Receiver<Arc<Settings>>,
        stop: &CancellationToken,
        sink: &Sink,
        mut complete: watch::Receiver<bool>,
    ) -> Next {
        info!("Initialized concurrency system with driver: {}", store.name());
        let manager = Arc::new(Manager::new(store.clone(), ManagerOptions::new(&self.identity)));
        let (client, history) = (self.client.clone(), Arc::clone(&self.history));
        let (sink, options) = (sink.clone(), self.engine.clone());
        let engine = Engine::new(client, Arc::clone(&manager), sink, Arc::clone(&self.in_force), history, options);
        self.active_store.work_with(Some(&manager), Some(engine.audit_so_far()));
        let stop_engine = CancellationToken::new();
        let running = {
            let (engine, stop_engine, leading) = (Arc::clone(&engine), stop_engine.clone(), self.leading.clone());
            let import = self.former.import(&self.connect, &store, &self.index, &self.health);
            tokio::spawn(async move {
                // A sender that is gone means that the watches were stopped: so will be this engine.
                let listed = async { complete.wait_for(|complete| *complete).await.is_ok() };
                if stop_engine.run_until_cancelled(listed).await == Some(true)
                    && stop_engine.run_until_cancelled(import).await.is_some()
                {
                    abort_on_panic("the engine", engine.run(leading, stop_engine)).await;
                }
            })
        };
        let next = self.until_changed(&current, settings, stop).await;
        stop_engine.cancel();
        let is_finished = finish(running, matches!(next, Next::Stop)).await;
        let all_is_told = is_finished && self.index.all_starts_are_told();
        self.active_store.work_with(None, None);
        match next {
            Next::Stop if !store.capabilities().durable && !all_is_told => Next::StopInHand,
            Next::Go(new_store, new) => self.move_over([store, new_store], current, new, settings, stop).await,
            other => other,
        }
    }

    /// Waits until the settings call for another engine, and makes its driver ready.
    async fn until_changed(
        &self,
        current: &Arc<Settings>,
        settings: &mut watch::Receiver<Arc<Settings>>,
        stop: &CancellationToken,
    ) -> Next {
        let mut failures = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Next::Stop,
                changed = settings.changed() => if changed.is_err() { return Next::Stop },
                // A new store that could not be had is tried again, while the old one works on.
                () = tokio::time::sleep(retry_wait(failures)), if failures > 0 => {}
            }
            let new = Arc::clone(&settings.borrow_and_update());
            match current.change_to(&new) {
                SettingsImpact::None | SettingsImpact::Telling | SettingsImpact::Admission => {
                    self.health.settings_in_force(NotInForce::Unreachable);
                    failures = 0;
                    continue;
                }
                SettingsImpact::Switch => return Next::SwitchOff,
                SettingsImpact::Tunables | SettingsImpact::Connection | SettingsImpact::Driver => {}
            }
            // A server that swallows packets takes long, and nobody should have to wait for it who wants something else.
            let connected = tokio::select! {
                () = stop.cancelled() => return Next::Stop,
                changed = settings.changed() => {
                    if changed.is_err() {
                        return Next::Stop;
                    }
                    settings.mark_changed();
                    continue;
                }
                connected = self.connect.connect(&new.driver) => connected,
            };
            match connected {
                Ok(store) => {
                    self.health.settings_in_force(NotInForce::Unreachable);
                    return Next::Go(store, new);
                }
                Err(error) => {
                    failures += 1;
                    let why =
                        format!("their store can't be had, and the former one stays in use: {}", with_causes(&error));
                    self.health.settings_not_in_force(NotInForce::Unreachable, why);
                }
            }
        }
    }

    /// Copies what the old store holds, if the new one is another. While the new one takes nothing, other settings may have it
    /// left alone.
    async fn move_over(
        &self,
        [old, new_store]: [ConnectedStore; 2],
        current: Arc<Settings>,
        new: Arc<Settings>,
        settings: &mut watch::Receiver<Arc<Settings>>,
        stop: &CancellationToken,
    ) -> Next {
        let same_store = current.change_to(&new) != SettingsImpact::Driver && old.capabilities().durable;
        if same_store {
            return Next::Go(new_store, new);
        }
        let mut failures = 0;
        loop {
            let moved = tokio::select! {
                () = stop.cancelled() => return Next::Stop,
                moved = relocate(&old, &new_store) => moved,
            };
            match moved {
                Ok(moved) => {
                    let (from, to) = (old.name(), new_store.name());
                    info!(slots = moved.slots, waiting = moved.waiting, "moved {moved} from driver {from} to {to}");
                    break;
                }
                // What the old store can't tell any more, the cluster still can: everything that runs is adopted.
                Err(error @ RelocateError::Old(_)) if failures >= 3 => {
                    warn!(error = with_causes(&error), "could not copy the old store; going on from the cluster alone");
                    break;
                }
                Err(error) => self.health.trouble(Part::Store, with_causes(&error)),
            }
            failures += 1;
            tokio::select! {
                () = stop.cancelled() => return Next::Stop,
                () = tokio::time::sleep(retry_wait(failures)) => {}
                changed = settings.changed() => {
                    if changed.is_err() {
                        return Next::Stop;
                    }
                    settings.mark_changed();
                    return Next::Go(old, current);
                }
            }
        }
        Next::Go(new_store, new)
    }

    /// Connects to the store of `current`, or of what replaces it meanwhile, for as long as it takes.
    async fn connect_until_changed(
        &self,
        mut current: Arc<Settings>,
        settings: &mut watch::Receiver<Arc<Settings>>,
        stop: &CancellationToken,
    ) -> Next {
        let mut failures = 0;
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return Next::Stop,
                connected = self.connect.connect(&current.driver) => connected,
            };
            match connected {
                Ok(store) => {
                    self.health.fine(Part::Store);
                    return Next::Go(store, current);
                }
                Err(error) => self.health.trouble(Part::Store, with_causes(&error)),
            }
            failures += 1;
            tokio::select! {
                () = stop.cancelled() => return Next::Stop,
                () = tokio::time::sleep(retry_wait(failures)) => {}
                changed = settings.changed() => if changed.is_err() { return Next::Stop },
            }
            current = Arc::clone(&settings.borrow_and_update());
            if !current.enabled {
                return Next::SwitchOff;
            }
        }
    }
}

/// Waits until the engine has finished what it has in hand. At the process's end not for ever: what is in hand then ends
/// with the process, like the answer of a store that is away, and is for the next watcher to look at. Whether it has.
async fn finish(mut running: JoinHandle<()>, at_the_end: bool) -> bool {
    let finished = if at_the_end { timeout(STOP_WITHIN, &mut running).await } else { Ok((&mut running).await) };
    match &finished {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "the engine ended badly"),
        Err(_) => {
            warn!("not everything in flight could be finished within {} s", STOP_WITHIN.as_secs());
            running.abort();
        }
    }
    finished.is_ok()
}

fn retry_wait(failures: u32) -> Duration {
    backoff::wait(Duration::from_millis(250), Duration::from_secs(3), failures)
}
