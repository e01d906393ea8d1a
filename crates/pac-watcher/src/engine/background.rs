//! What keeps the workers going.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use pac_concurrency::manager::TermEvent;
use pac_concurrency::{Scope, StoreEvent};
use pac_kube::backoff;
use pac_kube::error::with_causes;
use pac_state::audit::{AUDIT_EVERY, Audit};
use pac_state::health::Part;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Engine;
use super::store_health::{Failure, StoreCall};

/// How often the store is asked how it is at the most, however many repositories give reason to.
const DOUBT_EVERY: Duration = Duration::from_secs(1);

// === impl Engine ===

impl Engine {
    /// Keeps the lease behind this watcher's slots; `has_term` becomes true with the first.
    pub(super) async fn keep_term(self: Arc<Self>, has_term: watch::Sender<bool>) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let kept = self.manager.keep_term().await;
            self.note_answer(StoreCall::Term, began, kept.as_ref().map(|_| ()).map_err(|error| with_causes(error)))
                .await;
            let wait = match kept {
                Ok(event) => {
                    failures = 0;
                    if event == TermEvent::Began {
                        has_term.send_replace(true);
                        self.look_at_everything().await;
                    }
                    self.manager.renewal_interval()
                }
                Err(_) => {
                    failures += 1;
                    backoff::wait(Duration::from_millis(100), Duration::from_secs(5), failures - 1)
                }
            };
            sleep_unless(wait, &self.renew_now, began).await;
        }
    }

    /// Looks at what other watchers changed.
    pub(super) async fn follow_changes(self: Arc<Self>) {
        let mut changes = self.manager.changes();
        while let Some(change) = changes.next().await {
            match change {
                StoreEvent::Repository(repository) => self.queue.add(repository, Scope::Head),
                StoreEvent::Resync => self.look_at_everything().await,
            }
        }
    }

    /// Asks the store and the API server how they are, so that `/ready` tells the truth while nothing happens, too.
    pub(super) async fn check_health(self: Arc<Self>) {
        let mut began = Instant::now();
        loop {
            let wait = backoff::wait(self.options.check_every, self.options.check_every, 0);
            sleep_unless(wait, &self.check_now, began).await;
            began = Instant::now();
            // Neither is asked later because the other is slow to say what is wrong with it.
            tokio::join!(self.check_store(began), self.check_api_server());
        }
    }

    async fn check_store(&self, began: Instant) {
        // In the driver's own words, which name the server and the settings; but a deadline of its own may be long, and `/ready`
        // is to tell the truth, and another watcher to take over, before that.
        let patience = self.options.check_every * 2;
        let outcome = match tokio::time::timeout(patience, self.manager.check()).await {
            Ok(checked) => checked.map(|_| ()).map_err(|error| with_causes(&error)),
            Err(_) => Err(format!(
                "the store is unavailable: the {} server has not answered for {} s: is it frozen, or does something on the way \
                 swallow what is sent?",
                self.manager.driver_name(),
                patience.as_secs()
            )),
        };
        let is_well = outcome.is_ok();
        self.note_answer(StoreCall::Check, began, outcome).await;
        if is_well && self.store_health().is_list_missing() {
            self.look_at_everything().await;
        }
        for Failure { repository, why } in self.store_health().take_untold(began) {
            warn!(
                %repository,
                "none of {repository} is admitted, and no slot of it freed: {why}; it is tried again and again, and others are not \
                 affected"
            );
        }
    }

    /// Takes note of what a call came to that concerns no repository. If the store works again with it: what failed while it didn't
    /// is waiting for its next try; now is better.
    async fn note_answer(&self, call: StoreCall, began: Instant, outcome: Result<(), String>) {
        if self.note_store_call(call, began, outcome) {
            self.look_at_everything().await;
        }
    }

    /// Has the store asked at once how it is, by a read and by a write.
    pub(super) fn doubt_store(&self) {
        self.check_now.notify_one();
        self.renew_now.notify_one();
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
        let mut outages = self.health.overcome(Part::RunWatch);
        while news.changed().await.is_ok() {
            // Both ends of a short outage are one piece of news, so that the outages are counted.
            let before = std::mem::replace(&mut outages, self.health.overcome(Part::RunWatch));
            if before != outages {
                self.reads.forget_waits();
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

/// Waits for `wait`, or until `now` is notified; that at the earliest [`DOUBT_EVERY`] after `began`.
async fn sleep_unless(wait: Duration, now: &Notify, began: Instant) {
    let notified = async {
        now.notified().await;
        tokio::time::sleep_until(began + DOUBT_EVERY).await;
    };
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = notified => {}
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
