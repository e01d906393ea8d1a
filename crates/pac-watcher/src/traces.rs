//! Spans of runs' waits: to whom the settings have them sent.

use std::sync::Arc;

use kube::Client;
use kube::api::ListParams;
use pac_config::{Settings, keys};
use pac_kube::api::PipelineRun;
use pac_kube::api::labels::SELECTOR;
use pac_kube::convert::run_view;
use pac_kube::list_all::list;
use pac_kube::trace_context::Traced;
use pac_traces::{Collector, Exporter, Traces};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Has spans made and sent as `settings` say, until `stop` and a moment longer.
pub(crate) fn keep_tracing_as_said(
    client: Client,
    traces: Traces,
    exporter: Exporter,
    settings: watch::Receiver<Arc<Settings>>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let (sender, collector) = watch::channel(None);
    // The first time before any run was seen, so that the first list of the watch tells of all of them.
    take_in(&settings.borrow(), &traces, &sender);
    tokio::spawn(stop.clone().run_until_cancelled_owned(follow(client, traces, settings, sender)));
    tokio::spawn(exporter.run(keys::CONCURRENCY_TRACES_ENDPOINT.name, collector, stop))
}

async fn follow(
    client: Client,
    traces: Traces,
    mut settings: watch::Receiver<Arc<Settings>>,
    sender: watch::Sender<Option<Collector>>,
) {
    loop {
        let changed = if traces.is_on() {
            tokio::select! {
                changed = settings.changed() => changed,
                () = traces.clone().follow() => return,
            }
        } else {
            settings.changed().await
        };
        if changed.is_err() {
            // Nobody changes them any more, and the exporter needs its own to the end.
            return std::future::pending().await;
        }
        let was_on = traces.is_on();
        let current = Arc::clone(&settings.borrow_and_update());
        take_in(&current, &traces, &sender);
        if traces.is_on() && !was_on {
            see_all(&client, &traces).await;
        }
    }
}

fn take_in(settings: &Settings, traces: &Traces, sender: &watch::Sender<Option<Collector>>) {
    let collector = settings.traces.as_ref().map(|to| Collector { url: to.url(), ca_file: to.ca_file.clone() });
    let is_on = collector.is_some();
    let changed = sender.send_if_modified(|known| std::mem::replace(known, collector.clone()) != collector);
    if is_on != traces.is_on() {
        traces.set_on(is_on);
    }
    if let (true, Some(to)) = (changed, &settings.traces) {
        info!("a span of each run's wait is sent to {} ({})", to.url(), keys::CONCURRENCY_TRACES_ENDPOINT);
    }
}

/// Has the runs known that the watch has shown already.
async fn see_all(client: &Client, traces: &Traces) {
    match list::<PipelineRun>(client, ListParams::default().labels(SELECTOR)).await {
        Ok(runs) => {
            for run in &runs {
                if let Ok(view) = run_view(run, None) {
                    traces.saw(&view, || Traced::of(run));
                }
            }
            debug!(runs = runs.len(), "those that wait already get spans, too");
        }
        Err(why) => warn!(why, "the runs that wait could not be listed: those that waited already get no span"),
    }
}
