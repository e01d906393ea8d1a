//! Create, update and delete: the only ways a version comes to be.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Entry, Key, State, Store, Stored, key_of, prepare, settle};
use crate::{
    error::ApiError,
    history::{Change, HistoryLimit},
    object,
    resource::{self, ResourceType},
    tekton_webhook,
};

/// Which endpoint an update came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
}

/// What an update led to.
#[derive(Debug)]
pub(crate) struct Updated {
    pub(crate) stored: Arc<Stored>,
}

/// What a delete led to.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone; this was its uid.
    Gone { uid: String },
    /// A finalizer keeps it, with a deletionTimestamp.
    Kept(Arc<Stored>),
}

/// What a delete insists on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

// === impl Store ===

impl Store {
    pub(crate) fn create_object(
        &self,
        resource: &'static ResourceType,
        namespace: &str,
        value: Value,
        dry_run: bool,
    ) -> Result<Arc<Stored>, ApiError> {
        self.insert_object(resource, namespace, Self::prepared(resource, namespace, value)?, dry_run)
    }

    /// What a new object will be: named, identified, completed.
    pub(crate) fn prepared(resource: &ResourceType, namespace: &str, value: Value) -> Result<Value, ApiError> {
        prepare::new_object(resource, namespace, value)
    }

    /// What an update will lead to.
    pub(crate) fn updated(
        resource: &ResourceType,
        part: Part,
        current: &Value,
        desired: Value,
    ) -> Result<Value, ApiError> {
        settle::updated_object(resource, part, current, desired)
    }

    /// Stores what was prepared.
    pub(crate) fn insert_object(
        &self,
        resource: &'static ResourceType,
        namespace: &str,
        value: Value,
        dry_run: bool,
    ) -> Result<Arc<Stored>, ApiError> {
        let mut state = self.inner.state.lock();
        if resource.namespaced && !Self::namespace_exists(&mut state, namespace) {
            let namespaces = resource::by_plural("namespaces").unwrap_or(resource);
            return Err(ApiError::not_found(namespaces, namespace));
        }
        let key = key_of(&value);
        if state.collection(resource).objects.contains_key(&key) {
            return Err(ApiError::already_exists(resource, &key.name));
        }
        if dry_run {
            return Ok(Arc::new(Stored::new(key, state.revision, value)));
        }
        Ok(self.commit(&mut state, resource, Change::Created, value, None))
    }

    /// Changes an object by what `change` makes of its current version, all under the lock.
    pub(crate) fn update_object(
        &self,
        resource: &'static ResourceType,
        key: &Key,
        part: Part,
        dry_run: bool,
        change: &mut dyn FnMut(&Value) -> Result<Value, ApiError>,
    ) -> Result<Updated, ApiError> {
        let mut state = self.inner.state.lock();
        let Some(current) = state.collection(resource).objects.get(key).cloned() else {
            return Err(ApiError::not_found(resource, &key.name));
        };
        let desired = settle::updated_object(resource, part, &current.object, change(&current.object)?)?;
        if desired == *current.object {
            return Ok(Updated { stored: current });
        }
        if self.inner.tekton_webhook && resource.plural == "pipelineruns" {
            tekton_webhook::check(&current.object, &desired)?;
        }
        let released = object::meta(&desired, "deletionTimestamp").is_some() && !object::has_finalizers(&desired);
        if dry_run || released {
            // The answer shows the object as it was last, at its old version; the deletion makes another.
            let last = Arc::new(Stored::new(key.clone(), current.revision, desired.clone()));
            if !dry_run {
                self.commit(&mut state, resource, Change::Deleted, desired, Some(current));
            }
            return Ok(Updated { stored: last });
        }
        let stored = self.commit(&mut state, resource, Change::Updated, desired, Some(current));
        Ok(Updated { stored })
    }

    pub(crate) fn delete_object(
        &self,
        resource: &'static ResourceType,
        key: &Key,
        preconditions: &Preconditions,
        dry_run: bool,
    ) -> Result<Deleted, ApiError> {
        let mut state = self.inner.state.lock();
        let Some(current) = state.collection(resource).objects.get(key).cloned() else {
            return Err(ApiError::not_found(resource, &key.name));
        };
        preconditions.check(resource, &current.object)?;
        if resource.plural == "namespaces" && !dry_run {
            self.empty_namespace(&mut state, &key.name);
        }
        let gone = Deleted::Gone { uid: object::meta_text(&current.object, "uid").to_owned() };
        if !object::has_finalizers(&current.object) {
            if !dry_run {
                let value = Value::clone(&current.object);
                self.commit(&mut state, resource, Change::Deleted, value, Some(current));
            }
            return Ok(gone);
        }
        if dry_run || object::meta(&current.object, "deletionTimestamp").is_some() {
            return Ok(Deleted::Kept(current));
        }
        let value = marked_for_deletion(resource, &current.object);
        Ok(Deleted::Kept(self.commit(&mut state, resource, Change::Updated, value, Some(current))))
    }

    /// A namespace takes all it holds with it, at once and whatever the finalizers: nothing here would ever run them.
    fn empty_namespace(&self, state: &mut State, namespace: &str) {
        let mut seen = Vec::new();
        for resource in resource::RESOURCES.iter().filter(|resource| resource.namespaced) {
            if seen.contains(&resource.plural) {
                continue;
            }
            seen.push(resource.plural);
            for stored in state.collection(resource).of_namespace(Some(namespace)) {
                let value = Value::clone(&stored.object);
                self.commit(state, resource, Change::Deleted, value, Some(stored));
            }
        }
    }

    fn commit(
        &self,
        state: &mut State,
        resource: &'static ResourceType,
        change: Change,
        mut value: Value,
        before: Option<Arc<Stored>>,
    ) -> Arc<Stored> {
        state.revision += 1;
        let revision = state.revision;
        object::meta_mut(&mut value).insert("resourceVersion".to_owned(), json!(revision.to_string()));
        let now = Arc::new(Stored::new(key_of(&value), revision, value));
        let entry = Arc::new(Entry { change, at: self.inner.started.elapsed(), now: Arc::clone(&now), before });
        match self.inner.history_limit {
            HistoryLimit::Off => {}
            HistoryLimit::All => state.history.push_back((resource.plural, Arc::clone(&entry))),
            HistoryLimit::Last(count) => {
                state.history.push_back((resource.plural, Arc::clone(&entry)));
                while state.history.len() > count {
                    state.history.pop_front();
                }
            }
        }
        state.collection(resource).append(entry, self.inner.watch_window);
        now
    }
}

// === impl Preconditions ===

impl Preconditions {
    fn check(&self, resource: &ResourceType, current: &Value) -> Result<(), ApiError> {
        let name = object::name(current);
        let uid = object::meta_text(current, "uid");
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). \
                 The object might have been deleted and then recreated"
            );
            return Err(ApiError::precondition(resource, name, &why));
        }
        let version = object::meta_text(current, "resourceVersion");
        if let Some(wanted) = self.resource_version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
                 ({version}). The object might have been modified"
            );
            return Err(ApiError::precondition(resource, name, &why));
        }
        Ok(())
    }
}

fn marked_for_deletion(resource: &ResourceType, current: &Value) -> Value {
    let mut value = current.clone();
    let generation = object::meta(current, "generation").and_then(Value::as_u64).unwrap_or_default() + 1;
    let metadata = object::meta_mut(&mut value);
    metadata.insert("deletionTimestamp".to_owned(), json!(object::now()));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
    if resource.has_generation() {
        metadata.insert("generation".to_owned(), json!(generation));
    }
    value
}
