//! The webhook of this watcher, where the gate is one: served by every replica, kept by the leader.

use kube::Client;
use pac_kube::gate::GateKind;
use pac_webhook::{DRAIN, Lifetimes, NoPort, Webhook};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::options::{Mode, WatcherOptions};

/// It is served until this is waited for, or dropped.
pub(crate) struct ServedWebhook {
    pub(crate) webhook: Webhook,
    drained: JoinHandle<()>,
    _serving: tokio_util::sync::DropGuard,
}

/// Whether this watcher serves it at all.
pub(crate) fn is_served(options: &WatcherOptions) -> bool {
    options.mode == Mode::Companion && options.gate == GateKind::Webhook
}

// === impl ServedWebhook ===

impl ServedWebhook {
    /// Serves it, where it is the gate.
    pub(crate) async fn start(
        client: &Client,
        options: &WatcherOptions,
        leading: watch::Receiver<bool>,
        stop: CancellationToken,
    ) -> Result<Option<Self>, NoPort> {
        if !is_served(options) {
            return Ok(None);
        }
        let serving = CancellationToken::new();
        let namespace = options.place.namespace.clone();
        let webhook =
            pac_webhook::serve(client.clone(), namespace.clone(), options.webhook_addr, serving.clone()).await?;
        let keeping = pac_webhook::keep(client.clone(), namespace, Lifetimes::default(), leading);
        tokio::spawn(serving.clone().run_until_cancelled_owned(keeping));
        let drained = tokio::spawn(async move {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        });
        Ok(Some(Self { webhook, drained, _serving: serving.drop_guard() }))
    }

    /// Goes on until the API server knows that this replica stops.
    pub(crate) async fn drain(self) {
        // It ends early only if its runtime does.
        let _ = self.drained.await;
    }
}
