//! The objects, their versions and the log of changes, all in memory behind one lock.
//!
//! Every resource is a [`Collection`]: a map by key for reads and an append-only log for watches. A watch is a cursor
//! into the log, woken by a channel; nothing polls. Versions are immutable and shared, and each is serialized at most
//! once however many watchers and readers it has.

mod collection;
mod definition;
mod direct;
mod prepare;
mod settle;
mod write;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use self::collection::Collection;
pub(crate) use self::{
    collection::{Entry, Key, Stored},
    write::{Deleted, Part, Preconditions},
};
use crate::{
    error::ApiError,
    history::{HistoryLimit, Version},
    object,
    resource::{RESOURCES, ResourceType},
};

/// How many snapshots of lists in progress are kept.
const KEPT_SNAPSHOTS: usize = 8;

/// In-process access to what the server stores; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    history_limit: HistoryLimit,
    watch_window: usize,
    /// Whether Tekton's webhook is asked about updates of PipelineRuns.
    tekton_webhook: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    revision: u64,
    /// Resource versions before this one can't be read or watched from any more.
    oldest: u64,
    collections: BTreeMap<&'static str, Collection>,
    history: VecDeque<(&'static str, Arc<Entry>)>,
    snapshots: VecDeque<Snapshot>,
}

/// All objects of a resource at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) resource: &'static str,
    pub(crate) revision: u64,
    pub(crate) objects: Arc<Vec<Arc<Stored>>>,
}

// === impl Store ===

impl Store {
    pub(crate) fn new(
        first_revision: u64,
        history_limit: HistoryLimit,
        watch_window: usize,
        tekton_webhook: bool,
    ) -> Self {
        let collections = RESOURCES.iter().map(|resource| (resource.plural, Collection::new())).collect();
        let state = State {
            revision: first_revision,
            oldest: first_revision,
            collections,
            history: VecDeque::new(),
            snapshots: VecDeque::new(),
        };
        let started = Instant::now();
        let inner = Inner { started, history_limit, watch_window, tekton_webhook, state: Mutex::new(state) };
        Self { inner: Arc::new(inner) }
    }

    /// The newest resourceVersion.
    pub fn revision(&self) -> u64 {
        self.inner.state.lock().revision
    }

    /// How long the server has run: the clock of [`Version::at`].
    pub fn elapsed(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// Every kept version in order.
    pub fn history(&self) -> Vec<Version> {
        self.history_after(0)
    }

    /// The same without the first `count` of those that are kept.
    pub fn history_after(&self, count: usize) -> Vec<Version> {
        let entries: Vec<_> = self.inner.state.lock().history.iter().skip(count).cloned().collect();
        entries.into_iter().map(|(resource, entry)| entry.version(resource)).collect()
    }

    /// Makes every resourceVersion up to now too old to list at or to watch from, as a compaction of etcd does.
    pub(crate) fn expire_versions(&self) {
        let mut state = self.inner.state.lock();
        // Even the newest version expires, as if there had been changes since.
        state.revision += 1;
        state.oldest = state.revision;
        state.snapshots.clear();
    }

    pub(crate) fn get_stored(&self, resource: &ResourceType, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        let key = Key::new(namespace, name);
        self.inner.state.lock().collection(resource).objects.get(&key).cloned()
    }

    /// The objects of one namespace, or of all, with the revision at which this is the whole of them.
    pub(crate) fn list_stored(&self, resource: &ResourceType, namespace: Option<&str>) -> (u64, Vec<Arc<Stored>>) {
        let mut state = self.inner.state.lock();
        let revision = state.revision;
        (revision, state.collection(resource).of_namespace(namespace))
    }

    /// All objects as they were at a revision, for the later pages of a list.
    pub(crate) fn snapshot(&self, resource: &ResourceType, revision: Option<u64>) -> Result<Snapshot, ApiError> {
        let mut state = self.inner.state.lock();
        let revision = revision.unwrap_or(state.revision);
        let kept = |snapshot: &&Snapshot| snapshot.resource == resource.plural && snapshot.revision == revision;
        if let Some(snapshot) = state.snapshots.iter().find(kept) {
            return Ok(snapshot.clone());
        }
        if revision < state.oldest(resource) {
            return Err(ApiError::expired(CONTINUE_EXPIRED));
        }
        let objects = state.collection(resource).as_of(revision);
        let snapshot = Snapshot { resource: resource.plural, revision, objects: Arc::new(objects) };
        state.snapshots.push_back(snapshot.clone());
        if state.snapshots.len() > KEPT_SNAPSHOTS {
            state.snapshots.pop_front();
        }
        Ok(snapshot)
    }

    /// The changes after a revision, at most `limit`, and how far the log has been read with them.
    pub(crate) fn changes_after(
        &self,
        resource: &ResourceType,
        revision: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Entry>>, u64), ApiError> {
        let mut state = self.inner.state.lock();
        let newest = state.revision;
        let collection = state.collection(resource);
        if revision < collection.trimmed {
            return Err(too_old(revision, collection.trimmed));
        }
        let entries = collection.after(revision, limit);
        let read =
            if entries.len() < limit { newest } else { entries.last().map_or(newest, |entry| entry.now.revision) };
        Ok((entries, read.max(revision)))
    }

    /// Refuses a resourceVersion that a watch can't start from any more.
    pub(crate) fn check_watchable(&self, resource: &ResourceType, revision: u64) -> Result<(), ApiError> {
        let oldest = self.inner.state.lock().oldest(resource);
        if revision < oldest { Err(too_old(revision, oldest)) } else { Ok(()) }
    }

    /// Is told each new revision of a resource.
    pub(crate) fn subscribe(&self, resource: &ResourceType) -> watch::Receiver<u64> {
        self.inner.state.lock().collection(resource).news.subscribe()
    }

    fn namespace_exists(state: &mut State, namespace: &str) -> bool {
        state.collections.get("namespaces").is_some_and(|all| all.objects.contains_key(&Key::new("", namespace)))
    }
}

// === impl State ===

impl State {
    fn collection(&mut self, resource: &ResourceType) -> &mut Collection {
        self.collections.entry(resource.plural).or_insert_with(Collection::new)
    }

    fn oldest(&mut self, resource: &ResourceType) -> u64 {
        let oldest = self.oldest;
        self.collection(resource).trimmed.max(oldest)
    }
}

fn too_old(revision: u64, oldest: u64) -> ApiError {
    ApiError::expired(format!("too old resource version: {revision} ({oldest})"))
}

/// The first part of what Kubernetes says; the rest explains how to read on inconsistently, which isn't offered here.
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. \
     You can start a new list without the continue parameter.";

/// The key under which an object is stored.
fn key_of(value: &serde_json::Value) -> Key {
    Key::new(object::namespace(value), object::name(value))
}
