//! Shadow mode: watches, measures what Pipelines-as-Code's own queue does, and writes nothing anywhere.
//!
//! Neither settings are read nor a store is connected to, nobody is elected, and no Event is written: what is asked of the cluster is to
//! list and watch PipelineRuns and Repositories. The watches and the index are those of the other modes; `pac_shadow` measures.

use std::sync::{Arc, OnceLock};

use k8s_openapi::jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use pac_kube::cluster;
use pac_shadow::Shadow;
use pac_state::active_store::ActiveStore;
use pac_state::health::{Health, Part};
use pac_state::index::Index;
use pac_state::work_queue::WorkQueue;
use pac_view::events::News;
use pac_view::http::{AdminState, serve_admin, serve_metrics, serve_probes};
use pac_view::queue::{HistoryRecorder, Plot, QueueQuery};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::abort_on_panic::abort_on_panic;
use crate::error::WatcherError;
use crate::metrics::Measured;
use crate::observer::Observer;
use crate::options::WatcherOptions;
use crate::telemetry;
use crate::watch::{START_LISTS, Sink, all_true, watch_repositories, watch_runs};

/// What keeps a watcher from seeing all that happens.
const EYES: [Part; 3] = [Part::Start, Part::RunWatch, Part::RepositoryWatch];

/// Watches and measures until `stop`.
pub(crate) async fn run(
    options: WatcherOptions,
    counted: PrometheusHandle,
    stop: CancellationToken,
) -> Result<(), WatcherError> {
    if options.tenants.is_some() {
        return Err(WatcherError::Settings(
            "--tenants-addr: not in shadow mode, which asks the API server nothing of anybody".to_owned(),
        ));
    }
    let client = cluster::client(options.place.kubeconfig.as_deref()).await?;
    let health = Arc::new(Health::default());
    health.trouble(Part::Start, START_LISTS);
    let index = Arc::new(Index::new(options.global()?));
    let shadow = Arc::new(Shadow::new(Timestamp::now()));
    let active_store = Arc::new(ActiveStore::default());
    active_store.shadows();
    let serving = CancellationToken::new();
    let _serving = serving.clone().drop_guard();
    // It is the only one there is, and its word on the queues is the one that counts.
    let (_leads, leading) = watch::channel(true);
    let measured = Measured {
        counted: counted.clone(),
        index: Arc::clone(&index),
        health: Arc::clone(&health),
        active_store: Arc::clone(&active_store),
        leading: leading.clone(),
        settings: Arc::new(OnceLock::new()),
        webhook: Arc::new(OnceLock::new()),
        tenants: Arc::new(OnceLock::new()),
    };
    tokio::spawn(serving.clone().run_until_cancelled_owned(telemetry::keep_tidy(counted)));
    let up_to_date = Arc::clone(&shadow);
    let text = move |format| {
        up_to_date.measure(Timestamp::now());
        measured.text(format)
    };
    serve_metrics(options.metrics_addr, text, serving.clone()).await?;
    let plot = Arc::new(Plot::default());
    tokio::spawn(serving.clone().run_until_cancelled_owned(Arc::clone(&plot).follow(Arc::clone(&index))));
    let query = QueueQuery {
        client: client.clone(),
        index: Arc::clone(&index),
        // Nobody publishes what is said here.
        history: Arc::new(HistoryRecorder::new(News::default())),
        plot,
        health: Arc::clone(&health),
        active_store,
        leading,
        identity: options.identity.as_str().into(),
    };
    let (reported, identity) = (Arc::clone(&shadow), options.identity.clone());
    let report = Arc::new(move || reported.report(&identity, Timestamp::now()));
    let state = AdminState { health: Arc::clone(&health), query, shadow: Some(report) };
    serve_probes(options.probe_addr, state.clone(), None, serving.clone()).await?;
    serve_admin(options.admin_addr, state, serving.clone()).await?;

    info!("shadow mode: PAC's own queue starts PipelineRuns; nothing is written, what happens is measured");
    let observer = Observer { shadow: Arc::clone(&shadow), index: Arc::clone(&index) };
    let (runs_synced, runs) = watch::channel(false);
    let (repositories_synced, repositories) = watch::channel(false);
    // Nobody looks at what is queued there; each Repository is in it once.
    let queue = Arc::new(WorkQueue::default());
    let sink = Sink {
        index: Arc::clone(&index),
        queue,
        health: Arc::clone(&health),
        beside_pac: None,
        observer: Some(observer),
        traces: None,
    };
    let run_watch = abort_on_panic("the watch of PipelineRuns", watch_runs(client.clone(), sink.clone(), runs_synced));
    let repository_watch = watch_repositories(client, sink, repositories_synced);
    let repository_watch = abort_on_panic("the watch of Repositories", repository_watch);
    tokio::spawn(serving.clone().run_until_cancelled_owned(run_watch));
    tokio::spawn(serving.clone().run_until_cancelled_owned(repository_watch));
    tokio::spawn(serving.clone().run_until_cancelled_owned(keep_eyes_open(Arc::clone(&health), shadow)));
    tokio::spawn(serving.clone().run_until_cancelled_owned(async move {
        all_true([runs, repositories]).await;
        index.note_complete();
        health.fine(Part::Start);
    }));
    stop.cancelled().await;
    info!("stopped");
    Ok(())
}

/// Says whether all that happens is seen, now and from now on.
async fn keep_eyes_open(health: Arc<Health>, shadow: Arc<Shadow>) {
    let mut news = health.news();
    loop {
        let now = Timestamp::now();
        if EYES.into_iter().any(|part| health.is_troubled(part)) {
            shadow.is_blind(now);
        } else {
            shadow.sees(now);
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}
