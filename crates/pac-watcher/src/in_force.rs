//! The settings in force, and whether they are the present ones.
//!
//! A watcher that only follows may be late with a change: a watch that broke unseen leaves it up to a reading behind. The one
//! that leads must not be: while the system is switched off, PAC's own queue counts whatever it is handed, and a new leader that
//! has not heard of `concurrency-draining` would start runs beside it. So whoever comes to lead asks for one more reading
//! ([`InForce::present`]) before it admits anybody.

use std::sync::Arc;

use pac_concurrency::Scope;
use pac_config::Settings;
use pac_state::active_store::ActiveStore;
use pac_state::index::Index;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::info;

/// See the [module](self).
pub(crate) struct InForce {
    settings: watch::Sender<Arc<Settings>>,
    /// When the latest reading was asked for. Whoever listens waits for another one.
    read: watch::Sender<Instant>,
    wanted: Notify,
    index: Arc<Index>,
    active_store: Arc<ActiveStore>,
}

// === impl InForce ===

impl InForce {
    /// Puts the first settings in force, which were asked for at `asked`.
    pub(crate) fn new(settings: Settings, asked: Instant, index: Arc<Index>, active_store: Arc<ActiveStore>) -> Self {
        let settings = watch::Sender::new(Arc::new(settings));
        let read = watch::Sender::new(asked);
        let in_force = Self { settings, read, wanted: Notify::new(), index, active_store };
        in_force.admit_as_said(&in_force.settings());
        in_force
    }

    /// The settings as they change.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Settings>> {
        self.settings.subscribe()
    }

    /// The settings of now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Replaces the settings. Nobody is admitted by the former ones after it.
    pub(crate) fn replace(&self, settings: Settings) {
        self.admit_as_said(&settings);
        self.settings.send_replace(Arc::new(settings));
    }

    /// Notes a reading that was asked for at `asked`: what it says is in force now, or can't be used.
    pub(crate) fn note_reading(&self, asked: Instant) {
        self.read.send_replace(asked);
    }

    /// Waits until the settings of now, or later ones, are in force.
    pub(crate) async fn present(&self) {
        let (now, mut read) = (Instant::now(), self.read.subscribe());
        self.wanted.notify_one();
        // The sender lives as long as this does.
        let _ = read.wait_for(|asked| *asked >= now).await;
    }

    /// Whether somebody waits for a reading.
    pub(crate) fn is_reading_wanted(&self) -> bool {
        self.read.receiver_count() > 0
    }

    /// Waits until somebody begins to wait for a reading.
    pub(crate) async fn reading_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Has nobody admitted while the settings say so, and everybody looked at when they no longer do. A system that is being
    /// switched off admits nobody either, though the same change of settings ends a pause.
    fn admit_as_said(&self, settings: &Settings) {
        if self.index.set_draining(settings.draining) {
            let told = if settings.draining { "whoever gets a slot is handed to PAC's own queue" } else { "no longer" };
            info!("draining (concurrency-draining is {}): {told}", settings.draining);
        }
        let paused = settings.paused || !settings.enabled;
        match (self.index.set_paused(paused), paused) {
            (false, true) if settings.enabled => {
                info!("paused (concurrency-paused is true): nobody is admitted until it is false");
            }
            (true, false) => {
                info!("nothing is paused (concurrency-paused is false)");
                if let Some(queue) = self.active_store.queue() {
                    self.index.repositories().into_iter().for_each(|repository| queue.add(repository, Scope::Head));
                }
            }
            _ => {}
        }
    }
}
