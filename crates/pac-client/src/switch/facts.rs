//! How things stand between our watcher and the one of Pipelines-as-Code.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use pac_concurrency::{Limit, RepositoryKey};
use pac_config::Key;
use pac_kube::api::labels::{EXECUTION_ORDER, EXECUTION_ORDER_KEPT, SELECTOR};
use pac_kube::api::{PipelineRun, Readable, Repository};
use pac_kube::convert::{Phase, repository_limit, run_view};
use pac_kube::gate::{self, GateKind, GateState};
use pac_queue::view::{Overview, WatcherView};
use serde::de::DeserializeOwned;

use super::settings;
use crate::Failure;
use crate::admin::Admin;
use crate::args::{Reach, Switch};
use crate::cluster::Cluster;

const PAGE: u32 = 500;

/// See the [module](self).
pub(super) struct Facts {
    /// What the ConfigMap says of those that the switch turns.
    settings: Vec<(&'static Key, Option<String>)>,
    pub(super) gate: Option<(GateKind, GateState)>,
    /// What the watcher that leads says, or why it can't be asked.
    pub(super) watcher: Result<WatcherView, String>,
    pub(super) runs: Runs,
}

/// PipelineRuns that aren't done.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// Waiting, and PAC's own queue starts them; with one of them.
    pub(super) waiting_for_pac: usize,
    pub(super) first_of_pacs: Option<String>,
    /// Waiting, and ours does; with one of them that has an order which is kept from PAC.
    pub(super) waiting_for_us: usize,
    pub(super) first_kept: Option<String>,
    /// Those that PAC queued under a limit, and whose order nobody has told.
    pub(super) without_order: BTreeSet<String>,
    pub(super) running: usize,
    /// Running under a limit, and PAC's own queue doesn't count them, since it didn't start them; with one of them.
    pub(super) started_by_us: usize,
    pub(super) first_of_ours: Option<String>,
}

// === impl Facts ===

impl Facts {
    pub(super) async fn gather(cluster: &Cluster, switch: &Switch) -> Result<Self, Failure> {
        let reach = &switch.reach;
        Ok(Self {
            settings: settings::read(cluster, reach).await?,
            gate: installed_gate(cluster).await?,
            watcher: watcher(reach).await.map_err(|failure| failure.why().to_owned()),
            runs: Runs::count(cluster, &limits(cluster, switch).await?).await?,
        })
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.settings.iter().map(|(key, said)| format!("{key} {}", said.as_deref().unwrap_or("(not set)")));
        writeln!(f, "settings    {}", said.collect::<Vec<_>>().join(", "))?;
        match &self.gate {
            None => writeln!(f, "gate        none is installed")?,
            Some((kind, state)) => writeln!(f, "gate        {}: {}", kind.label(), in_words(state))?,
        }
        match &self.watcher {
            Err(why) => writeln!(f, "watcher     can't be asked: {why}")?,
            Ok(watcher) => {
                let paused = match () {
                    () if watcher.paused => ", everything paused",
                    () if watcher.draining => ", draining",
                    () => "",
                };
                writeln!(f, "watcher     {}: {}{paused}", watcher.identity, watcher.system)?;
                watcher.trouble.iter().try_for_each(|trouble| writeln!(f, "            {trouble}"))?;
            }
        }
        let Runs { waiting_for_pac, waiting_for_us, running, started_by_us, .. } = self.runs;
        writeln!(
            f,
            "runs        {running} run ({started_by_us} of them not counted by PAC's own queue), {waiting_for_us} wait for our watcher, \
             {waiting_for_pac} for PAC's own queue"
        )
    }
}

/// What the gate's object says, in words.
pub(super) fn in_words(state: &GateState) -> String {
    match state {
        GateState::Missing(why) | GateState::Other(why) => why.clone(),
        GateState::Open => "open: PAC's own queue gets what it orders".to_owned(),
        GateState::Closed => "closed: PAC's own queue gets nothing new".to_owned(),
    }
}

