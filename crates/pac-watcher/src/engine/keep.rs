//! What keeps the workers going.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use pac_concurrency::manager::TermEvent;
use pac_concurrency::{Change, Scope};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use super::Engine;
use crate::audit::{AUDIT_EVERY, Audit};
use crate::backoff;
use crate::error::with_causes;
use crate::health::Part;

// === impl Engine ===

impl Engine {
    /// Keeps the lease behind this watcher's slots; `has_term` becomes true with the first.
    pub(super) async fn keep_term(self: Arc<Self>, has_term: watch::Sender<bool>) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let wait = match self.manager.keep_term().await {
                Ok(event) => {
                    failures = 0;
                    self.store_answered().await;
                    if event == TermEvent::Began {
                        has_term.send_replace(true);
                        self.look_at_everything().await;
                    }
                    self.manager.renewal_interval()
                }
                Err(error) => {
                    self.note_store_failure(&error, began);
                    failures += 1;
                    backoff::wait(Duration::from_millis(100), Duration::from_secs(5), failures - 1)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Looks at what other watchers changed.
    pub(super) async fn follow_changes(self: Arc<Self>) {
        let mut changes = self.manager.changes();
        while let Some(change) = changes.next().await {
            match change {
                Change::Repository(repository) => self.queue.add(repository, Scope::Head),
                Change::Resync => self.look_at_everything().await,
            }
        }
    }

    /// Asks the store and the API server how they are, so that `/ready` tells the truth while nothing happens, too.
    pub(super) async fn check_health(self: Arc<Self>) {
        loop {
            tokio::time::sleep(backoff::wait(self.options.check_every, self.options.check_every, 0)).await;
            // Neither is asked later because the other is slow to say what is wrong with it.
            tokio::join!(self.check_store(), self.check_api_server());
        }
    }

    async fn check_store(&self) {
        let began = Instant::now();
        // Within the driver's own deadline, and in its own words, which name the server and the settings.
        match self.manager.check().await {
            Ok(_) => self.store_answered().await,
            Err(error) => self.note_store_failure(&error, began),
        }
    }

    /// Takes note that the store works. What failed while it didn't is waiting for its next try; now is better.
    pub(super) async fn store_answered(&self) {
        if self.health.fine(Part::Store) {
            self.look_at_everything().await;
        }
    }

    async fn check_api_server(&self) {
        match api_server_version(&self.client, self.options.check_every).await {
            Ok(version) => {
                debug!(version, "the API server answers");
                self.health.fine_as_such(Part::ApiServer);
            }
            Err(why) => self.health.trouble(Part::ApiServer, why),
        }
    }

    /// Tries everything again as soon as PipelineRuns are watched again: what failed meanwhile waits for longer and longer.
    pub(super) async fn follow_api_server(self: Arc<Self>) {
        let mut news = self.health.news();
        loop {
            let was_away = self.health.is_troubled(Part::RunWatch);
            if news.changed().await.is_err() {
                return;
            }
            if was_away && !self.health.is_troubled(Part::RunWatch) {
                self.reads.forget_failures();
                let now = Instant::now();
                for repository in self.index.repositories() {
                    self.index.with(&repository, |state| state.hurry_starts(now));
                    self.queue.add(repository, Scope::Head);
                }
            }
        }
    }

    /// Has the slots audited again and again.
    pub(super) async fn audit(self: Arc<Self>, audit: Arc<Audit>) {
        loop {
            tokio::time::sleep(AUDIT_EVERY).await;
            audit.look(&self.manager.slots(), &self.index, Instant::now());
        }
    }

    /// Passes over everything now and then: whatever was missed is repaired here (P4).
    pub(super) async fn resync(self: Arc<Self>) {
        loop {
            tokio::time::sleep(backoff::wait(self.options.resync_every, self.options.resync_every, 0)).await;
            self.look_at_everything().await;
        }
    }
}

/// The API server's version, or why it can't be told.
pub(crate) async fn api_server_version(client: &Client, deadline: Duration) -> Result<String, String> {
    match tokio::time::timeout(deadline, client.apiserver_version()).await {
        Ok(Ok(info)) => Ok(info.git_version),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err(format!("no answer within {} s", deadline.as_secs())),
    }
}
