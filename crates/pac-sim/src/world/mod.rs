//! A simulation at work: the cluster, the stores, the watchers, and the schedule as it is carried out.

mod answers;
mod excuses;
mod operators;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use pac_config::keys;
use pac_devcluster::verdict::LostSlots;
use pac_devcluster::{DevCluster, Options, PacPlayer, RunDuration, Secrets, TektonPlayer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use self::answers::{Past, Untrue};
use self::users::Users;
use crate::outside::Outside;
use crate::part::Part;
use crate::replica::{Replica, SETTINGS};
use crate::scenario::{Scenario, StoreKind};
use crate::schedule::{Action, Step, unrest};
use crate::store::{StoreServer, Versions, Witness};
use crate::trace::Trace;
use crate::weather::Weather;

/// Keeps PAC's own queue away from what it makes.
const POLICY: &str = include_str!("../../../../config/companion-memory/execution-order-policy.yaml");
/// As short as the settings allow, so that leases do run out.
const LEASE_TTL: &str = "10s";

/// What has to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undo {
    Watcher(usize),
    Watches,
    Tekton,
    Store,
    Repository(usize),
    Pause(usize),
    PauseOfAll,
    Off,
    Provider,
    Pac,
    /// A run of a Repository was deleted, to be made again.
    Run(usize, usize),
}

/// See the [module](self).
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) outside: Outside,
    pub(crate) users: Users,
    pub(crate) began: Instant,
    /// Until when watchers hear late, or nothing.
    restless_until: Instant,
    replicas: Vec<Option<Replica>>,
    incarnations: usize,
    store: StoreKind,
    to_undo: Vec<(Instant, Undo)>,
    /// What the stores lost.
    lost: Vec<LostSlots>,
    /// What watchers answered that wasn't true.
    pub(crate) untrue: Untrue,
    past: Past,
    /// What users and operators did, by kind.
    pub(crate) doings: BTreeMap<&'static str, usize>,
}

// === impl World ===

impl World {
    /// Everything is set up, and watchers begin.
    pub(crate) fn new(scenario: &Scenario, part: &Part, trace: Trace, counted: PrometheusHandle) -> Result<Self> {
        let cluster = Arc::new(DevCluster::without_port(cluster_options(scenario)));
        let seconds = Duration::from_secs;
        let witness = Arc::new(Witness::new(Arc::clone(&cluster), trace.clone()));
        let outside = Outside {
            cluster,
            postgresql: StoreServer::new("postgresql", Versions::Random, seconds(10), seconds(10)).before(&witness),
            etcd: StoreServer::new("etcd", Versions::Counted, seconds(10), seconds(5)).before(&witness),
            witness,
            weather: Arc::new(Weather::default()),
            trace,
            denied: Arc::default(),
            counted,
        };
        let mut world = Self {
            scenario: scenario.clone(),
            outside,
            users: Users::new(scenario.repositories),
            began: Instant::now(),
            restless_until: Instant::now(),
            replicas: Vec::new(),
            incarnations: 0,
            store: scenario.store,
            to_undo: Vec::new(),
            lost: Vec::new(),
            untrue: Untrue::default(),
            past: Past::default(),
            doings: BTreeMap::new(),
        };
        world.set_up(part)?;
        for number in 0..scenario.replicas {
            world.replicas.push(None);
            world.start_watcher(number);
        }
        Ok(world)
    }

    fn set_up(&mut self, part: &Part) -> Result<()> {
        let store = self.outside.cluster.store();
        let mut settings = json!({
            keys::CONCURRENCY_ENABLED.name: "true",
            keys::CONCURRENCY_DRIVER.name: driver_of(self.store),
            keys::POSTGRESQL_SSL_MODE.name: "disable",
        });
        for key in [&keys::POSTGRESQL_LEASE_TTL, &keys::ETCD_LEASE_TTL, &keys::MEMORY_LEASE_TTL] {
            settings[key.name] = LEASE_TTL.into();
        }
        store.create("configmaps", SETTINGS, json!({"metadata": {"name": SETTINGS}, "data": settings}))?;
        if self.scenario.companion {
            for document in serde_yaml::Deserializer::from_str(POLICY) {
                let mut object = Value::deserialize(document)?;
                let kind = object["kind"].as_str().context("a kind")?.to_lowercase();
                if let Some(selector) = object.pointer_mut("/spec/matchResources/namespaceSelector") {
                    *selector = json!({});
                }
                let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
                store.create(&plural, "", object)?;
            }
        }
        for number in (0..self.scenario.repositories).filter(|number| part.has_repository(*number)) {
            self.create_repository(number, Some(2))?;
            self.push(number, 3, false);
        }
        Ok(())
    }

