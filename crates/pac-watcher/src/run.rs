//! `pac-watcher run`: everything together, until told to stop.

use std::sync::{Arc, OnceLock};

use kube::Client;
use metrics_exporter_prometheus::PrometheusHandle;
use pac_config::{Disk, DriverSettings, Settings, other_store};
use pac_kube::cluster;
use pac_kube::leader::{Candidate, Fitness, LeaderOptions};
use pac_state::active_store::ActiveStore;
use pac_state::gate::Gate;
use pac_state::health::{Health, Part};
use pac_state::index::Index;
use pac_traces::Traces;
use pac_view::events::{News, Places, Publisher};
use pac_view::http::{AdminState, Answers, Router, admin_answers, serve_admin, serve_metrics, serve_probes};
use pac_view::notices::Notices;
use pac_view::queue::Plot;
use pac_view::queue::{HistoryRecorder, QueueQuery};
use pac_webhook::Webhook;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::abort_on_panic::abort_on_panic;
use crate::connect::Connect;
use crate::election::Election;
use crate::engine::EngineOptions;
use crate::error::WatcherError;
use crate::former_store::FormerStore;
use crate::gate_keeper::GateKeeper;
use crate::in_force::InForce;
use crate::metrics::Measured;
use crate::options::{Mode, WatcherOptions};
use crate::reload::SettingsSource;
use crate::shadow;
use crate::supervise::Supervisor;
use crate::telemetry;
use crate::traces::keep_tracing_as_said;
use crate::webhook::{self, ServedWebhook};

/// Runs the watcher until `stop`, then finishes what is in flight, gives up leadership and returns.
///
/// # Errors
///
/// Only what no waiting mends: no way to reach a cluster, a port that is taken, settings that can't be used at start.
pub async fn run(
    options: WatcherOptions,
    connect: Arc<dyn Connect>,
    counted: PrometheusHandle,
    stop: CancellationToken,
) -> Result<(), WatcherError> {
    if options.mode == Mode::Shadow {
        return shadow::run(options, counted, stop).await;
    }
    let client = cluster::client(options.place.kubeconfig.as_deref()).await?;
    run_with(client, options, connect, counted, |_| {}, stop).await
}

