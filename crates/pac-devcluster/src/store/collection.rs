//! The objects of one resource and the log of their changes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    history::{Change, Version},
    object,
};

/// Where an object is stored; sorted as lists are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One version of one object.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: Key,
    pub(crate) revision: u64,
    pub(crate) object: Arc<Value>,
    encoded: OnceLock<Bytes>,
}

/// One line of the log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) change: Change,
    pub(crate) at: Duration,
    /// The version made; for a deletion what the object was last, at the revision of the deletion.
    pub(crate) now: Arc<Stored>,
    pub(crate) before: Option<Arc<Stored>>,
}

#[derive(Debug)]
pub(super) struct Collection {
    pub(super) objects: BTreeMap<Key, Arc<Stored>>,
    log: VecDeque<Arc<Entry>>,
    /// The revision of the newest line that was dropped from the log.
    pub(super) trimmed: u64,
    pub(super) news: watch::Sender<u64>,
}

// === impl Key ===

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

// === impl Stored ===

impl Stored {
    pub(crate) fn new(key: Key, revision: u64, object: Value) -> Self {
        Self { key, revision, object: Arc::new(object), encoded: OnceLock::new() }
    }

    /// The object as JSON; made once.
    pub(crate) fn encoded(&self) -> Bytes {
        self.encoded.get_or_init(|| Bytes::from(self.object.to_string())).clone()
    }
}

// === impl Entry ===

impl Entry {
    pub(crate) fn version(&self, resource: &'static str) -> Version {
        Version {
            revision: self.now.revision,
            at: self.at,
            resource,
            namespace: self.now.key.namespace.clone(),
            name: self.now.key.name.clone(),
            uid: object::meta_text(&self.now.object, "uid").to_owned(),
            change: self.change,
            object: Arc::clone(&self.now.object),
        }
    }
}

// === impl Collection ===

impl Collection {
    pub(super) fn new() -> Self {
        Self { objects: BTreeMap::new(), log: VecDeque::new(), trimmed: 0, news: watch::Sender::new(0) }
    }

    /// Applies a change and tells the watchers, which read it once the lock is free.
    pub(super) fn append(&mut self, entry: Arc<Entry>, window: usize) {
        let key = entry.now.key.clone();
        match entry.change {
            Change::Deleted => self.objects.remove(&key),
            Change::Created | Change::Updated => self.objects.insert(key, Arc::clone(&entry.now)),
        };
        let revision = entry.now.revision;
        self.log.push_back(entry);
        while self.log.len() > window {
            self.trimmed = self.log.pop_front().map_or(self.trimmed, |dropped| dropped.now.revision);
        }
        self.news.send_replace(revision);
    }

    pub(super) fn of_namespace(&self, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        match namespace {
            None => self.objects.values().cloned().collect(),
            Some(namespace) => self
                .objects
                .range(Key::new(namespace, "")..)
                .take_while(|(key, _)| key.namespace == namespace)
                .map(|(_, stored)| Arc::clone(stored))
                .collect(),
        }
    }

    pub(super) fn after(&self, revision: u64, limit: usize) -> Vec<Arc<Entry>> {
        let first = self.log.partition_point(|entry| entry.now.revision <= revision);
        self.log.range(first..).take(limit).cloned().collect()
    }

    /// The objects as they were at a revision: today's, with every later change undone.
    pub(super) fn as_of(&self, revision: u64) -> Vec<Arc<Stored>> {
        let first = self.log.partition_point(|entry| entry.now.revision <= revision);
        if first == self.log.len() {
            return self.of_namespace(None);
        }
        let mut objects = self.objects.clone();
        for entry in self.log.range(first..).rev() {
            match &entry.before {
                Some(before) => objects.insert(entry.now.key.clone(), Arc::clone(before)),
                None => objects.remove(&entry.now.key),
            };
        }
        objects.into_values().collect()
    }
}