    /// Has all of `steps` happen when their time comes.
    pub(crate) async fn rage(&mut self, steps: &[(usize, Step)]) {
        for (number, step) in steps {
            let at = self.began + step.at;
            self.undo_until(at).await;
            sleep_until(at).await;
            self.look_after_watchers();
            self.outside.trace.tell(&format!("step {number}: {:?}", step.action));
            self.restless_until = self.restless_until.max(Instant::now() + unrest(&step.action));
            self.act(&step.action);
            self.note_limits();
        }
        let end = self.began + self.scenario.lasts;
        self.undo_until(end).await;
        sleep_until(end).await;
    }

    /// Nothing goes wrong any more, and whatever did is undone.
    pub(crate) fn calm(&mut self) {
        self.outside.trace.tell("calm");
        self.outside.weather.calm();
        self.outside.cluster.faults().clear();
        for undo in [Undo::Watches, Undo::Tekton, Undo::Store] {
            self.undo(undo);
        }
        std::mem::take(&mut self.to_undo).into_iter().for_each(|(_, undo)| self.undo(undo));
        self.look_after_watchers();
        self.replicas.iter().flatten().for_each(|replica| replica.way.catch_up());
    }

    /// What could not be undone yet is tried again.
    pub(crate) fn undo_the_rest(&mut self) {
        std::mem::take(&mut self.to_undo).into_iter().for_each(|(_, undo)| self.undo(undo));
    }

    pub(crate) fn all_is_undone(&self) -> bool {
        self.to_undo.is_empty()
    }

    /// All watchers end, as they do when they are asked to.
    pub(crate) async fn end(&mut self) {
        for replica in self.replicas.iter_mut().filter_map(Option::take) {
            replica.end().await;
        }
    }

    /// How often watchers changed a store.
    pub(crate) fn commits(&self) -> usize {
        [&self.outside.postgresql, &self.outside.etcd].into_iter().map(|server| server.commits()).sum()
    }

    /// The server in use, if there is one.
    pub(crate) fn server(&self) -> Option<&Arc<StoreServer>> {
        match self.store {
            StoreKind::Memory => None,
            StoreKind::PostgreSql => Some(&self.outside.postgresql),
            StoreKind::Etcd => Some(&self.outside.etcd),
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Weather { gust, lasts } => self.outside.weather.blow(gust, lasts),
            Action::Crash { watcher, away } => {
                if let Some(replica) = self.replicas[watcher].take() {
                    replica.crash();
                    self.struck("watchers killed", Undo::Watcher(watcher), away);
                }
            }
            Action::Stop { watcher, away } => {
                if let Some(replica) = self.replicas[watcher].take() {
                    replica.ask_to_end();
                    self.struck("watchers stopped", Undo::Watcher(watcher), away);
                }
            }
            Action::CutWatches { watcher } => self.of_watcher(watcher, "watches cut", |way| way.cut_watches()),
            Action::Lag { watcher, lasts } => {
                self.of_watcher(watcher, "watches of one watcher held", |way| way.lag(lasts))
            }
            Action::Hold { watcher, lasts } => {
                self.of_watcher(watcher, "watchers cut off from everything", |way| way.hold(lasts))
            }
            Action::CloseWatches => {
                self.outside.cluster.faults().close_watches();
                self.outside.weather.count("watches closed");
            }
            Action::ExpireVersions => {
                self.outside.cluster.faults().expire_versions();
                self.outside.weather.count("versions expired");
            }
            Action::PauseWatches { lasts } => {
                self.outside.cluster.faults().pause_watches();
                self.struck("all watches held", Undo::Watches, lasts);
            }
            Action::TektonAway { lasts } => {
                self.outside.cluster.faults().tekton_leaves();
                self.struck("Tekton away", Undo::Tekton, lasts);
            }
            Action::StoreAway { lasts } => {
                if let Some(server) = self.server() {
                    server.is_away(true);
                    self.struck("store: away", Undo::Store, lasts);
                }
            }
            Action::FailOver { missed } => {
                if let Some(server) = self.server() {
                    let (missed, runs) = server.fail_over(missed);
                    let kind = if missed > 0 { "store: failed over, commits lost" } else { "store: failed over" };
                    self.lost_slots(kind, runs);
                }
            }
            Action::Restore => {
                if let Some(server) = self.server() {
                    let runs = server.restore();
                    self.lost_slots("store: restored from a backup", runs);
                }
            }
            Action::LeasesEnd => {
                if let Some(server) = self.server() {
                    server.end_leases();
                    self.outside.weather.count("store: all leases ended");
                }
            }
            Action::Settings { .. }
            | Action::Move
            | Action::Release { .. }
            | Action::GlobalLimit { .. }
            | Action::PauseAll { .. }
            | Action::SwitchOff { .. }
            | Action::ProviderRefuses { .. }
            | Action::PacRestarts { .. } => self.operator_acts(action),
            Action::Ask => {
                self.ask();
                self.did("questions to watchers");
            }
            ref doing => self.user_acts(doing),
        }
    }