// === impl Runs ===

impl Runs {
    async fn count(cluster: &Cluster, limits: &Limits) -> Result<Self, Failure> {
        let mut counted = Self::default();
        let runs: Vec<PipelineRun> = list(cluster, ListParams::default().labels(SELECTOR)).await?;
        runs.iter().for_each(|run| counted.add(run, limits));
        Ok(counted)
    }

    fn add(&mut self, run: &PipelineRun, limits: &Limits) {
        let Ok(view) = run_view(run, None) else { return };
        let has = |name: &str| run.annotations().contains_key(name);
        let path = || view.key.path().to_owned();
        match view.phase {
            Phase::Waiting if has(EXECUTION_ORDER) => {
                self.waiting_for_pac += 1;
                self.first_of_pacs.get_or_insert(path());
            }
            Phase::Waiting | Phase::Arriving => {
                self.waiting_for_us += 1;
                if has(EXECUTION_ORDER_KEPT) {
                    self.first_kept.get_or_insert(path());
                } else if view.phase == Phase::Waiting && limits.is_limited(&view.repository) {
                    self.without_order.insert(path());
                }
            }
            Phase::Running | Phase::ForceReleased | Phase::Stopping => {
                self.running += 1;
                if !has(EXECUTION_ORDER) && limits.is_limited(&view.repository) {
                    self.started_by_us += 1;
                    self.first_of_ours.get_or_insert(path());
                }
            }
            Phase::Held | Phase::Withdrawn | Phase::Done(_) => {}
        }
    }
}

/// The Repositories' own limits, and the one of the global Repository.
pub(super) struct Limits {
    own: HashMap<RepositoryKey, Option<i64>>,
    global: Option<i64>,
}

// === impl Limits ===

impl Limits {
    fn is_limited(&self, repository: &RepositoryKey) -> bool {
        let own = self.own.get(repository);
        own.is_some_and(|own| Limit::effective(*own, self.global).is_limited())
    }
}

async fn limits(cluster: &Cluster, switch: &Switch) -> Result<Limits, Failure> {
    let repositories: Vec<Repository> = list(cluster, ListParams::default()).await?;
    let own: HashMap<_, _> = repositories.iter().filter_map(|one| repository_limit(one).ok()).collect();
    let global = RepositoryKey::new(&switch.reach.pac_namespace, &switch.global_repository)
        .map_err(|error| Failure::Usage(format!("--pac-namespace and --global-repository: {error}")))?;
    let global = own.get(&global).copied().flatten();
    Ok(Limits { own, global })
}

/// All objects of a kind that can be read.
async fn list<K>(cluster: &Cluster, page: ListParams) -> Result<Vec<K>, Failure>
where
    Readable<K>: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned,
{
    let (api, mut page) = (Api::<Readable<K>>::all(cluster.client().clone()), page.limit(PAGE));
    let what = format!("the list of {}", Readable::<K>::plural(&()));
    let mut all = Vec::new();
    loop {
        let listed = cluster.ask(&what, api.list(&page)).await?.map_err(|error| cluster.explain(&error))?;
        all.extend(listed.items.into_iter().filter_map(|object| object.0.ok()));
        match listed.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(all),
        }
    }
}

/// What the watcher that leads says of itself.
pub(super) async fn watcher(reach: &Reach) -> Result<WatcherView, Failure> {
    let overview: Overview = Admin::find(reach).await?.get("/debug/queue/summary", &[]).await?;
    Ok(overview.watcher)
}

/// The gate that is there, of whatever kind.
pub(super) async fn installed_gate(cluster: &Cluster) -> Result<Option<(GateKind, GateState)>, Failure> {
    for kind in GateKind::ALL {
        let state = cluster.ask(&kind.object(), gate::read(cluster.client(), kind)).await?;
        match state.map_err(|error| Failure::Unreachable(error.to_string()))? {
            GateState::Missing(_) => {}
            state => return Ok(Some((kind, state))),
        }
    }
    Ok(None)
}
