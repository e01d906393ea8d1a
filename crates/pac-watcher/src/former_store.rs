//! What is left on the server of the other driver, where the settings name one: taken over before anybody is admitted.
//!
//! Whoever changes the driver while no watcher runs, comes from the earlier implementation, or has his watcher die in the
//! middle of a move leaves slots and places there. Every entry is compared with the cluster, as after a move within one
//! store: what is brought are runs that run or wait now and that the store in use doesn't know. So it changes nothing when it
//! is done again, and what nobody removed there is no harm later.
//!
//! A server that can't be asked keeps nobody waiting: who runs is known from the cluster, and only places would be made anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pac_concurrency::{
    ConnectedStore, Delta, DriverError, Holder, LegacyImport, LegacyRun, Relocated, RepositoryKey, RunKey, Window,
};
use pac_config::DriverSettings;
use pac_kube::backoff;
use pac_kube::error::with_causes;
use pac_state::health::{Health, Part};
use pac_state::index::Index;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::connect::Connect;

/// How long that server is waited for.
const LOOKED_WITHIN: Duration = Duration::from_secs(10);

/// Its settings, until what is there was taken over.
#[derive(Debug, Default)]
pub(crate) struct FormerStore(Arc<Mutex<Option<DriverSettings>>>);

/// What was found.
#[derive(Debug, Default)]
struct Found {
    /// What to commit, by repository.
    deltas: Vec<(RepositoryKey, Delta)>,
    /// What the earlier implementation left, if that is yet to be noted there.
    legacy: Option<LegacyImport>,
    /// Watchers that are at work there now.
    at_work: Vec<Holder>,
}

// === impl FormerStore ===

impl FormerStore {
    /// A server with these settings, or none.
    pub(crate) fn new(settings: Option<DriverSettings>) -> Self {
        Self(Arc::new(Mutex::new(settings)))
    }

    /// Takes over into `to` what is there, the first time that it is awaited to its end. The lists of Repositories and
    /// PipelineRuns must be complete.
    pub(crate) fn import(
        &self,
        connect: &Arc<dyn Connect>,
        to: &ConnectedStore,
        index: &Arc<Index>,
        health: &Arc<Health>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (settings, connect, to) = (Arc::clone(&self.0), Arc::clone(connect), to.clone());
        let (index, health) = (Arc::clone(index), Arc::clone(health));
        async move {
            let former = settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(former) = former.filter(|_| to.capabilities().durable) else { return };
            match timeout(LOOKED_WITHIN, look(&*connect, &former, &index)).await {
                Ok(Ok((from, found))) => take_over(&from, &found, &to, &health).await,
                Ok(Err(error)) => unreachable(&former, to.name(), &with_causes(&error)),
                Err(_) => {
                    unreachable(&former, to.name(), &format!("no answer within {} s", LOOKED_WITHIN.as_secs()));
                }
            }
            *settings.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// What is there of runs that the cluster has.
async fn look(
    connect: &dyn Connect,
    former: &DriverSettings,
    index: &Index,
) -> Result<(ConnectedStore, Found), DriverError> {
    let from = connect.look(former).await?;
    let mut found = Found::default();
    if let Some(legacy) = from.legacy().await? {
        let mut taken = LegacyImport { corrupt: legacy.corrupt.len(), ..LegacyImport::default() };
        for left in &legacy.repositories {
            let (delta, of_it) = left.import(&|run| index.find(&left.repository, run));
            taken = taken.and(of_it);
            found.deltas.push((left.repository.clone(), delta));
        }
        found.legacy = Some(taken);
    }
    for repository in from.repositories().await?.keys {
        let there = from.look(&repository, Window::Whole).await?;
        let mut delta = Delta::default();
        for entry in there.slots.values().map(|slot| &slot.entry).chain(&there.waiting) {
            let is_it = |run: &RunKey| run.uid() == entry.run.uid();
            match index.find(&repository, entry.run.path()) {
                LegacyRun::Running(known) if is_it(&known.run) => delta.hold.push(entry.clone()),
                // One with a slot that has not started keeps its place, and so gets its slot back if there still is one.
                LegacyRun::Waiting(known) if is_it(&known.run) => delta.enqueue.push(entry.clone()),
                _ => {}
            }
        }
        found.deltas.push((repository, delta));
    }
    found.at_work = from.holders().await?;
    Ok((from, found))
}

async fn take_over(from: &ConnectedStore, found: &Found, to: &ConnectedStore, health: &Health) {
    if let [watcher, ..] = &found.at_work[..] {
        warn!(
            "watcher {watcher} is at work on {} while this one is on {}: each admits up to the limit; stop it, or wait until it \
             has moved over",
            from.name(),
            to.name()
        );
    }
    let mut brought = Relocated::default();
    for (repository, delta) in &found.deltas {
        let mut failures = 0;
        let (slots, waiting) = loop {
            match to.bring(repository, delta).await {
                Ok(brought) => break brought,
                // Nobody else's runs wait for what is wrong with this one (P10).
                Err(error @ (DriverError::Corrupt(_) | DriverError::Rejected(_))) => {
                    warn!(
                        %repository,
                        error = with_causes(&error),
                        "what {} has of {repository} can't be taken over: its runs that wait are queued by their creation",
                        from.name()
                    );
                    break (0, 0);
                }
                Err(error) => health.trouble(Part::Store, with_causes(&error)),
            }
            failures += 1;
            tokio::time::sleep(backoff::wait(Duration::from_millis(100), Duration::from_secs(5), failures - 1)).await;
        };
        brought.repositories += usize::from(slots + waiting > 0);
        brought.slots += slots;
        brought.waiting += waiting;
    }
    if brought != Relocated::default() {
        info!(
            slots = brought.slots,
            waiting = brought.waiting,
            "took over {brought} from {}, which the settings name beside {}; what is there stays as it is",
            from.name(),
            to.name()
        );
    }
    let Some(legacy) = &found.legacy else { return };
    match from.note_legacy_imported(legacy).await {
        Ok(()) => info!(
            slots = legacy.slots,
            waiting = legacy.waiting,
            ghosts = legacy.ghosts,
            corrupt = legacy.corrupt,
            "took over what an earlier version left in {}; its own records are as they were",
            from.name()
        ),
        Err(error) => debug!(
            error = with_causes(&error),
            "could not note there that what an earlier version left was taken over; it is compared again at the next start"
        ),
    }
}

/// Says what was not taken over, and the command that does it.
fn unreachable(former: &DriverSettings, to: &str, why: &str) {
    let from = former.name();
    let Some(key) = former.server_key() else { return };
    warn!(
        "the settings name a server of {from} beside that of {to}, and whether slots or places are left there can't be told: {why}. \
         If there are: stop the watchers, and run: pac-watcher migrate --from {from} --to {to}. If not: take {key} out of the \
         settings. Meanwhile runs are queued by their creation"
    );
}
