//! A write from outside on its way into the store: what admission makes of it, whether its type allows it, what admission
//! says to the result.
//!
//! An update is worked out from the version that is there, and stored if that still is: otherwise it starts again, as often as
//! a real API server does. So nobody waits for a webhook that somebody else's write asks.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    admission::{Admission, Caller, Request},
    error::ApiError,
    object, schema,
    store::{Store, Stored},
};

/// How often an update is worked out anew before it is a conflict.
const ATTEMPTS: usize = 6;

/// What an update makes of the version it finds.
pub(crate) type Change<'a> = dyn Fn(&Value) -> Result<Value, ApiError> + Send + Sync + 'a;

/// Writes for whoever asks for it; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    store: Store,
    caller: Arc<Caller>,
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(store: Store) -> Self {
        Self { caller: Arc::new(Caller::new(store.clone())), store }
    }

    pub(crate) async fn create(&self, request: &Request, value: Value) -> Result<Arc<Stored>, ApiError> {
        let admission = Admission::of(&self.store, &self.caller, request);
        let value = admission.mutate(value, None).await?;
        schema::check(request.resource, &value, request.strict)?;
        let prepared = Store::prepared(request.resource, &request.namespace, value)?;
        admission.validate(&prepared, None).await?;
        self.store.insert_object(request.resource, &request.namespace, prepared, request.dry_run)
    }

    pub(crate) async fn update(&self, request: &Request, change: &Change<'_>) -> Result<Arc<Stored>, ApiError> {
        let admission = Admission::of(&self.store, &self.caller, request);
        for _ in 0..ATTEMPTS {
            let found = self.store.get_stored(request.resource, &request.namespace, &request.name);
            let current = found.ok_or_else(|| ApiError::not_found(request.resource, &request.name))?;
            let mutated = admission.mutate(change(&current.object)?, Some(&current.object)).await?;
            schema::check(request.resource, &mutated, request.strict)?;
            let updated = Store::updated(request.resource, request.part(), &current.object, mutated)?;
            admission.validate(&updated, Some(&current.object)).await?;
            if let Some(stored) = self.store_unless_changed(request, &current, &updated)? {
                return Ok(stored);
            }
        }
        Err(ApiError::modified(request.resource, &request.name))
    }

    /// `None` where another write came first.
    fn store_unless_changed(
        &self,
        request: &Request,
        before: &Stored,
        updated: &Value,
    ) -> Result<Option<Arc<Stored>>, ApiError> {
        let mut changed = false;
        let mut unless_changed = |now: &Value| {
            changed = object::meta(now, "resourceVersion") != object::meta(&before.object, "resourceVersion");
            if changed { Err(ApiError::modified(request.resource, &request.name)) } else { Ok(updated.clone()) }
        };
        let stored = self.store.update_object(
            request.resource,
            &request.key(),
            request.part(),
            request.dry_run,
            &mut unless_changed,
        );
        match stored {
            Err(_) if changed => Ok(None),
            stored => stored.map(|updated| Some(updated.stored)),
        }
    }
}