    fn of_watcher(&self, watcher: usize, what: &'static str, strike: impl FnOnce(&crate::way::Way)) {
        if let Some(replica) = &self.replicas[watcher] {
            strike(&replica.way);
            self.outside.weather.count(what);
        }
    }

    /// Counts a fault of the store with which these runs lost their slots.
    fn lost_slots(&mut self, what: &'static str, runs: BTreeSet<String>) {
        self.outside.weather.count(what);
        self.outside.trace.tell(&format!("{what}: the slots of {runs:?} are lost"));
        self.lost.push(LostSlots { at: self.began.elapsed(), runs });
    }

    /// Counts a fault that has to be undone.
    fn struck(&mut self, what: &'static str, undo: Undo, after: Duration) {
        self.outside.weather.count(what);
        self.undo_after(undo, after);
    }

    pub(crate) fn undo_after(&mut self, undo: Undo, after: Duration) {
        self.to_undo.push((Instant::now() + after, undo));
    }

    pub(crate) fn is_to_be_undone(&self, undo: Undo) -> bool {
        self.to_undo.iter().any(|(_, other)| *other == undo)
    }

    pub(crate) fn did(&mut self, what: &'static str) {
        *self.doings.entry(what).or_default() += 1;
    }

    /// Undoes, when it is due, what is due before `end`.
    async fn undo_until(&mut self, end: Instant) {
        while let Some(next) = (0..self.to_undo.len()).min_by_key(|at| self.to_undo[*at].0) {
            if self.to_undo[next].0 > end {
                return;
            }
            let (when, undo) = self.to_undo.remove(next);
            sleep_until(when).await;
            self.undo(undo);
        }
    }

    fn undo(&mut self, undo: Undo) {
        self.outside.trace.tell(&format!("undo {undo:?}"));
        match undo {
            Undo::Watcher(number) => self.start_watcher(number),
            Undo::Watches => self.outside.cluster.faults().resume_watches(),
            Undo::Tekton => self.outside.cluster.faults().tekton_returns(),
            Undo::Store => {
                self.outside.postgresql.is_away(false);
                self.outside.etcd.is_away(false);
            }
            Undo::Repository(_) | Undo::Pause(_) | Undo::Run(..) => self.user_undoes(undo),
            Undo::PauseOfAll | Undo::Off | Undo::Provider | Undo::Pac => self.operator_undoes(undo),
        }
    }

    /// As a new pod, under a name of its own, or as the next process of a container that had one before.
    fn start_watcher(&mut self, number: usize) {
        self.incarnations += 1;
        let identity = format!("watcher-{number}-{}", self.incarnations);
        let pod = format!("watcher-{number}-pod-{}", self.incarnations / 4);
        self.replicas[number] = Some(Replica::start(number, identity, &pod, &self.scenario, &self.outside));
    }

    /// A process that ended by itself is begun again, as a kubelet does.
    fn look_after_watchers(&mut self) {
        for number in 0..self.replicas.len() {
            if self.replicas[number].as_ref().is_some_and(Replica::has_ended) {
                self.start_watcher(number);
            }
        }
    }

    fn change_settings(&self, data: &Value) {
        // There is such a ConfigMap from the beginning.
        let _ = self.outside.cluster.store().patch("configmaps", SETTINGS, SETTINGS, &json!({ "data": data }));
    }
}

fn driver_of(store: StoreKind) -> &'static str {
    match store {
        StoreKind::Memory => "memory",
        StoreKind::PostgreSql => "postgresql",
        StoreKind::Etcd => "etcd",
    }
}

/// Runs take between a tenth of a second and three; the watcher of PAC is there in companion mode alone.
fn cluster_options(scenario: &Scenario) -> Options {
    let duration = RunDuration::Between(Duration::from_millis(100), Duration::from_secs(3));
    let secrets = if scenario.companion { Secrets::ByWatcher } else { Secrets::ByController };
    let pac = PacPlayer { watcher: scenario.companion, queue: scenario.companion, secrets, ..PacPlayer::default() };
    let tekton = TektonPlayer { duration, ..TektonPlayer::default() };
    Options { tekton: Some(tekton), pac: Some(pac), ..Options::default() }
}
