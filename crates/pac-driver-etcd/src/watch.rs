//! Hearing what others changed: a watch on all version keys.
//!
//! It goes on from the first revision it has not seen, over broken connections, cancelled watches and changes of leader.
//! Where etcd no longer has that revision, or is not the etcd it was, the word is to look at everything.

use std::collections::VecDeque;
use std::time::Duration;

use etcd_client::{Event, EventType, WatchOptions, WatchResponse, WatchStream};
use futures::stream::{BoxStream, StreamExt};
use pac_concurrency::StoreEvent;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::cluster::REQUEST_TIMEOUT;
use crate::error::CallStage;
use crate::keys;
use crate::store::Store;

/// How long to wait before watching again.
const RETRY: Duration = Duration::from_millis(500);

/// What others commit and forget from now on.
pub(crate) fn changes(store: Store) -> BoxStream<'static, StoreEvent> {
    let watch = Watch { store, stream: None, next: None, news: VecDeque::new() };
    futures::stream::unfold(watch, |mut watch| async move { Some((watch.next().await, watch)) }).boxed()
}

struct Watch {
    store: Store,
    stream: Option<WatchStream>,
    /// Where to go on; nowhere yet, or no longer.
    next: Option<Mark>,
    news: VecDeque<StoreEvent>,
}

/// A point in the history of one etcd.
#[derive(Debug, Clone, Copy)]
struct Mark {
    cluster: u64,
    revision: i64,
}

// === impl Watch ===

impl Watch {
    async fn next(&mut self) -> StoreEvent {
        loop {
            if let Some(change) = self.news.pop_front() {
                return change;
            }
            match self.stream.take() {
                None => self.begin().await,
                Some(mut stream) => match stream.message().await {
                    Ok(Some(response)) if !response.canceled() => {
                        self.hear(&response);
                        self.stream = Some(stream);
                    }
                    Ok(Some(response)) => self.cancelled(&response).await,
                    ended => {
                        debug!(?ended, "the watch on etcd ended");
                        sleep(RETRY).await;
                    }
                },
            }
        }
    }

    /// Watches from where it was left, if it can.
    async fn begin(&mut self) {
        let Ok(session) = self.store.cluster.session().await else { return sleep(RETRY).await };
        let revision = self.next.map_or(0, |mark| mark.revision);
        let options = WatchOptions::new().with_prefix().with_start_revision(revision).with_fragment();
        let mut watches = session.watches();
        let beginning = async {
            let mut stream = watches.watch(keys::VERSIONS, Some(options)).await?;
            let first = stream.message().await?;
            Ok((stream, first))
        };
        let failure = match timeout(REQUEST_TIMEOUT, beginning).await {
            Ok(Ok((stream, Some(first)))) if first.created() && !first.canceled() => {
                if self.has_begun(&first) {
                    self.stream = Some(stream);
                }
                return;
            }
            Ok(Ok((_, Some(refused)))) => return self.cancelled(&refused).await,
            Ok(Ok((_, None))) => return sleep(RETRY).await,
            Ok(Err(error)) => session.explain(CallStage::Reading, error),
            Err(_) => session.member.silent(CallStage::Reading, REQUEST_TIMEOUT),
        };
        self.store.cluster.note(&session, &failure);
        sleep(RETRY).await;
    }

    /// Whether the watch that began with `first` is of use: one from a revision that is yet to come is not.
    fn has_begun(&mut self, first: &WatchResponse) -> bool {
        let Some(header) = first.header() else { return false };
        let now = Mark { cluster: header.cluster_id(), revision: header.revision() + 1 };
        match self.next {
            Some(next) if next.cluster == now.cluster && next.revision <= now.revision => true,
            // Restored from a backup, or replaced, it has not done what we have seen. Again, from now on.
            Some(_) => {
                self.next = None;
                false
            }
            None => {
                self.next = Some(now);
                self.news.push_back(StoreEvent::Resync);
                true
            }
        }
    }

    async fn cancelled(&mut self, response: &WatchResponse) {
        debug!(why = response.cancel_reason(), compacted = response.compact_revision(), "etcd cancelled the watch");
        if response.compact_revision() > 0 {
            // What is missed is said once the watch has begun anew, and nothing more can be.
            self.next = None;
            return;
        }
        // A login that ended shows here first; a call notices, and logs in again.
        if let Err(error) = self.store.cluster.read(|session| async move { session.look().await }).await {
            debug!(%error, "etcd can't be read either");
        }
        sleep(RETRY).await;
    }

    fn hear(&mut self, response: &WatchResponse) {
        for event in response.events() {
            let Some(pair) = event.kv() else { continue };
            if let Some(mark) = &mut self.next {
                mark.revision = mark.revision.max(pair.mod_revision() + 1);
            }
            if self.is_own(event) {
                continue;
            }
            // A key that is no repository's is reported by whoever lists them.
            self.news.extend(keys::parse_version(pair.key()).ok().map(StoreEvent::Repository));
        }
    }

    fn is_own(&self, event: &Event) -> bool {
        let value = event.kv().filter(|_| event.event_type() == EventType::Put).map(|pair| pair.value());
        value.is_some_and(|value| self.store.versions.is_own(value))
    }
}