/// The same with a client at hand, by which the cluster is reached, whatever the options say of it; not in shadow mode. What the admin
/// port answers is handed to `answers`, too, for those who ask without a network.
///
/// # Errors
///
/// Those of [`run`].
pub async fn run_with(
    client: Client,
    options: WatcherOptions,
    connect: Arc<dyn Connect>,
    counted: PrometheusHandle,
    answers: impl FnOnce(Router) + Send,
    stop: CancellationToken,
) -> Result<(), WatcherError> {
    let health = Arc::new(Health::default());
    health.trouble(Part::Start, "reading the settings");
    let global = options.global()?;
    let gate = (options.mode == Mode::Companion).then(|| Arc::new(Gate::new(options.gate)));
    let index = Arc::new(match &gate {
        Some(gate) => Index::beside_pac(global.clone(), Arc::clone(gate)),
        None => Index::new(global.clone()),
    });
    let serving = CancellationToken::new();
    let _serving = serving.clone().drop_guard();
    let (active_store, settings_in_force) = (Arc::new(ActiveStore::default()), Arc::new(OnceLock::new()));
    let (candidate, leading) = candidate(&client, &options, &health, &active_store);
    let served_webhook = Arc::new(OnceLock::<Webhook>::new());
    let shown_to_tenants = Arc::new(OnceLock::new());
    let measured = Measured {
        counted: counted.clone(),
        index: Arc::clone(&index),
        health: Arc::clone(&health),
        active_store: Arc::clone(&active_store),
        leading: leading.clone(),
        settings: Arc::clone(&settings_in_force),
        webhook: Arc::clone(&served_webhook),
        tenants: Arc::clone(&shown_to_tenants),
    };
    tokio::spawn(serving.clone().run_until_cancelled_owned(telemetry::keep_tidy(counted)));
    serve_metrics(options.metrics_addr, move |format| measured.text(format), serving.clone()).await?;
    let news = News::default();
    let publisher = Publisher { client: client.clone(), index: Arc::clone(&index), identity: options.identity.clone() };
    let told_all = CancellationToken::new();
    let _told_all = told_all.clone().drop_guard();
    let publishing = tokio::spawn(publisher.run(news.clone(), told_all.clone()));
    let places = Places {
        every: Places::EVERY,
        news: news.clone(),
        active_store: Arc::clone(&active_store),
        index: Arc::clone(&index),
        leading: leading.clone(),
    };
    tokio::spawn(serving.clone().run_until_cancelled_owned(places.run()));
    let history = Arc::new(HistoryRecorder::new(news));
    let plot = Arc::new(Plot::default());
    tokio::spawn(serving.clone().run_until_cancelled_owned(Arc::clone(&plot).follow(Arc::clone(&index))));
    let query = QueueQuery {
        client: client.clone(),
        index: Arc::clone(&index),
        history: Arc::clone(&history),
        plot,
        health: Arc::clone(&health),
        active_store: Arc::clone(&active_store),
        leading: leading.clone(),
        identity: options.identity.as_str().into(),
    };
    let state = AdminState { health: Arc::clone(&health), query: query.clone(), shadow: None };
    let webhook_answers = webhook::is_served(&options).then(|| {
        let webhook = Arc::clone(&served_webhook);
        let answers = move || webhook.get().is_some_and(|webhook| webhook.expires().is_some());
        Arc::new(answers) as Answers
    });
    serve_probes(options.probe_addr, state.clone(), webhook_answers, serving.clone()).await?;
    if let Some(tenants) = options.tenants.clone() {
        let shown = pac_tenants::serve(&client, tenants, state.query.clone(), serving.clone()).await?;
        // Set once: there is one at most.
        let _ = shown.map(|shown| shown_to_tenants.set(shown));
    }
    answers(admin_answers(state.clone()));
    serve_admin(options.admin_addr, state, serving.clone()).await?;

    // Long before it leads: what the API server asks any replica has to be answered.
    let served = ServedWebhook::start(&client, &options, leading.clone(), stop.clone()).await?;
    if let Some(served) = &served {
        // Set once: there is one at most.
        let _ = served_webhook.set(served.webhook.clone());
    }

    let source = SettingsSource::cluster(client.clone(), &options.place);
    let asked = Instant::now();
    let Some(settings) = stop.run_until_cancelled(source.read_first(&health)).await else {
        return Ok(());
    };
    let (settings, sources) = settings?;
    let election = Election { elected: options.leader_elect, connect: Arc::clone(&connect) };
    election.allows(&settings).map_err(WatcherError::Settings)?;
    let former = FormerStore::new(former_store(&source, &settings).await);
    // The first time before anybody could be admitted.
    let in_force = Arc::new(InForce::new(settings, asked, Arc::clone(&index), Arc::clone(&active_store)));
    let annotating = in_force.follow();
    // Set once: this is where settings begin.
    let _ = settings_in_force.set(in_force.follow());
    let wanted = Arc::new(move || annotating.borrow().annotations);
    let lease = options.leader_elect.then(|| options.place.namespace.clone());
    let notices = Notices { query, wanted, pace: options.pace, lease };
    tokio::spawn(serving.clone().run_until_cancelled_owned(notices.run()));
    let (traces, exporter) = Traces::new(
        Arc::clone(&index),
        Arc::clone(&health),
        leading.clone(),
        &options.identity,
        pac_traces::Pace::default(),
    );
    let tracing = keep_tracing_as_said(client.clone(), traces.clone(), exporter, in_force.follow(), told_all.clone());
    if let Some(gate) = &gate {
        let keeper = GateKeeper {
            client: client.clone(),
            gate: Arc::clone(gate),
            index: Arc::clone(&index),
            health: Arc::clone(&health),
            active_store: Arc::clone(&active_store),
            global,
            leading: leading.clone(),
            settings: in_force.follow(),
        };
        let keeping = abort_on_panic("the gate", keeper.run());
        tokio::spawn(serving.clone().run_until_cancelled_owned(keeping));
    }
    let following = source.follow(election, sources, Arc::clone(&in_force), Arc::clone(&health));
    let following = tokio::spawn(abort_on_panic("the settings", following));

    let campaign_over = CancellationToken::new();
    let campaign = tokio::spawn(abort_on_panic("the election", campaign(candidate, campaign_over.clone())));
    let engine = EngineOptions::new(options.mode, options.leader_elect);
    let identity = options.identity;
    let supervisor = Supervisor {
        client,
        connect,
        index,
        active_store,
        health,
        history,
        traces,
        identity,
        engine,
        leading,
        in_force,
        former,
        gate,
    };
    let all_is_known = supervisor.run(stop).await;
    if all_is_known {
        // Only now: leadership given up earlier would let another start what this one has in hand.
        campaign_over.cancel();
        if let Err(error) = campaign.await {
            warn!(%error, "the election ended badly");
        }
    } else {
        info!(
            "leadership is not given up: a start that is under way is in this watcher's memory alone, and takes effect, or never will, \
             before another watcher leads"
        );
        campaign.abort();
    }
    following.abort();
    told_all.cancel();
    if let Err(error) = publishing.await {
        warn!(%error, "the publisher of Events ended badly");
    }
    if let Err(error) = tracing.await {
        warn!(%error, "the exporter of traces ended badly");
    }
    if let Some(served) = served {
        served.drain().await;
    }
    info!("stopped");
    Ok(())
}

/// The server of the other driver, if the settings name one.
async fn former_store(source: &SettingsSource, settings: &Settings) -> Option<DriverSettings> {
    let sources = source.sources().await.ok()?;
    other_store(&sources, settings, &Disk).unwrap_or_else(|problems| {
        let why = problems.to_string().lines().collect::<Vec<_>>().join("; ");
        warn!("what may be left on the server of the driver that is not in use is not looked for, since its settings can't be used: {why}");
        None
    })
}

/// Who takes part in the election, if there is one, and whether this watcher leads.
fn candidate(
    client: &Client,
    options: &WatcherOptions,
    health: &Arc<Health>,
    active_store: &Arc<ActiveStore>,
) -> (Option<Candidate>, watch::Receiver<bool>) {
    if !options.leader_elect {
        return (None, always());
    }
    let leader = LeaderOptions::new(&options.place.namespace, &options.identity, options.leader_lease);
    let fit = could_admit(Arc::clone(health), Arc::clone(active_store));
    let (candidate, leading) = Candidate::new(client.clone(), leader, fit);
    (Some(candidate), leading)
}

/// Who needs no election leads for good: the sender is kept for as long as anybody listens.
fn always() -> watch::Receiver<bool> {
    let (sender, leading) = watch::channel(true);
    tokio::spawn(async move { sender.closed().await });
    leading
}

/// What keeps a watcher from admitting rightly, whoever leads. One that is deaf doesn't see who is done or new.
const VITAL: [Part; 5] = [Part::Start, Part::Settings, Part::Store, Part::RunWatch, Part::RepositoryWatch];

/// Whether this watcher could admit if it led, and whether its store is its memory, now and from now on.
fn could_admit(health: Arc<Health>, active_store: Arc<ActiveStore>) -> watch::Receiver<Fitness> {
    let (could, told) = watch::channel(Fitness { can_admit: false, is_alone: false });
    tokio::spawn(async move {
        let mut news = health.news();
        loop {
            let is_alone = active_store.manager().is_some_and(|manager| !manager.is_durable());
            let can_admit = !VITAL.into_iter().any(|part| health.is_troubled(part));
            let is = Fitness { can_admit, is_alone };
            could.send_if_modified(|could| std::mem::replace(could, is) != is);
            tokio::select! {
                () = could.closed() => return,
                changed = news.changed() => if changed.is_err() { return },
            }
        }
    });
    told
}

async fn campaign(candidate: Option<Candidate>, over: CancellationToken) {
    let Some(mut candidate) = candidate else { return };
    let _ = over.run_until_cancelled(candidate.run()).await;
    candidate.resign().await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pac_concurrency::{Driver, Manager, ManagerOptions};
    use pac_driver_mem::MemDriver;

    use super::*;

    #[tokio::test]
    async fn a_watcher_whose_store_is_its_memory_is_alone() {
        let (health, active_store) = (Arc::new(Health::default()), Arc::new(ActiveStore::default()));
        let fit = could_admit(Arc::clone(&health), Arc::clone(&active_store));
        let becomes = |can_admit, is_alone| {
            let mut fit = fit.clone();
            async move { fit.wait_for(|fit| *fit == Fitness { can_admit, is_alone }).await.map(drop) }
        };
        becomes(true, false).await.unwrap();
        health.trouble(Part::RunWatch, "silent");
        becomes(false, false).await.unwrap();
        let memory = Arc::new(MemDriver::new(Duration::from_secs(15)));
        let manager = Arc::new(Manager::new(memory as Arc<dyn Driver>, ManagerOptions::new("it")));
        active_store.work_with(Some(&manager), None);
        health.fine(Part::RunWatch);
        becomes(true, true).await.unwrap();
        health.trouble(Part::RunWatch, "silent");
        becomes(false, true).await.unwrap();
    }
}
